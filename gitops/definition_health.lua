-- Health of a CustomResourceDefinition. Argo CD 3.2's own rule calls one Degraded between the moment
-- its names are accepted and the one it is served, which fails a sync that waits for it (argo-cd
-- issues 25084 and 26346). That moment is long to Argo CD: it reads the whole API again after each
-- event of a CRD, before it looks at the next.
hs = {}
hs.status = "Progressing"
hs.message = "waiting to be established"
if obj.metadata.deletionTimestamp ~= nil then
  hs.message = "it is being deleted"
  return hs
end
for _, condition in ipairs((obj.status or {}).conditions or {}) do
  local refused = condition.type == "NamesAccepted" and condition.status == "False"
  local malformed = condition.type == "NonStructuralSchema" and condition.status == "True"
  if refused or malformed then
    hs.status = "Degraded"
    hs.message = condition.message
    return hs
  end
  if condition.type == "Established" and condition.status == "True" then
    hs.status = "Healthy"
    hs.message = ""
  end
end
return hs
