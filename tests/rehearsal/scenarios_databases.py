"""What a client of the databases sees while pods and nodes come and go.

Scenarios for a rehearsal that runs; each leaves it as it was.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from rehearsal import cloud
from rehearsal.images.databases import CURL
from rehearsal.namespace import OPERATOR, inside
from tests.rehearsal.running import PATHS, kubectl, node_data, operator, rehearse

NAMESPACE = "databases"
DATABASES = ("postgresql", "redis", "rabbitmq")
_ZONE = "topology.kubernetes.io/zone"
_PATIENCE_S = 300

# A pod of its own: the database's image has no HTTP client.
_CLIENT = """
apiVersion: v1
kind: Pod
metadata:
  name: client
  namespace: databases
  labels: {app.kubernetes.io/component: client}
spec:
  restartPolicy: Never
  automountServiceAccountToken: false
  securityContext:
    {runAsNonRoot: true, runAsUser: 999, fsGroup: 999, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: client
      image: %(image)s
      command: [sh, -euc, %(script)s]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
      resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
      volumeMounts: [{name: credentials, mountPath: /run/secrets/rabbitmq, readOnly: true}]
  volumes:
    - {name: credentials, secret: {secretName: rabbitmq-credentials, defaultMode: 288}}
"""
_RABBITMQ = """
ask() {
  printf 'user = "%s:%s"' "$(cat /run/secrets/rabbitmq/username)" \
    "$(cat /run/secrets/rabbitmq/password)" |
    curl -fsS --retry 30 --retry-delay 1 --retry-all-errors -K - -H content-type:application/json \
      -X "$1" "http://rabbitmq:15672/api/$2" -d "$3"
}
"""
_PUBLISH = """
ask PUT queues/%%2F/kept '{"durable": true}'
ask POST exchanges/%%2F/amq.default/publish '{"routing_key": "kept", "payload": "%s",
  "payload_encoding": "string", "properties": {"delivery_mode": 2}}'
"""
_GET = """
ask POST queues/%2F/kept/get '{"count": 9, "ackmode": "ack_requeue_false", "encoding": "auto"}'
"""


def get(*what: str) -> Any:
    """An object of the databases' namespace, or of none."""
    return kubectl("get", "-n", NAMESPACE, *what)


def wait_ready() -> None:
    """Until all three are."""
    pods = [f"pod/{name}-0" for name in DATABASES]
    for condition in ("create", "condition=Ready"):
        wait = ("kubectl", "wait", "-n", NAMESPACE, f"--for={condition}")
        operator(*wait, f"--timeout={_PATIENCE_S}s", *pods)


def execute(pod: str, script: str) -> str:
    return operator("kubectl", "exec", "-n", NAMESPACE, pod, "--", "sh", "-euc", script)


def client(script: str) -> str:
    """What a pod prints that runs the script."""
    text = _CLIENT % {"image": CURL, "script": json.dumps(script)}
    operator("sh", "-c", 'printf %s "$0" | kubectl apply -f -', text)
    try:
        succeeded = "--for=jsonpath={.status.phase}=Succeeded"
        operator("kubectl", "wait", "-n", NAMESPACE, "pod/client", succeeded, "--timeout=120s")
        return operator("kubectl", "logs", "-n", NAMESPACE, "client")
    finally:
        operator("kubectl", "delete", "-n", NAMESPACE, "pod/client", "--wait=true")


def databases_run_on_their_nodes() -> None:
    """Each on the node of its role, on an encrypted EBS volume of that node's zone."""
    wait_ready()
    with inside(OPERATOR):
        made = cloud.client("ec2").describe_volumes(
            Filters=[{"Name": "tag:ebs.csi.aws.com/cluster", "Values": ["true"]}]
        )["Volumes"]
    in_ec2 = {volume["VolumeId"]: volume for volume in made}
    for name in DATABASES:
        node = get("node", _node_of(name))
        assert node["metadata"]["labels"]["role"] == name
        claim = get("pvc", f"data-{name}-0")
        assert claim["status"]["phase"] == "Bound"
        volume = get("pv", claim["spec"]["volumeName"])
        ebs = in_ec2[volume["spec"]["local"]["path"].rsplit("/", 1)[-1]]
        assert ebs["AvailabilityZone"] == node["metadata"]["labels"][_ZONE]
        assert ebs["Encrypted"] and ebs["VolumeType"] == "gp3"


def credentials_are_made_and_asked_for() -> None:
    """Each database has a password of its own, which no log has; a wrong one is refused."""
    passwords = {
        base64.b64decode(get("secret", f"{name}-credentials")["data"]["password"]).decode()
        for name in DATABASES
    }
    assert len(passwords) == 3 and all(len(each) == 32 for each in passwords)
    for log in PATHS.logs.iterdir():
        text = log.read_text(errors="replace")
        assert not [each[:4] for each in passwords if each in text], log.name
    asked = "redis-cli -h redis --no-auth-warning -a wrong ping 2>&1 || true"
    assert "WRONGPASS" in execute("redis-0", f"unset REDISCLI_AUTH; {asked}")
    asked = "PGPASSWORD=wrong psql -h postgresql -U ecoeco -d ecoeco -c 'SELECT 1' 2>&1 || true"
    assert "password authentication failed" in execute("postgresql-0", asked)


def data_outlive_pods() -> None:
    """Written, all pods deleted at once, read back."""
    _write("pods")
    before = {name: _uid(name) for name in DATABASES}
    pods = [f"pod/{name}-0" for name in DATABASES]
    operator("kubectl", "delete", "-n", NAMESPACE, *pods)
    wait_ready()
    assert all(_uid(name) != before[name] for name in DATABASES)
    _read("pods")


def data_outlive_a_node(name: str = "postgresql") -> None:
    """Written, the node replaced by another one by node data alone, read back; and back again."""
    node = get("node", _node_of(name))
    zone, old = node["metadata"]["labels"][_ZONE], node["metadata"]["name"]
    _write("nodes")
    line = (
        f"{{name: {old}, absent: true}}\n      - {{name: {old}-2, role: {name}, zone: {zone}, "
        'instance_type: t3.medium, taints: ["workload=database:NoSchedule"]}'
    )
    with node_data(line):
        rehearse("up")
        wait_ready()
        assert _node_of(name) == f"{old}-2"
        _read("nodes")
        _write("back")
    rehearse("up")
    wait_ready()
    assert _node_of(name) == old
    _read("back")


def _write(text: str) -> None:
    sql = f"CREATE TABLE IF NOT EXISTS kept (word text); INSERT INTO kept VALUES ('{text}')"
    execute("postgresql-0", _psql(sql))
    assert execute("redis-0", f"redis-cli -h redis set kept {text}").split() == ["OK"]
    client(_RABBITMQ + _PUBLISH % text)


def _read(text: str) -> None:
    """And takes back what was written."""
    taken = execute("postgresql-0", _psql("DELETE FROM kept RETURNING word"))
    assert taken.split() == [text]
    assert execute("redis-0", "redis-cli -h redis getdel kept").split() == [text]
    messages = json.loads(client(_RABBITMQ + _GET))
    assert [message["payload"] for message in messages] == [text]


def _psql(sql: str) -> str:
    password = "PGPASSWORD=$(cat /run/secrets/postgresql/password)"
    return f'{password} psql -qtA -h postgresql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "{sql}"'


def _node_of(name: str) -> str:
    node: str = get("pod", f"{name}-0")["spec"]["nodeName"]
    return node


def _uid(name: str) -> str:
    uid: str = get("pod", f"{name}-0")["metadata"]["uid"]
    return uid


SCENARIOS = (
    databases_run_on_their_nodes,
    credentials_are_made_and_asked_for,
    data_outlive_pods,
    data_outlive_a_node,
)
