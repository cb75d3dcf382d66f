"""What a team changes in git, on a running rehearsal: each scenario pushes for real, and at its end
the tree and the cluster are as before.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from rehearsal.images.catalog import NEXT_SERVICE_VERSION, SERVICE_VERSION
from tests.rehearsal.gitops_tree import SEEN_S, Tree, application, follow, live, whole
from tests.rehearsal.running import answer, kubectl, names, operator, until
from tests.rehearsal.scenarios_databases import DATABASES, execute

DOMAIN = "auth"
API = f"{DOMAIN}-api"
APPLICATION = f"ecoeco-api-{DOMAIN}"
OVERLAY = f"k8s/overlays/{DOMAIN}"
INFRASTRUCTURE = "k8s/infrastructure"
NEW = "scenario"  # a namespace
MARK = "example.org/scenario"  # an annotation; Argo CD and Kubernetes make nothing of it
# In a process of the operator's, which reaches the repository.
_PUBLISH = """
import sys
from pathlib import Path
from operations.images import publish
print(publish(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
"""


def workers_and_apis_waited_for_the_slowest_database() -> None:
    """At the first sync, which nothing has changed since. All is in git at once, so only the waves
    keep them back."""
    pods = kubectl("get", "pods", "-n", "databases")["items"]
    ready = {
        each["metadata"]["name"]: condition["lastTransitionTime"]
        for each in pods
        for condition in each["status"]["conditions"]
        if (condition["type"], condition["status"]) == ("Ready", "True")
    }
    slowest = max(ready[f"{name}-0"] for name in DATABASES)
    sets = kubectl("get", "statefulsets", "-n", "databases")["items"]
    assert len(sets) == len(DATABASES)
    made = {
        (each["metadata"]["namespace"], each["metadata"]["name"]): _created(each)
        for each in kubectl("get", "deployments", "--all-namespaces")["items"]
        if each["spec"]["template"]["metadata"]["labels"].get("app.kubernetes.io/component")
        in ("api", "worker")
    }
    assert len(made) == 9
    assert max(map(_created, sets)) < slowest <= min(made.values()), (ready, made)


def an_api_gets_another_version_and_git_revert_the_old_one(tree: Tree) -> None:
    """The tag's commit is the build workflow's."""
    with tree.restored(APPLICATION):
        said = operator(
            sys.executable, "-c", _PUBLISH, str(tree.folder), DOMAIN, NEXT_SERVICE_VERSION
        )
        assert said.strip() == f"{DOMAIN} is at {NEXT_SERVICE_VERSION} on main: {tree.pull()}"
        live(tree.head(), APPLICATION)
        assert _image().endswith(f"/{DOMAIN}:{NEXT_SERVICE_VERSION}")
        assert answer(DOMAIN) == {"service": DOMAIN, "version": NEXT_SERVICE_VERSION}
        live(tree.revert(), APPLICATION)
        assert _image().endswith(f"/{DOMAIN}:{SERVICE_VERSION}")
        assert answer(DOMAIN) == {"service": DOMAIN, "version": SERVICE_VERSION}


def target_revision_takes_the_tree_back(tree: Tree) -> None:
    """While the branch goes on; and it is followed again later."""
    with tree.restored(APPLICATION) as before:
        tree.add_patch(
            OVERLAY, "Deployment", _patch("add", "/metadata/annotations", {MARK: "later"})
        )
        later = tree.push(f"{DOMAIN}: later")
        live(later, APPLICATION)
        assert _mark() == "later"
        try:
            follow(before)
            live(before, APPLICATION)
            assert _mark() is None
            assert tree.pull() == later
            fixed = tree.revert()
        finally:
            follow("main")
        live(fixed, APPLICATION)
        assert application(APPLICATION)["spec"]["source"]["targetRevision"] == "main"
        assert _mark() is None
    until("the whole tree is well", lambda: whole().well)


def two_replicas_become_four(tree: Tree) -> None:
    def ready() -> object:
        return _deployment()["status"].get("readyReplicas")

    with tree.restored(APPLICATION):
        until("two are ready", lambda: ready() == 2)
        patch = _patch("replace", "/spec/minReplicas", 4)
        tree.add_patch(OVERLAY, "HorizontalPodAutoscaler", patch)
        live(tree.push(f"{DOMAIN}: 4 replicas"), APPLICATION)
        until("four are ready", lambda: ready() == 4)
    # the autoscaler takes none away as long as nobody measures them, and then after 5 minutes
    operator("kubectl", "scale", f"deployment/{API}", "--replicas=2", "-n", DOMAIN)
    until("two are left", lambda: len(_pods()) == 2)


def postgresql_gets_other_resources(tree: Tree) -> None:
    wanted = {"cpu": "30m", "memory": "96Mi"}

    def database() -> Any:
        return kubectl("get", "pod", "postgresql-0", "-n", "databases")

    before = database()["spec"]["containers"][0]["resources"]["requests"]
    with tree.restored("databases"):
        tree.edit(
            "charts/databases/values-rehearsal.yaml",
            r"(?s)(\npostgresql:.*?requests: )\{[^}]*\}",
            r"\g<1>{cpu: 30m, memory: 96Mi}",
        )
        live(tree.push("postgresql: other resources"), "databases")
        container = database()["spec"]["containers"][0]
        assert container["resources"]["requests"] == wanted != before
        assert all(each["ready"] for each in database()["status"]["containerStatuses"])
        execute("postgresql-0", "pg_isready --quiet --host=postgresql")
    assert database()["spec"]["containers"][0]["resources"]["requests"] == before


def a_new_namespace_comes_and_what_leaves_git_is_pruned(tree: Tree) -> None:
    """And nothing else is: what is not of git stays."""
    with tree.restored("infrastructure"):
        manifest = f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NEW}\n"
        tree.add_resource(INFRASTRUCTURE, f"{NEW}.yaml", manifest)
        manifest = (
            "apiVersion: v1\nkind: ConfigMap\n"
            f"metadata:\n  name: {NEW}\n  namespace: {DOMAIN}\ndata: {{}}\n"
        )
        tree.add_resource(INFRASTRUCTURE, f"{NEW}-data.yaml", manifest)
        live(tree.push(f"namespace {NEW}"), "infrastructure")
        assert kubectl("get", "namespace", NEW)["status"]["phase"] == "Active"
        assert NEW in names("configmaps", "-n", DOMAIN)
        operator("kubectl", "create", "configmap", "by-hand", "-n", DOMAIN)
    assert NEW not in names("namespaces")
    left = names("configmaps", "-n", DOMAIN)
    assert NEW not in left and {"by-hand", "databases"} <= left
    operator("kubectl", "delete", "configmap", "by-hand", "-n", DOMAIN)


def a_broken_commit_stays_out_and_is_told(tree: Tree) -> None:
    with tree.restored(APPLICATION):
        before = _pods()
        tree.list_resource(OVERLAY, "nowhere.yaml")
        tree.push(f"{DOMAIN}: broken")

        def told() -> bool:
            found = whole()
            broken = next(each for each in found.applications if each.name == APPLICATION)
            return not found.well and not broken.well and "nowhere.yaml" in broken.reason

        until("status says what is broken", told, SEEN_S)
        others = [each for each in whole().applications if each.name.startswith("ecoeco-api-")]
        assert len(others) == 7 and all(each.well for each in others if each.name != APPLICATION)
        assert answer(DOMAIN) == {"service": DOMAIN, "version": SERVICE_VERSION}
        assert _pods() == before
    assert _pods() == before


def a_migration_that_fails_keeps_the_release_back(tree: Tree) -> None:
    """By a PreSync hook."""
    before = _pods()
    with tree.restored(APPLICATION):
        tree.add_patch(OVERLAY, "Deployment", _environment("SERVICE_VERSION", "v9.9.9"))
        tree.add_patch(OVERLAY, "Job", _environment("POSTGRESQL_ADDRESS", "nowhere"))
        tree.push(f"{DOMAIN}: its migration fails")
        until("status tells of the migration", lambda: "migration" in _reason(), SEEN_S)
        assert _pods() == before and answer(DOMAIN)["version"] == SERVICE_VERSION
    assert _pods() == before


def a_smoke_test_that_fails_is_told(tree: Tree) -> None:
    """By a PostSync hook: the release is made, and is not what it says that it is."""
    with tree.restored(APPLICATION):
        tree.add_patch(OVERLAY, "Deployment", _environment("SERVICE_VERSION", "v9.9.9"))
        tree.push(f"{DOMAIN}: it says that it is another version")
        until("status tells of the smoke test", lambda: "smoke-test" in _reason(), 2 * SEEN_S)
        assert answer(DOMAIN)["version"] == "v9.9.9" and not whole().well
    assert answer(DOMAIN)["version"] == SERVICE_VERSION


def drift_by_hand_is_healed(tree: Tree) -> None:
    wanted = _image()
    drifted = wanted.replace(f"/{DOMAIN}:", "/info:")
    assert drifted != wanted
    operator("kubectl", "set", "image", f"deployment/{API}", f"api={drifted}", "-n", DOMAIN)
    until("the image is git's again", lambda: _image() == wanted, SEEN_S)
    live(tree.pull(), APPLICATION)
    assert answer(DOMAIN) == {"service": DOMAIN, "version": SERVICE_VERSION}


def a_deleted_object_is_restored(tree: Tree) -> None:
    before = kubectl("get", "service", API, "-n", DOMAIN)["metadata"]["uid"]
    operator("kubectl", "delete", "service", API, "-n", DOMAIN)

    def restored() -> bool:
        found = kubectl("get", "services", "-n", DOMAIN)["items"]
        uids = {each["metadata"]["uid"] for each in found if each["metadata"]["name"] == API}
        return bool(uids - {before})

    until("the Service is there again", restored, SEEN_S)
    live(tree.pull(), APPLICATION)
    until("it answers", lambda: answer(DOMAIN)["service"] == DOMAIN)


def _environment(name: str, value: str) -> str:
    """A patch that adds a variable to the container of each pod; there is none before."""
    path = "/spec/template/spec/containers/0/env"
    return _patch("add", path, [{"name": name, "value": value}])


def _patch(operation: str, path: str, value: Any) -> str:
    """A JSON patch of one operation."""
    return json.dumps([{"op": operation, "path": path, "value": value}])


def _reason() -> str:
    """Why `make status` says that the API's Application is not well."""
    found = next(each for each in whole().applications if each.name == APPLICATION)
    return "" if found.well else found.reason


def _created(item: Any) -> str:
    return str(item["metadata"]["creationTimestamp"])


def _deployment() -> Any:
    return kubectl("get", "deployment", API, "-n", DOMAIN)


def _image() -> str:
    return str(_deployment()["spec"]["template"]["spec"]["containers"][0]["image"])


def _mark() -> str | None:
    found: str | None = _deployment()["metadata"].get("annotations", {}).get(MARK)
    return found


def _pods() -> set[str]:
    """Those of the API that are not being deleted, by uid: one that was replaced is another."""
    found = kubectl("get", "pods", "-n", DOMAIN, "-l", "app.kubernetes.io/component=api")["items"]
    return {
        each["metadata"]["uid"] for each in found if "deletionTimestamp" not in each["metadata"]
    }


SCENARIOS: tuple[Callable[[Tree], None], ...] = (
    an_api_gets_another_version_and_git_revert_the_old_one,
    target_revision_takes_the_tree_back,
    two_replicas_become_four,
    postgresql_gets_other_resources,
    a_new_namespace_comes_and_what_leaves_git_is_pruned,
    a_broken_commit_stays_out_and_is_told,
    a_migration_that_fails_keeps_the_release_back,
    a_smoke_test_that_fails_is_told,
    drift_by_hand_is_healed,
    a_deleted_object_is_restored,
)
