"""One control plane becomes three, loses one host of them, and becomes one again.

A scenario for the rehearsal that runs: it leaves it as it was.
"""

from __future__ import annotations

from rehearsal.hosts.host import list_hosts
from tests.rehearsal.running import (
    PATHS,
    booted,
    node_data,
    nodes,
    operator,
    ready,
    rehearse,
    ssh,
    steps,
    until,
)

FIRST, SECOND, THIRD = "k8s-master", "k8s-master-2", "k8s-master-3"
LINES = "\n      - ".join(
    f"{{name: {name}, role: control-plane, instance_type: t3.large, zone: ap-northeast-2{zone}}}"
    for name, zone in ((SECOND, "c"), (THIRD, "a"))
)
# What stands before several control planes, and leads to them
BALANCER = ("kube-api", "::nlb", "api-load-balancer", "::api", "-2379-2380-")
_KEYS = "/etc/kubernetes/pki/etcd"


def members() -> set[str]:
    """Names of etcd's members, by its own word."""
    client = [f"--cacert={_KEYS}/ca.crt", f"--cert={_KEYS}/healthcheck-client.crt"]
    listed = operator(
        *("kubectl", "-n", "kube-system", "exec", f"etcd-{FIRST}", "--", "etcdctl", *client),
        *(f"--key={_KEYS}/healthcheck-client.key", "member", "list"),
    )
    return {line.split(", ")[2] for line in listed.splitlines()}


def api_addresses() -> set[str]:
    """What the API's name stands for inside the VPC."""
    return set(ssh("getent ahostsv4 api.groundwork.internal | cut -d' ' -f1").split())


def changed_elsewhere() -> list[str]:
    """URNs that the last `up` touched, of neither the further control planes nor their balancer."""
    own = (SECOND, THIRD, "pulumi:pulumi:Stack", *BALANCER)
    return [urn for _, urn in steps() if not any(part in urn for part in own)]


def one_becomes_three_and_one_again() -> None:
    before = set(nodes())
    with node_data(LINES):
        rehearse("up")
        assert changed_elsewhere() == []
        found = nodes()
        assert set(found) == {*before, SECOND, THIRD}
        for name in (SECOND, THIRD):
            assert ready(found[name]), name
            assert found[name]["metadata"]["labels"]["node-role.kubernetes.io/control-plane"] == ""
        assert members() == {FIRST, SECOND, THIRD}
        assert len(api_addresses()) == 3

        dead = booted(THIRD)["id"]
        next(host for host in list_hosts(PATHS) if host.spec.name == dead).kill()
        until("the API's name leads to the two that live", lambda: len(api_addresses()) == 2, 60)
        asked = "curl -ks --max-time 20 https://api.groundwork.internal:6443/readyz"
        assert ssh(asked) == "ok"
    rehearse("up")
    assert changed_elsewhere() == []
    assert set(nodes()) == before
    assert members() == {FIRST}
    assert len(api_addresses()) == 1
