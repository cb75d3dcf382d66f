"""What the IAM types share: the client, documents, times."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from rehearsal.plugins.aws.schema import Operation
from rehearsal.plugins.protocol import UNKNOWN, Properties


def iam(op: Operation) -> Any:
    return op.cloud.client("iam")


def moment(time: datetime) -> str:
    """A time as the official provider writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def same_document(kept: str | None, live: Any) -> str:
    """The program's own text of a policy as long as it means what AWS has."""
    if kept and json.loads(kept) == live:
        return kept
    return json.dumps(live)


def too_long(inputs: Properties, property: str, longest: int) -> list[tuple[str, str]]:
    """The refusal of a policy of more than `longest` characters; AWS doesn't count white space.

    Source of the limits: the IAM User Guide, "IAM and AWS STS quotas".
    """
    document = inputs.get(property)
    length = 0 if document in (None, UNKNOWN) else len(re.sub(r"\s", "", str(document)))
    if length <= longest:
        return []
    return [(property, f"must have at most {longest} characters, white space apart, not {length}")]
