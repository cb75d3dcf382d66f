"""Scripts and kubeadm's YAML: well-formed, safely quoted, complete."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from cluster import render
from settings import Node, Settings, load
from tests.conftest import ProjectMaker

SCRIPTS = Path(render.__file__).parent / "scripts"


@pytest.fixture
def settings(make_project: ProjectMaker) -> Settings:
    return load(make_project(), "test")


def inner(command: str) -> str:
    """The script that `sudo -n bash -c` would run."""
    done = subprocess.run(
        ["bash", "-c", f'sudo() {{ printf %s "${{!#}}"; }}; {command}'],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def node(**fields: object) -> Node:
    return Node.model_validate(
        {"name": "n", "role": "worker", "instance_type": "t3.small", "zone": "z", **fields}
    )


def joining(node: Node, first_control_plane: str | None = None) -> render.MemberArgs:
    return render.MemberArgs(
        node, "10.0.0.9", "ssh-ed25519 BBBB", "admin", "api:6443", "p", first_control_plane
    )


def rendered(settings: Settings) -> dict[str, str]:
    master, worker = settings.nodes[0], settings.nodes[10]
    return {
        "prepare": render.prepare(worker.name, settings.cluster, "admin", "ssh-ed25519 AAAA"),
        "join-key": render.as_root("join-key"),
        "init": render.init(master, "10.0.0.4"),
        "cni": render.as_root("cni", MANIFEST_URL="http://x/y", NODE_NAME=master.name),
        "labels": render.as_root("labels", NODE_NAME=master.name, LABELS="a=b"),
        "jwks": render.as_root("jwks"),
        "member": render.member(joining(worker)),
        "leave": render.leave(worker, None),
    }


def further_control_plane() -> dict[str, str]:
    second = node(name="k8s-master-2", role="control-plane")
    return {
        "member": render.member(joining(second, "k8s-master")),
        "leave": render.leave(second, "k8s-master"),
    }


def test_every_script_is_rendered_by_a_test(settings: Settings) -> None:
    assert {path.stem for path in SCRIPTS.glob("*.sh")} == {
        *rendered(settings),
        *("join", "approve", "etcd", "serving"),  # put on nodes, and what others call
    }


def test_every_script_has_every_variable_it_names(settings: Settings) -> None:
    for name, command in rendered(settings).items():
        text = (SCRIPTS / f"{name}.sh").read_text()
        header = text.split("\n\n")[0]
        wanted = set(re.findall(r"\b[A-Z][A-Z_]{3,}\b", header)) - {"CA"}
        wanted &= set(re.findall(r"\$\{?([A-Z][A-Z_]+)", text))
        script = inner(command)
        missing = {v for v in wanted if not re.search(rf"^{v}=", script, re.M)}
        assert not missing, f"{name}: {missing}"


def test_rendered_scripts_pass_shellcheck(settings: Settings, tmp_path: Path) -> None:
    for name, command in rendered(settings).items():
        (tmp_path / f"{name}.sh").write_text("#!/bin/bash\n" + inner(command))
    for name, command in further_control_plane().items():
        (tmp_path / f"{name}-control-plane.sh").write_text("#!/bin/bash\n" + inner(command))
    files = [*tmp_path.glob("*.sh"), SCRIPTS / "join.sh"]
    done = subprocess.run(["shellcheck", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_values_are_quoted() -> None:
    evil = "x'; touch /tmp/pwned; echo '"
    script = inner(render.as_root("labels", NODE_NAME=evil))
    line = next(text for text in script.splitlines() if text.startswith("NODE_NAME="))
    done = subprocess.run(
        ["bash", "-c", f'{line}; printf %s "$NODE_NAME"'], capture_output=True, text=True
    )
    assert done.stdout == evil


def test_init_configuration_is_kubeadm_v1beta4_at_the_endpoints_name(settings: Settings) -> None:
    text = render.init_configuration(
        settings.nodes[0], settings.cluster, "c", "api.x", "aws:///z/i"
    )
    init, cluster, kubelet, proxy = yaml.safe_load_all(text)
    assert init["apiVersion"] == cluster["apiVersion"] == "kubeadm.k8s.io/v1beta4"
    assert cluster["controlPlaneEndpoint"] == "api.x:6443"
    assert cluster["apiServer"]["certSANs"] == ["api.x"]
    assert cluster["kubernetesVersion"] == "v1.34.4"
    assert init["nodeRegistration"]["taints"] == [
        {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    ]
    assert {"name": "provider-id", "value": "aws:///z/i"} in init["nodeRegistration"][
        "kubeletExtraArgs"
    ]
    assert kubelet["cgroupDriver"] == "systemd"
    assert proxy["mode"] == "nftables" and "conntrack" not in proxy
    assert "SystemdCgroup = true" in render.containerd_config(settings.cluster.containerd)


def test_tokens_are_issued_in_the_name_of_a_public_issuer(settings: Settings) -> None:
    text = render.init_configuration(
        settings.nodes[0], settings.cluster, "c", "api.x", "p", "https://issuer.x"
    )
    flags = {
        f["name"]: f["value"] for f in list(yaml.safe_load_all(text))[1]["apiServer"]["extraArgs"]
    }
    assert flags["service-account-issuer"] == "https://issuer.x"
    assert flags["service-account-jwks-uri"] == "https://issuer.x/keys.json"
    assert "https://issuer.x" in flags["api-audiences"].split(",")


def test_a_further_control_plane_keeps_kubeadms_taint() -> None:
    second = node(role="control-plane", taints=["a=b:NoSchedule"])
    line = next(
        text
        for text in inner(render.member(joining(second, "k8s-master"))).splitlines()
        if text.startswith("TAINTS=")
    )
    assert line == "TAINTS='a=b:NoSchedule node-role.kubernetes.io/control-plane:NoSchedule'"


MEMBERS = """\
8e9e05c52164694d, started, k8s-master, https://10.0.0.4:2380, https://10.0.0.4:2379, false
91bc3c398fb3c146, started, k8s-master-2, https://10.0.0.5:2380, https://10.0.0.5:2379, false
fd422379fda50e48, unstarted, , https://10.0.0.9:2380, , false
"""


@pytest.mark.parametrize(
    ("arguments", "removed"),
    [
        ("k8s-master-2", ["91bc3c398fb3c146"]),
        ("k8s-master-3", []),
        ("k8s-master-3 10.0.0.9", ["fd422379fda50e48"]),
        ("k8s-master-2 10.0.0.9", ["91bc3c398fb3c146", "fd422379fda50e48"]),
        ("k8s-master-3 10.0.0.1", []),
    ],
)
def test_a_member_that_is_gone_is_taken_out_of_etcd(arguments: str, removed: list[str]) -> None:
    script = f"""set -euo pipefail
    FIRST_CONTROL_PLANE=k8s-master
    kubectl() {{
      [[ "$*" == *" etcd-k8s-master "* ]]
      case "$*" in *"member list") printf %s '{MEMBERS}' ;; *) echo "${{!#}}" >&3 ;; esac
    }}
    {(SCRIPTS / "etcd.sh").read_text()}
    etcd_forget {arguments}"""
    done = subprocess.run(
        ["bash", "-c", f"exec 3>&1; {script}"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == removed


SIGNED = """\
case "$1 $2" in
"get nodes") cat "$REQUESTS/nodes" ;;
"get csr") if [ "$3" = --field-selector ]; then set -- . . asked; fi; cat "$REQUESTS/$3" ;;
"certificate approve") echo "$3" >>"$REQUESTS/approved" ;;
esac
"""
SERVED = """\
[ "$1" = s_client ] || exec "$OPENSSL" "$@"
[ "$*" = "s_client -connect 10.0.0.9:10250 -verify_ip 10.0.0.9 -verify_return_error -CAfile \
/etc/kubernetes/pki/ca.crt" ] && [ -e "$REQUESTS/approved" ]
"""


def test_a_kubelet_gets_a_certificate_for_its_own_name_and_address_alone(tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    assert openssl
    asked = {
        "another-address": "DNS:k8s-a,IP:10.0.0.8",
        "another-name": "DNS:k8s-b,IP:10.0.0.9",
        "too-much": "DNS:k8s-a,DNS:api.x,IP:10.0.0.9",
        "own": "DNS:k8s-a,IP:10.0.0.9",
    }
    for name, names in asked.items():
        key = ["-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null"]
        subject = ["-subj", "/O=system:nodes/CN=system:node:k8s-a", "-addext"]
        request = subprocess.run(
            [openssl, "req", "-new", *key, *subject, f"subjectAltName={names}"],
            capture_output=True,
            check=True,
        ).stdout
        (tmp_path / name).write_bytes(base64.b64encode(request))
    (tmp_path / "asked").write_text(" ".join(asked))
    for program, text in (("kubectl", SIGNED), ("openssl", SERVED)):
        (tmp_path / program).write_text(f"#!/bin/bash\n{text}")
        (tmp_path / program).chmod(0o755)
    script = f"set -euo pipefail\n{(SCRIPTS / 'serving.sh').read_text()}"
    path = f"{tmp_path}:/usr/bin:/bin"
    environment = {"PATH": path, "REQUESTS": str(tmp_path), "OPENSSL": openssl}
    wait = f"{script}serving_certificate k8s-a 10.0.0.9"
    subprocess.run(["bash", "-c", wait], env=environment, check=True)
    assert (tmp_path / "approved").read_text().split() == ["own"]
    (tmp_path / "approved").unlink()
    renewal = f"{script}\n{(SCRIPTS / 'approve.sh').read_text()}"
    (tmp_path / "nodes").write_text("k8s-a 10.0.0.9\n")
    done = subprocess.run(
        ["bash", "-c", renewal], env=environment, capture_output=True, text=True, check=True
    )
    assert (tmp_path / "approved").read_text().split() == ["own"]
    assert done.stdout.splitlines() == [
        f"k8s-a (10.0.0.9): not approved: {name}, for {names.replace('IP:', 'IPAddress:')}"
        for name, names in asked.items()
        if name != "own"
    ]


def test_an_etcd_that_does_not_answer_is_an_error() -> None:
    script = f"""set -euo pipefail
    FIRST_CONTROL_PLANE=k8s-master
    kubectl() {{ return 1; }}
    {(SCRIPTS / "etcd.sh").read_text()}
    etcd_forget k8s-master-2; echo went on"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert done.returncode != 0 and not done.stdout


def test_the_kubelets_thresholds_are_the_settings(make_project: ProjectMaker) -> None:
    kubelet = {"eviction_hard": {"nodefs.available": "1Gi"}, "image_gc_high_threshold_percent": 100}
    changed = load(make_project(cluster={"kubelet": kubelet}), "test")
    text = render.init_configuration(changed.nodes[0], changed.cluster, "c", "api.x", "p")
    found = list(yaml.safe_load_all(text))[2]
    assert found["evictionHard"] == {"nodefs.available": "1Gi"}
    assert found["imageGCHighThresholdPercent"] == 100


def test_taints_are_split_as_kubeadm_wants_them() -> None:
    assert render.taints(node(taints=["a=b:NoSchedule", "c:NoExecute"])) == [
        {"key": "a", "value": "b", "effect": "NoSchedule"},
        {"key": "c", "effect": "NoExecute"},
    ]


def test_labels_hold_the_role_as_kubectl_shows_it() -> None:
    assert render.labels(node(labels={"workload": "ai"})) == {
        "role": "worker",
        "node-role.kubernetes.io/worker": "",
        "workload": "ai",
    }


def test_the_kubeconfig_works_from_outside_by_the_certificates_name() -> None:
    admin = yaml.safe_dump(
        {
            "clusters": [{"name": "c", "cluster": {"server": "https://api.x:6443"}}],
            "contexts": [{"name": "admin@c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "admin@c",
            "users": [{"name": "u", "user": {"client-key-data": "k"}}],
        }
    )
    config = yaml.safe_load(render.kubeconfig(admin, "203.0.113.9", "api.x", "prod"))
    assert config["clusters"][0]["cluster"] == {
        "server": "https://203.0.113.9:6443",
        "tls-server-name": "api.x",
    }
    assert config["current-context"] == config["contexts"][0]["name"] == "prod"
