"""Why an Application or ApplicationSet is not well, from what Argo CD wrote into it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from operations.cluster import Object

_FAILED = ("Failed", "Error")
_AT_WORK = ("Running", "Terminating")
# what Argo CD's parts say to each other around what is wrong
_AROUND = re.compile(
    r"(Failed to load target state: )?failed to generate manifest for source \d+ of \d+: "
    r"|rpc error: code = \w+ desc = "
    r"|Manifest generation error \(cached\): "
)

# Why an object, by kind, namespace and name, is unhealthy; "" if nothing is known of it.
Trouble = Callable[[str, str, str], str]


def is_well(application: Object) -> bool:
    """Whether an Application is Synced and Healthy, and its last operation is behind it.

    PostSync hooks run when all is applied: while they do, and when they have failed, an
    Application is Synced all the same. What failed before that is over once it is Synced.
    """
    status = _status(application)
    operation = status.get("operationState", {})
    failed_after = operation.get("phase") in _FAILED and any(
        result.get("syncPhase") == "PostSync" for result in _failed(operation)
    )
    return (
        status.get("sync", {}).get("status") == "Synced"
        and status.get("health", {}).get("status") == "Healthy"
        and operation.get("phase") not in _AT_WORK
        and not failed_after
        and "deletionTimestamp" not in application["metadata"]
    )


def of_application(application: Object, trouble: Trouble) -> str:
    """All that is known, in one line: Argo CD's conditions, the last operation, the first object
    that is unhealthy, the first that differs from git."""
    status = _status(application)
    found: list[str] = []
    for text in _texts(application, trouble):
        line = _AROUND.sub("", " ".join(text.split()))
        if line and not any(line in other for other in found):
            found.append(line)
    if found or not status:
        return "; ".join(found) or "Argo CD has not looked at it yet"
    differing = [r for r in status.get("resources", []) if r.get("status") == "OutOfSync"]
    more = f" and {len(differing) - 1} more" if len(differing) > 1 else ""
    return f"{_named(differing[0])}{more} not as in git" if differing else ""


def of_application_set(item: Object) -> str:
    """Its error, or else why its Applications are not up to date; "" if all is well."""
    conditions = {c["type"]: c for c in _status(item).get("conditions", [])}
    error = conditions.get("ErrorOccurred", {})
    if error.get("status") == "True":
        return " ".join(error.get("message", "ErrorOccurred").split())
    current = conditions.get("ResourcesUpToDate", {})
    if current.get("status") == "True":
        return ""
    return " ".join(current.get("message", "its Applications are not written yet").split())


def _texts(application: Object, trouble: Trouble) -> Iterator[str]:
    if application["metadata"].get("deletionTimestamp"):
        yield "is being deleted"
    status = _status(application)
    yield status.get("health", {}).get("message", "")
    for condition in status.get("conditions", []):
        yield condition.get("message", "")
    operation = status.get("operationState", {})
    if operation.get("phase") in (*_FAILED, *_AT_WORK):
        for result in _failed(operation):
            yield f"{_named(result)}: {result.get('message') or 'failed'}"
            break
        yield operation.get("message", "")
    for resource in status.get("resources", []):
        health = resource.get("health", {})
        # Argo CD 3 keeps the health of objects to itself, unless it is told to write it down
        told = "" if health.get("status", "Healthy") == "Healthy" else health.get("message", "")
        place = (resource["kind"], resource.get("namespace", ""), resource["name"])
        if text := told or trouble(*place):
            yield f"{_named(resource)}: {text}"
            break


def _failed(operation: Object) -> list[Object]:
    results = operation.get("syncResult", {}).get("resources", [])
    return [
        result
        for result in results
        if result.get("hookPhase") in _FAILED or result.get("status") == "SyncFailed"
    ]


def _named(resource: Object) -> str:
    return f"{resource['kind']} {resource['name']}"


def _status(item: Object) -> Object:
    found: Object = item.get("status", {})
    return found
