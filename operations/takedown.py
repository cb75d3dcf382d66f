"""The Applications of a cluster, taken down so that nothing hangs and little stays.

Argo CD deletes what an Application made, its children among it, the last wave first. So those that
no other made are deleted, the root app last, while Argo CD, the AppProjects and the controllers of
load balancers and volumes run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from operations.cluster import ARGOCD, Kubectl, Object
from operations.errors import OperationsError
from operations.teardown import TRACKED, check

Who = tuple[str, str]  # kind and name

ROOT: Who = ("Application", "root")  # gitops/layer.py
_KINDS = {
    "ApplicationSet": "applicationsets.argoproj.io",
    "Application": "applications.argoproj.io",
}
_LIMIT_S = 30 * 60.0  # as the program gives the root app: a sync that runs is waited for
_LOOK_S = 3.0

Say = Callable[[str], None]


def take_down(
    kubectl: Kubectl,
    say: Say,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Sequence[str]:
    """Deletes every Application and ApplicationSet, and returns when they are gone: with what of
    the cluster is still in AWS, a line each. Goes on where it was interrupted.

    Raises OperationsError, before anything is deleted, if something would hang or stay; later, if
    something is not gone after half an hour.
    """
    if problems := check(kubectl).problems:
        raise OperationsError("\n  ".join(["the Applications cannot go yet:", *problems]))
    until = clock() + _LIMIT_S
    told = -1
    while items := _applications(kubectl):
        if len(items) != told:
            say(f"Applications and ApplicationSets to go: {len(items)}")
            told = len(items)
        if clock() > until:
            raise OperationsError(_late(items, check(kubectl).problems))
        for item in _next(items):
            kubectl.delete(_KINDS[item["kind"]], item["metadata"]["name"], f"--namespace={ARGOCD}")
        pause(_LOOK_S)
    return check(kubectl).there


def _applications(kubectl: Kubectl) -> list[Object]:
    return kubectl.get(",".join(_KINDS.values()), f"--namespace={ARGOCD}")


def _next(items: Sequence[Object]) -> list[Object]:
    """Those to be deleted now: that nothing there has made, the root app after the others."""
    there = {_who(item) for item in items}
    tops = [item for item in items if _maker(item) not in there - {_who(item)}]
    first = [item for item in tops if _who(item) != ROOT] or tops or items
    return [item for item in first if "deletionTimestamp" not in item["metadata"]]


def _who(item: Object) -> Who:
    return item["kind"], item["metadata"]["name"]


def _maker(item: Object) -> Who | None:
    """The ApplicationSet or Application that made it; None: nobody."""
    for owner in item["metadata"].get("ownerReferences", ()):
        return owner["kind"], owner["name"]
    tracked = item["metadata"].get("annotations", {}).get(TRACKED)  # <Application>:<object>
    return ("Application", tracked.split(":")[0]) if tracked else None


def _late(items: Sequence[Object], problems: Sequence[str]) -> str:
    names = ", ".join(f"{kind} {name}" for kind, name in map(_who, items))
    looks = f"see `kubectl -n {ARGOCD} describe` of each"
    return "\n  ".join([f"not gone after {_LIMIT_S / 60:.0f} minutes: {names}; {looks}", *problems])
