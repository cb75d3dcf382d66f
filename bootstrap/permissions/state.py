"""What roles may do with Pulumi's state, which has every environment's.

Source: backend/diy of pulumi/pulumi v3.259.0. A preview takes no lock and writes nothing, once the
bucket has its meta.yaml. An update writes its lock, the stack's checkpoint and tags, a backup and
the history. No version is ever deleted.
"""

from __future__ import annotations

from collections.abc import Sequence

from bootstrap.names import Names
from infra.policies import Statement

PROJECT = "groundwork"  # in Pulumi.yaml; a folder's name in the state
_META = ".pulumi/meta.yaml"
_READ = ("s3:GetObject",)


def readable(names: Names, key_arn: str) -> Sequence[Statement]:
    """Every stack of the program, and its secrets; not the bootstrap's own stack."""
    return (
        _listed(names),
        Statement(_READ, _objects(names, _META, f".pulumi/stacks/{PROJECT}/*")),
        Statement(("kms:Decrypt",), (key_arn,)),
    )


def writable(names: Names, stacks: Sequence[str], key_arn: str) -> Sequence[Statement]:
    """The stacks of one environment: their state, locks, backups and history."""
    keys = [
        key
        for stack in stacks
        for key in (
            f".pulumi/stacks/{PROJECT}/{stack}.*",
            f".pulumi/locks/organization/{PROJECT}/{stack}/*",
            f".pulumi/backups/{PROJECT}/{stack}/*",
            f".pulumi/history/{PROJECT}/{stack}/*",
        )
    ]
    return (
        _listed(names),
        Statement(_READ, _objects(names, _META)),
        Statement(("s3:DeleteObject", "s3:GetObject", "s3:PutObject"), _objects(names, *keys)),
        Statement(("kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"), (key_arn,)),
    )


def _listed(names: Names) -> Statement:
    """For whatever prefix: asked for a missing object S3 says so only to those who may list, and
    has no prefix to check then."""
    return Statement(("s3:ListBucket",), (f"arn:aws:s3:::{names.state_bucket}",))


def _objects(names: Names, *keys: str) -> list[str]:
    return [f"arn:aws:s3:::{names.state_bucket}/{key}" for key in keys]
