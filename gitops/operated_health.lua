-- Health of what the Prometheus operator runs, as it tells it. Argo CD's own rule calls one that has
-- no pods yet Degraded, which fails a sync that waits for it.
hs = {}
hs.status = "Progressing"
hs.message = "waiting for its pods"
for _, condition in ipairs((obj.status or {}).conditions or {}) do
  if condition.type == "Reconciled" and condition.status == "False" then
    hs.status = "Degraded"
    hs.message = condition.message
    return hs
  end
  if condition.type == "Available" then
    hs.message = condition.message
    if condition.status == "True" then
      hs.status = "Healthy"
    end
  end
end
return hs
