"""What a change would lose for good: said before everything else."""

from __future__ import annotations

from dataclasses import dataclass

from delivery.events import Step, layer
from settings import Role

_LOSES = {
    "aws:ebs/volume:Volume": "a volume, with the data on it",
    "aws:kms/key:Key": "a key: what it encrypted cannot be read without it",
    "aws:route53/zone:Zone": "a zone: its records go, and its name servers change",
    "aws:s3/bucket:Bucket": "a bucket, with what is stored in it",
}
_INSTANCE = "aws:ec2/instance:Instance"
_COMMAND = "command:remote:Command"
_DATABASES = frozenset({Role.POSTGRESQL, Role.REDIS, Role.RABBITMQ})


@dataclass(frozen=True)
class Danger:
    """verb: `replaced` or `deleted`; loses: what the resource is, and what goes with it."""

    step: Step
    verb: str
    loses: str


def danger(step: Step) -> Danger | None:
    """Why a step is dangerous, if it is: it takes a database node, the control plane or something
    that keeps data."""
    verb = {"replace": "replaced", "delete": "deleted"}.get(step.op)
    loses = _loses(step) if verb else None
    return Danger(step, verb, loses) if verb and loses else None


def _loses(step: Step) -> str | None:
    if step.type == _INSTANCE:
        role = ((step.old or step.new).get("tags") or {}).get("Role")
        if role in _DATABASES:
            return f"a database node ({role}), with the data on its disk"
        if role == Role.CONTROL_PLANE:
            return "a control plane, with etcd's data on its disk"
    if step.type == _COMMAND and layer(step.urn) == "cluster" and step.name == "init":
        return "the cluster itself: kubeadm begins a new one"
    return _LOSES.get(step.type)
