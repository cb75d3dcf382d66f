"""IAM: an issuer of tokens (OpenID Connect) that roles may trust."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rehearsal.plugins.aws.kinds import Input, ListOf, Refusals, SetOf, String
from rehearsal.plugins.aws.resources.ec2_common import tag_list, tag_map
from rehearsal.plugins.aws.resources.iam_common import iam
from rehearsal.plugins.aws.schema import Operation, ResourceType
from rehearsal.plugins.protocol import Properties

_THUMBPRINT = re.compile(r"[0-9A-Fa-f]{40}")
_SCHEME = "https://"


@dataclass(frozen=True)
class _Issuer(String):
    """The issuer's URL, which AWS tells without its scheme."""

    def check(self, value: Any) -> Refusals:
        yield from super().check(value)
        if isinstance(value, str) and (not value.startswith(_SCHEME) or set("?#") & set(value)):
            yield "", f"{value!r} must begin with {_SCHEME} and have no query or fragment"

    def normal(self, value: Any) -> Any:
        return value.removeprefix(_SCHEME) or None


@dataclass(frozen=True)
class _Thumbprint(String):
    """A SHA-1 digest of a certificate."""

    def check(self, value: Any) -> Refusals:
        yield from super().check(value)
        if isinstance(value, str) and not _THUMBPRINT.fullmatch(value):
            yield "", f"{value!r} is not a SHA-1 digest of 40 hexadecimal digits"


def _create(op: Operation) -> str:
    made = iam(op).create_open_id_connect_provider(
        Url=op.inputs["url"],
        ClientIDList=list(op.inputs["clientIdLists"]),
        ThumbprintList=list(op.inputs.get("thumbprintLists") or ()),
        Tags=tag_list(op.tags),
    )
    return str(made["OpenIDConnectProviderArn"])


def _read(op: Operation) -> Properties | None:
    found = iam(op).get_open_id_connect_provider(OpenIDConnectProviderArn=op.id)
    return {
        "url": found["Url"],
        "clientIdLists": sorted(found["ClientIDList"]),
        "thumbprintLists": found["ThumbprintList"],
        "arn": op.id,
        "tags": tag_map(found.get("Tags")),
    }


def _update(op: Operation, changed: frozenset[str]) -> None:
    iam(op).update_open_id_connect_provider_thumbprint(
        OpenIDConnectProviderArn=op.id, ThumbprintList=list(op.inputs["thumbprintLists"])
    )


def _retag(op: Operation, fresh: Mapping[str, str], stale: Sequence[str]) -> None:
    if stale:
        iam(op).untag_open_id_connect_provider(OpenIDConnectProviderArn=op.id, TagKeys=list(stale))
    if fresh:
        iam(op).tag_open_id_connect_provider(OpenIDConnectProviderArn=op.id, Tags=tag_list(fresh))


OPEN_ID_CONNECT_PROVIDER = ResourceType(
    token="aws:iam/openIdConnectProvider:OpenIdConnectProvider",
    noun="IAM OpenID Connect provider",
    inputs={
        "url": Input(_Issuer(longest=255), required=True, force_new=True),
        # In place officially; moto has no call for it.
        "clientIdLists": Input(SetOf(String(longest=255)), required=True, force_new=True),
        "thumbprintLists": Input(ListOf(_Thumbprint()), computed=True),
    },
    outputs=("arn",),
    create=_create,
    read=_read,
    update=_update,
    delete=lambda op: iam(op).delete_open_id_connect_provider(OpenIDConnectProviderArn=op.id),
    retag=_retag,
    regional=False,
    delete_before_replace=True,  # an account knows an issuer once
)

RESOURCE_TYPES = (OPEN_ID_CONNECT_PROVIDER,)
