"""GitOps on the rehearsal: how long the first sync takes, and a push against `kubectl apply`.

Uses the rehearsal that runs in this checkout, and leaves it as it was; else it starts one, and
takes it down whatever happens. README.md beside this file says what is measured and what is not.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rehearsal import cli
from rehearsal.errors import RehearsalError
from rehearsal.namespace import OPERATOR, exists
from rehearsal.preflight import memory_gib
from tests.rehearsal.gitops_tree import Tree, application, live, whole
from tests.rehearsal.running import PATHS, kubectl, operator

DOMAIN = "auth"
NAMESPACE = "benchmark"  # of the API that kubectl applies
MARK = "example.org/benchmark"
_OVERLAY = f"k8s/overlays/{DOMAIN}"
_LIMIT_S = 900.0
_PAUSE_S = 0.1


@dataclass(frozen=True)
class FirstSync:
    """seconds: until all Applications were well; applications: of these, when each was first."""

    seconds: float
    applications: dict[str, float]


@dataclass(frozen=True)
class Round:
    """Seconds. By git: until Argo CD compared with the commit, until the cluster had the change,
    until every pod was new; by kubectl: the last alone."""

    seen: float
    applied: float
    git: float
    kubectl: float

    @property
    def ratio(self) -> float:
        return self.git / self.kubectl


def first_sync() -> FirstSync:
    """Deletes the root app with all that it made, and makes it again."""
    place = ("applications.argoproj.io", "root", "--namespace=argocd")
    root = kubectl("get", *place, "--show-managed-fields")
    fields = root["metadata"]["managedFields"]
    # the program's own: another's would keep it from changing the root app later
    manager = next(each["manager"] for each in fields if "f:project" in _spec(each))
    kept = ("name", "namespace", "annotations", "labels", "finalizers")
    meta = {key: root["metadata"][key] for key in kept if key in root["metadata"]}
    manifest = {**{key: root[key] for key in ("apiVersion", "kind", "spec")}, "metadata": meta}
    before = {each.name for each in whole().applications}
    operator("kubectl", "delete", *place, "--wait=false")
    _until("no Application is left", lambda: not whole().applications)
    well: dict[str, float] = {}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(manifest, file)
        file.flush()
        begin = time.monotonic()
        operator("kubectl", "create", f"--field-manager={manager}", "--filename", file.name)

        def all_well() -> bool:
            found = whole()
            passed = round(time.monotonic() - begin, 1)
            for each in found.applications:
                if each.well:
                    well.setdefault(each.name, passed)
            return found.well and before <= {each.name for each in found.applications}

        seconds = _until("all Applications are well again", all_well, begin)
    return FirstSync(seconds, well)


def _spec(fields: Any) -> Any:
    """The part of an entry of managedFields that is about the spec."""
    return fields["fieldsV1"].get("f:spec", {})


def by_git(tree: Tree, value: str) -> tuple[float, float, float]:
    """Pushes the change; seconds as in `Round`."""
    _mark(tree, value)
    begin = time.monotonic()
    commit = tree.push(f"benchmark {value}")

    def seen() -> bool:
        status = application(f"ecoeco-api-{DOMAIN}").get("status", {})
        return bool(status.get("sync", {}).get("revision") == commit)

    return (
        _until("Argo CD has seen the commit", seen, begin),
        _until("the change is applied", lambda: _marked(_deployment(DOMAIN), value), begin),
        _until("the change is live", lambda: _live(_deployment(DOMAIN), value), begin),
    )


def by_kubectl(tree: Tree, value: str, replicas: int) -> float:
    """Applies the overlay with the change that it has; seconds until it is live."""
    begin = time.monotonic()
    rendered = operator("kubectl", "kustomize", str(tree.file(_OVERLAY)))
    objects = [o for o in yaml.safe_load_all(rendered) if o["kind"] in ("Deployment", "Service")]
    for item in objects:
        item["metadata"]["namespace"] = NAMESPACE
        if item["kind"] == "Deployment":  # which no autoscaler does there
            item["spec"]["replicas"] = replicas
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump_all(objects, file)
        file.flush()
        operator("kubectl", "apply", "--filename", file.name)
    return _until("it is live", lambda: _live(_deployment(NAMESPACE), value), begin)


@contextmanager
def namespace() -> Iterator[None]:
    """A namespace for a while, with what the API reads at its start."""
    operator("kubectl", "create", "namespace", NAMESPACE)
    try:
        for item in kubectl("get", "configmaps", f"--namespace={DOMAIN}")["items"]:
            name = item["metadata"]["name"]
            if name == "kube-root-ca.crt":  # every namespace has it
                continue
            literals = (f"--from-literal={key}={value}" for key, value in item["data"].items())
            place = f"--namespace={NAMESPACE}"
            operator("kubectl", "create", "configmap", name, place, *literals)
        yield
    finally:
        operator("kubectl", "delete", "namespace", NAMESPACE, "--timeout=120s")


def rounds(tree: Tree, count: int, report: Callable[[str], None]) -> list[Round]:
    """Git, kubectl, git, kubectl, …: what changes with time touches both alike."""
    done: list[Round] = []
    name = f"ecoeco-api-{DOMAIN}"
    with tree.restored(name), namespace():
        replicas = int(_deployment(DOMAIN)["spec"]["replicas"])
        _mark(tree, "0")  # its first pods' start is not measured
        by_kubectl(tree, "0", replicas)
        for number in range(1, count + 1):
            seen, applied, git = by_git(tree, str(number))
            live(tree.head(), name)  # its hooks are over, too
            applying = by_kubectl(tree, str(number), replicas)
            done.append(Round(seen, applied, git, applying))
            report(f"round {number}: git {git:.1f} s, kubectl {applying:.1f} s")
    return done


def _mark(tree: Tree, value: str) -> None:
    """The pods' annotation in the overlay's patch."""
    file = tree.file(f"{_OVERLAY}/deployment-patch.yaml")
    patch = yaml.safe_load(file.read_text())
    patch["spec"]["template"].setdefault("metadata", {})["annotations"] = {MARK: value}
    file.write_text(yaml.safe_dump(patch, sort_keys=False))


def _deployment(namespace: str) -> Any:
    return kubectl("get", "deployment", f"{DOMAIN}-api", f"--namespace={namespace}")


def _marked(deployment: Any, value: str) -> bool:
    found = deployment["spec"]["template"]["metadata"].get("annotations", {})
    return bool(found.get(MARK) == value)


def _live(deployment: Any, value: str) -> bool:
    """Every pod is of the new template and available, and no other is left."""
    status, wanted = deployment["status"], deployment["spec"]["replicas"]
    counts = ("replicas", "updatedReplicas", "availableReplicas")
    return (
        _marked(deployment, value)
        and status.get("observedGeneration") == deployment["metadata"]["generation"]
        and all(status.get(count) == wanted for count in counts)
    )


def _until(what: str, condition: Callable[[], bool], begin: float | None = None) -> float:
    """Seconds from `begin` (default: now) until it holds."""
    begin = time.monotonic() if begin is None else begin
    while not condition():
        if time.monotonic() - begin > _LIMIT_S:
            raise RehearsalError(f"waited {_LIMIT_S:.0f} s in vain until {what}; see `make status`")
        time.sleep(_PAUSE_S)
    return round(time.monotonic() - begin, 2)


def main() -> int:
    """Runs it all; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="pairs (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the results for machines")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    clock = cli.Clock()
    started = not (exists(OPERATOR) and PATHS.run.exists())
    status, data = 1, None
    try:
        if not started or cli.main(["up"]) == 0:
            data = _measure(options.rounds, clock.say)
            status = 0
    except (RehearsalError, AssertionError) as error:
        print(f"\nbenchmark: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        status = 130
    finally:
        if started:
            status = cli.main(["down"]) or status
    if data is not None:
        if options.json:
            options.json.write_text(json.dumps(data, indent=2) + "\n")
        print(_as_text(data))
    return status


def _measure(count: int, report: Callable[[str], None]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        tree = Tree.clone(Path(folder, "clone"))
        done = rounds(tree, count, report)
        report("the first sync: all is deleted, and made again")
        sync = first_sync()
        report(f"all Applications were well after {sync.seconds:.1f} s")
    return {
        "processors": os.cpu_count(),
        "free_memory_gib": round(memory_gib(), 1),
        "first_sync": asdict(sync),
        "rounds": [{**asdict(r), "ratio": round(r.ratio, 2)} for r in done],
        "median": _medians(done),
    }


def _medians(done: Sequence[Round]) -> dict[str, float]:
    names = ("seen", "applied", "git", "kubectl", "ratio")
    return {n: round(statistics.median(getattr(r, n) for r in done), 2) for n in names}


def _as_text(data: dict[str, Any]) -> str:
    sync = data["first_sync"]
    lines = ["", f"first sync: all Applications well after {sync['seconds']:.1f} s"]
    lines += [f"  {name:28}{seconds:8.1f} s" for name, seconds in sync["applications"].items()]
    lines += ["", f"{'':10}{'seen':>10}{'applied':>10}{'live':>10}{'kubectl':>10}{'ratio':>8}"]
    rows = [(f"round {n}", r) for n, r in enumerate(data["rounds"], 1)]
    for name, row in [*rows, ("median", data["median"])]:
        seconds = "".join(f"{row[k]:8.1f} s" for k in ("seen", "applied", "git", "kubectl"))
        lines.append(f"{name:10}{seconds}{row['ratio']:8.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
