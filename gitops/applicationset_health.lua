-- Health of an ApplicationSet, so that it gates a sync wave on what it generates: Argo CD's own rule
-- is content when the Applications are written (argo-cd issue 5585). The controller keeps their
-- verdicts in status.resources; it looks at them again only with progressive syncs enabled.
hs = {}
hs.status = "Progressing"
hs.message = "waiting for its Applications"
if obj.status == nil then
  return hs
end
local written = false
for _, condition in ipairs(obj.status.conditions or {}) do
  if condition.type == "ErrorOccurred" and condition.status == "True" then
    hs.status = "Degraded"
    hs.message = condition.message
    return hs
  end
  if condition.type == "ResourcesUpToDate" and condition.status == "True" then
    written = true
  end
end
local wanted = 0
for _, generator in ipairs(obj.spec.generators) do
  if generator.list == nil then
    hs.status = "Unknown"
    hs.message = "its Applications cannot be counted: only list generators gate"
    return hs
  end
  wanted = wanted + #generator.list.elements
end
local found = obj.status.resources or {}
if not written or #found ~= wanted then
  return hs
end
hs.status = "Healthy"
hs.message = ""
for _, application in ipairs(found) do
  local health = application.health ~= nil and application.health.status or "Missing"
  if health == "Degraded" then
    hs.status = "Degraded"
    hs.message = application.name .. " is Degraded"
    return hs
  end
  if health ~= "Healthy" or application.status ~= "Synced" then
    hs.status = "Progressing"
    hs.message = application.name .. " is " .. health .. " and " .. (application.status or "not synced")
  end
end
return hs
