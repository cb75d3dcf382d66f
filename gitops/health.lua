-- Health of an Application, so that sync waves between child Applications gate: Argo CD has had
-- no such rule of its own since 1.8 (argo-cd docs/operator-manual/health.md, issue 16870).
-- Healthy only when the verdict is about the source that the spec names now, and the sync is over,
-- its hooks too: an Application is Synced before its PostSync hooks have run, and stays so if they
-- fail. What failed before them is over once it is Synced: a revert leaves nothing to be synced, so
-- the failure stays the last sync's.
hs = {}
hs.status = "Progressing"
hs.message = "waiting for the first sync"
if obj.status ~= nil then
  if obj.status.health ~= nil and obj.status.health.status ~= nil then
    hs.status = obj.status.health.status
    hs.message = obj.status.health.message or ""
  end
  local sync = obj.status.sync
  local operation = obj.status.operationState
  local failed = operation ~= nil and (operation.phase == "Failed" or operation.phase == "Error")
  if failed and sync ~= nil and sync.status == "Synced" then
    failed = false
    for _, result in ipairs((operation.syncResult or {}).resources or {}) do
      local bad = result.hookPhase == "Failed" or result.hookPhase == "Error" or result.status == "SyncFailed"
      failed = failed or (bad and result.syncPhase == "PostSync")
    end
  end
  if failed then
    hs.status = "Degraded"
    hs.message = "the last sync failed: " .. (operation.message or "no reason given")
  elseif hs.status == "Healthy" then
    if sync == nil or sync.status ~= "Synced" then
      hs.status = "Progressing"
      hs.message = "waiting to be synced"
    elseif operation ~= nil and (operation.phase == "Running" or operation.phase == "Terminating") then
      hs.status = "Progressing"
      hs.message = "the sync is not over"
    elseif obj.spec.source ~= nil and sync.comparedTo ~= nil and sync.comparedTo.source ~= nil then
      local old = sync.comparedTo.source
      local new = obj.spec.source
      if old.repoURL ~= new.repoURL or old.path ~= new.path or old.targetRevision ~= new.targetRevision then
        hs.status = "Progressing"
        hs.message = "the verdict is about an earlier source"
      end
    end
  end
end
return hs
