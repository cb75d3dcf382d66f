"""S3: what becomes of a bucket's objects with time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rehearsal.plugins.aws.kinds import (
    Boolean,
    Input,
    Integer,
    ListOf,
    MapOf,
    Record,
    SetOf,
    String,
)
from rehearsal.plugins.aws.resources.s3_common import from_aws, s3, setting, to_aws
from rehearsal.plugins.aws.schema import Operation
from rehearsal.plugins.protocol import Properties, contains_unknown

_CLASSES = (
    "DEEP_ARCHIVE",
    "GLACIER",
    "GLACIER_IR",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "STANDARD_IA",
)
_DAYS = Integer(least=1)
_CLASS = Input(String(choices=_CLASSES), required=True)

# moto forgets noncurrentVersionExpiration.newerNoncurrentVersions and filters by an object's size:
# these are refused.
_RULES = ListOf(
    Record(
        {
            "id": Input(String(longest=255), required=True),
            "status": Input(String(choices=("Enabled", "Disabled")), required=True),
            "filter": Input(
                Record(
                    {
                        "prefix": Input(String()),
                        "tag": Input(
                            Record(
                                {
                                    "key": Input(String(longest=128), required=True),
                                    "value": Input(String(longest=256), required=True),
                                }
                            )
                        ),
                        "and": Input(
                            Record({"prefix": Input(String()), "tags": Input(MapOf(String()))})
                        ),
                    }
                )
            ),
            "expiration": Input(
                Record(
                    {
                        "days": Input(_DAYS),
                        "date": Input(String()),
                        "expiredObjectDeleteMarker": Input(Boolean()),
                    }
                )
            ),
            "transitions": Input(
                SetOf(
                    Record(
                        {
                            "days": Input(Integer(least=0)),
                            "date": Input(String()),
                            "storageClass": _CLASS,
                        }
                    )
                )
            ),
            "noncurrentVersionExpiration": Input(
                Record({"noncurrentDays": Input(_DAYS, required=True)})
            ),
            "noncurrentVersionTransitions": Input(
                SetOf(
                    Record(
                        {
                            "noncurrentDays": Input(Integer(least=0), required=True),
                            "newerNoncurrentVersions": Input(Integer(1, 100)),
                            "storageClass": _CLASS,
                        }
                    )
                )
            ),
            "abortIncompleteMultipartUpload": Input(
                Record({"daysAfterInitiation": Input(_DAYS, required=True)})
            ),
        }
    )
)
_ACTIONS = (
    "expiration",
    "transitions",
    "noncurrentVersionExpiration",
    "noncurrentVersionTransitions",
    "abortIncompleteMultipartUpload",
)
_MOST_RULES = 1000
_INFREQUENT = ("ONEZONE_IA", "STANDARD_IA")
_INFREQUENT_DAYS = 30


def _put(op: Operation, bucket: str) -> None:
    # without a filter, or with none in it, a rule is for every object
    rules = [{"Filter": {}, **rule} for rule in to_aws(_RULES, op.inputs["rules"])]
    smallest = op.inputs.get("transitionDefaultMinimumObjectSize")
    s3(op).put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={"Rules": rules},
        **({"TransitionDefaultMinimumObjectSize": smallest} if smallest else {}),
    )


def _read(op: Operation, bucket: str) -> Properties | None:
    found = s3(op).get_bucket_lifecycle_configuration(Bucket=bucket)
    return {
        "rules": from_aws(_RULES, found["Rules"]),
        "transitionDefaultMinimumObjectSize": found["TransitionDefaultMinimumObjectSize"],
    }


def _validate(inputs: Properties) -> list[tuple[str, str]]:
    """S3's own refusals, which moto mostly lacks: "Lifecycle configuration elements" and
    "Transitioning objects using Amazon S3 Lifecycle", S3's User Guide."""
    if contains_unknown(inputs["rules"]):
        return []
    rules, ids = inputs["rules"], [rule["id"] for rule in inputs["rules"]]
    refusals = [
        (f"rules[{index}]", reason) for index, rule in enumerate(rules) for reason in _wrong(rule)
    ]
    if not 1 <= len(rules) <= _MOST_RULES:
        refusals.append(("rules", f"must have 1 to {_MOST_RULES} rules, not {len(rules)}"))
    for id in sorted({id for id in ids if ids.count(id) > 1}):
        refusals.append(("rules", f"must have one rule with the id {id!r}, not {ids.count(id)}"))
    return refusals


def _wrong(rule: Mapping[str, Any]) -> Iterator[str]:
    filter, expiration = rule.get("filter") or {}, rule.get("expiration") or {}
    transitions = rule.get("transitions") or ()
    if not any(rule.get(action) for action in _ACTIONS):
        yield f"needs at least one of {', '.join(_ACTIONS)}"
    if len([key for key in filter if not key.startswith("__")]) > 1:
        yield "must have one of prefix, tag, and in its filter"
    if expiration and len(_set(expiration, "days", "date", "expiredObjectDeleteMarker")) != 1:
        yield "must have one of days, date, expiredObjectDeleteMarker in its expiration"
    if any(len(_set(transition, "days", "date")) != 1 for transition in transitions):
        yield "must have either days or date in each transition"
    if filter.get("tag") or (filter.get("and") or {}).get("tags"):
        if "expiredObjectDeleteMarker" in expiration:
            yield "must not have expiredObjectDeleteMarker with a filter by tags"
        if rule.get("abortIncompleteMultipartUpload"):
            yield "must not have abortIncompleteMultipartUpload with a filter by tags"
    moves = [(each.get("days"), each["storageClass"]) for each in transitions]
    moves += [
        (each["noncurrentDays"], each["storageClass"])
        for each in rule.get("noncurrentVersionTransitions") or ()
    ]
    for days, storage_class in moves:
        if days is not None and days < _INFREQUENT_DAYS and storage_class in _INFREQUENT:
            yield f"must not move objects to {storage_class} before {_INFREQUENT_DAYS} days"
    latest = max((each.get("days") or 0 for each in transitions), default=0)
    if expiration.get("days") is not None and expiration["days"] <= latest:
        yield f"must let objects expire after their last transition, that of {latest} days"


def _set(record: Mapping[str, Any], *keys: str) -> list[str]:
    return [key for key in keys if record.get(key) is not None]


LIFECYCLE = setting(
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration",
    "S3 bucket lifecycle configuration",
    {
        "rules": Input(_RULES, required=True),
        # AWS's default; moto forgets the other one
        "transitionDefaultMinimumObjectSize": Input(
            String(choices=("all_storage_classes_128K",)), computed=True
        ),
    },
    _put,
    _read,
    lambda op, bucket: s3(op).delete_bucket_lifecycle(Bucket=bucket),
    _validate,
)

RESOURCE_TYPES = (LIFECYCLE,)
