"""A new domain on a running rehearsal: one line of node data, and its folders in the tree."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from rehearsal.images.catalog import NEW_SERVICE, SERVICE_VERSION
from tests.gitops.test_tree import DOMAINS, missing, pattern
from tests.rehearsal.gitops_tree import Tree, application, whole
from tests.rehearsal.running import PATHS, answer, kubectl, names, node_data, nodes, ready, rehearse

DOMAIN = NEW_SERVICE
NODE = f"k8s-api-{DOMAIN}"
LINE = (
    f"{{name: {NODE}, role: api, instance_type: t3.small, zone: ap-northeast-2c, "
    f'labels: {{domain: {DOMAIN}, phase: "3"}}}}'
)
_LISTED = "k8s/infrastructure/domains"


def a_new_domain_is_one_line_and_its_folders() -> None:
    """Machine, namespace, project and Application follow, and go with the line."""
    try:
        with _folders(), node_data(LINE):
            rehearse("up")
            assert ready(nodes()[NODE])
            found = application(f"ecoeco-api-{DOMAIN}")
            assert found["status"]["health"]["status"] == "Healthy"
            assert answer(DOMAIN) == {"service": DOMAIN, "version": SERVICE_VERSION}
            pods = kubectl("get", "pods", "-n", DOMAIN)["items"]
            assert {pod["spec"]["nodeName"] for pod in pods} == {NODE}
    finally:
        rehearse("up")
    assert NODE not in nodes()
    assert f"ecoeco-api-{DOMAIN}" not in {each.name for each in whole().applications}
    assert DOMAIN not in names("namespaces")


@contextmanager
def _folders() -> Iterator[None]:
    """The two that a domain needs, for a while: a copy of another's with the name changed."""
    tree = Tree(PATHS.checkout)
    listed = tree.file(f"{_LISTED}/kustomization.yaml")
    before = listed.read_text()
    folders = [tree.file(name) for name in ("k8s/overlays", _LISTED)]
    try:
        for folder in folders:
            shutil.copytree(folder / "auth", folder / DOMAIN)
            lines = pattern(folder, DOMAIN)
            (folder / DOMAIN / "kustomization.yaml").write_text("\n".join(lines) + "\n")
        tree.list_resource(_LISTED, DOMAIN)
        assert missing(tree.file("."), [*DOMAINS, DOMAIN]) == []
        yield
    finally:
        listed.write_text(before)
        for folder in folders:
            shutil.rmtree(folder / DOMAIN, ignore_errors=True)
