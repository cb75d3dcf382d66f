"""Requests are held against AWS's own models before they are sent.

botocore refuses wrong types, missing members and what is too short; enums, patterns and upper
limits of its models it leaves to AWS, and moto knows few of them. They are checked here, and so are
the limits that AWS documents but its models lack. Lists of values grow: one that AWS added after
the installed botocore is refused too, and then botocore is to be updated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

import regex  # type: ignore[import-untyped]  # `re` has no \p{L}, as the models' patterns do

from rehearsal.plugins.protocol import ProviderError

Limits = Mapping[str, Any]  # by a model's own names: enum, pattern, min, max

_LONGEST_LIST = 12  # choices that an error names
_LONGEST_VALUE = 80  # characters of a value that an error shows

# --- What AWS documents, but for what the types refuse by themselves, before anything is called.
# `says` tells the pattern in words.

# "Tag naming limits and requirements", Tagging AWS Resources and Tag Editor User Guide
_TAG_PREFIX = {"pattern": r"(?s)(?!(?i:aws:)).*", "says": "not begin with aws:"}
_TAG_KEY = {**_TAG_PREFIX, "min": 1, "max": 128}
_TAG_VALUE = {"max": 256}
_TAGS = {"max": 50}


def _of(characters: str) -> Limits:
    pattern = "[a-zA-Z0-9 " + regex.escape(characters) + "]*"
    words = f"consist of a-z, A-Z, 0-9, spaces and {characters}"
    return {"pattern": pattern, "says": words, "max": 255}


# CreateSecurityGroup, IpRange, Ipv6Range, PrefixListId, UserIdGroupPair in the EC2 API Reference:
# the descriptions of the last two have no &
_GROUP_TEXT = _of("._-:/()#,@[]+=&;{}!$*")
_PEER_TEXT = _of("._-:/()#,@[]+=;{}!$*")
_GROUP_NAME = {
    **_GROUP_TEXT,
    "pattern": f"(?!sg-){_GROUP_TEXT['pattern']}",
    "says": f"not begin with sg-, and {_GROUP_TEXT['says']}",
}
# "Create a key pair for your Amazon EC2 instance", EC2 User Guide
_KEY_NAME = {
    "pattern": r"(?! )[ -~]*(?<! )",
    "says": "consist of ASCII characters, with no space at its ends",
    "min": 1,
    "max": 255,
}
# "General purpose bucket naming rules", S3 User Guide
_BUCKET = {
    "pattern": r"(?!xn--|sthree-|amzn-s3-demo-|[0-9]+(\.[0-9]+){3}$)"
    r"[a-z0-9]([a-z0-9-]|\.(?!\.))*[a-z0-9](?<!-s3alias|--ol-s3|\.mrap|--x-s3|--table-s3)",
    "says": "consist of a-z, 0-9, hyphens and single dots, with a letter or digit at its ends, be "
    "no IP address and have no prefix or suffix that S3 keeps for itself",
    "min": 3,
    "max": 63,
}
# "Bucket policies for Amazon S3", S3 User Guide: 20 KB
_BUCKET_POLICY = {"max": 20480}

# (service, structure, member) -> what AWS documents about the member and its model lacks
LIMITS: Mapping[tuple[str, str, str], Limits] = {
    ("acm", "Tag", "Key"): _TAG_PREFIX,
    ("cloudfront", "Tag", "Key"): _TAG_PREFIX,
    ("cloudfront", "Tags", "Items"): _TAGS,
    ("ec2", "CreateSecurityGroupRequest", "Description"): _GROUP_TEXT,
    ("ec2", "CreateSecurityGroupRequest", "GroupName"): _GROUP_NAME,
    ("ec2", "CreateTagsRequest", "Tags"): _TAGS,
    ("ec2", "ImportKeyPairRequest", "KeyName"): _KEY_NAME,
    ("ec2", "IpRange", "Description"): _GROUP_TEXT,
    ("ec2", "Ipv6Range", "Description"): _GROUP_TEXT,
    ("ec2", "PrefixListId", "Description"): _PEER_TEXT,
    ("ec2", "SecurityGroupRuleDescription", "Description"): _GROUP_TEXT,
    ("ec2", "SecurityGroupRuleRequest", "Description"): _GROUP_TEXT,
    ("ec2", "Tag", "Key"): _TAG_KEY,
    ("ec2", "Tag", "Value"): _TAG_VALUE,
    ("ec2", "TagSpecification", "Tags"): _TAGS,
    ("ec2", "UserIdGroupPair", "Description"): _PEER_TEXT,
    ("elbv2", "AddTagsInput", "Tags"): _TAGS,
    ("elbv2", "CreateLoadBalancerInput", "Tags"): _TAGS,
    ("elbv2", "CreateTargetGroupInput", "Tags"): _TAGS,
    ("elbv2", "Tag", "Key"): _TAG_PREFIX,
    ("iam", "Tag", "Key"): _TAG_PREFIX,
    ("kms", "CreateKeyRequest", "Tags"): _TAGS,
    ("kms", "Tag", "TagKey"): _TAG_PREFIX,
    ("kms", "TagResourceRequest", "Tags"): _TAGS,
    ("route53", "Tag", "Key"): {**_TAG_PREFIX, "min": 1},
    ("s3", "CreateBucketRequest", "Bucket"): _BUCKET,
    ("s3", "PutBucketPolicyRequest", "Policy"): _BUCKET_POLICY,
    ("s3", "Tag", "Key"): {**_TAG_PREFIX, "max": 128},
    ("s3", "Tag", "Value"): _TAG_VALUE,
    ("s3", "Tagging", "TagSet"): _TAGS,
}


def watch(client: Any) -> None:
    """Lets no request of a botocore client pass from now on that AWS would refuse for its shape:
    the call raises ProviderError, which names all that is wrong, and sends nothing."""
    # Other handlers still change the parameters: ours, of no service, is called after all of them.
    client.meta.events.register_last("before-parameter-build", _hold)


def _hold(params: Mapping[str, Any], model: Any, **_: Any) -> None:
    if model.input_shape is None:
        return
    service = model.service_model.service_name
    found = "; ".join(_Request(service).refusals(model.input_shape, params, "", False))
    if found:
        raise ProviderError(f"AWS would refuse {service} {model.name}: {found}")


@dataclass(frozen=True)
class _Request:
    service: str

    def refusals(self, shape: Any, value: Any, path: str, secret: bool) -> Iterator[str]:
        """What is wrong with a value of the shape. secret: inside a sensitive member; then no
        refusal shows the value. Values of a wrong type are botocore's to refuse, right after."""
        secret = secret or bool(shape.metadata.get("sensitive"))
        yield from _beyond(shape.metadata, value, path, secret)
        if shape.type_name == "structure" and isinstance(value, Mapping):
            for name, item in value.items():
                if (member := shape.members.get(name)) is None:
                    continue
                below = f"{path}.{name}" if path else name
                documented = LIMITS.get((self.service, shape.name, name), {})
                hidden = secret or bool(member.metadata.get("sensitive"))
                yield from _beyond(documented, item, below, hidden)
                yield from self.refusals(member, item, below, secret)
        elif shape.type_name == "list" and isinstance(value, list | tuple):
            for index, item in enumerate(value):
                yield from self.refusals(shape.member, item, f"{path}[{index}]", secret)
        elif shape.type_name == "map" and isinstance(value, Mapping):
            hidden = secret or bool(shape.key.metadata.get("sensitive"))
            for index, (key, item) in enumerate(value.items()):
                below = f"{path}.{f'({index})' if hidden else key}"
                yield from self.refusals(shape.key, key, f"{below} (the key)", secret)
                yield from self.refusals(shape.value, item, below, secret)


def _beyond(limits: Limits, value: Any, path: str, secret: bool) -> Iterator[str]:
    if isinstance(value, str):
        choices, pattern = limits.get("enum"), limits.get("pattern")
        if choices and value not in choices:
            yield f"{path} must be {_one_of(choices, '' if secret else value)}{_not(value, secret)}"
        if pattern and not _compiled(pattern).fullmatch(value):
            yield f"{path} must {limits.get('says', f'match {pattern}')}{_not(value, secret)}"
    least, most = limits.get("min"), limits.get("max")
    if least is None and most is None:
        return
    verb, unit, size = "have", " items", value
    if isinstance(value, str | bytes):
        unit = " bytes" if isinstance(value, bytes) else " characters"
    if isinstance(value, str | bytes | list | tuple | Mapping):
        size, secret = len(value), False
    elif isinstance(value, int | float) and not isinstance(value, bool):
        verb, unit = "be", ""
    else:
        return
    if least is not None and size < least:
        yield f"{path} must {verb} at least {least}{unit}{_not(size, secret)}"
    if most is not None and size > most:
        yield f"{path} must {verb} at most {most}{unit}{_not(size, secret)}"


def _not(value: Any, secret: bool) -> str:
    if secret:
        return ""
    text = repr(value)
    return f", not {text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + '…'}"


def _one_of(choices: list[str], value: str) -> str:
    if len(choices) <= _LONGEST_LIST:
        return f"one of {', '.join(choices)}"
    alike = ", ".join(get_close_matches(value, choices))
    return f"one of botocore's {len(choices)} values" + (f" (such as {alike})" if alike else "")


@cache
def _compiled(pattern: str) -> Any:
    """Java's \\w and \\d mean ASCII alone, its \\p{…} does not."""
    return regex.compile(pattern, 0 if r"\p{" in pattern else regex.ASCII)
