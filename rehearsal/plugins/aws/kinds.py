"""What a property may hold, and when two values of it mean the same.

A kind checks a value (every refusal with its path inside the property), gives its normal form
(two values that AWS treats alike have equal normal forms) and compares an old with a new value.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from rehearsal.plugins.protocol import UNKNOWN, Properties, contains_unknown

Refusals = Iterator[tuple[str, str]]  # (path below the property: "", ".x", "[0].x"; reason)


class Change(IntEnum):
    """What a difference asks for; the largest of several counts."""

    NONE = 0
    UPDATE = 1
    REPLACE = 2


@dataclass(frozen=True)
class Kind:
    """Any value; the base of the others."""

    def check(self, value: Any) -> Refusals:
        """Refuses a known value; UNKNOWN never gets here."""
        yield from ()

    def normal(self, value: Any) -> Any:
        """The normal form of a known value; None for one that says nothing ("", [], False)."""
        return value or None

    def preview(self, value: Any) -> Any:
        """The value with UNKNOWN where AWS will add something."""
        return value

    def compare(self, old: Any, new: Any, on_change: Change) -> Change:
        """on_change: what a difference asks for as a whole."""
        if contains_unknown(new) or contains_unknown(old):
            return on_change
        same = (None if old is None else self.normal(old)) == (
            None if new is None else self.normal(new)
        )
        return Change.NONE if same else on_change


@dataclass(frozen=True)
class String(Kind):
    """choices: the only values, when there are any. longest: characters, 0 for no limit."""

    choices: Sequence[str] = ()
    longest: int = 0

    def check(self, value: Any) -> Refusals:
        if not isinstance(value, str):
            yield "", f"must be a string, not {_name(value)}"
        elif self.choices and value not in self.choices:
            yield "", f"must be one of {', '.join(self.choices)}, not {value!r}"
        elif self.longest and len(value) > self.longest:
            yield "", f"must have at most {self.longest} characters, not {len(value)}"


@dataclass(frozen=True)
class Integer(Kind):
    """A whole number between `least` and `most`, both included."""

    least: int | None = None
    most: int | None = None

    def check(self, value: Any) -> Refusals:
        if isinstance(value, bool) or not isinstance(value, int):
            yield "", f"must be a whole number, not {_name(value)}"
        elif self.least is not None and value < self.least:
            yield "", f"must be at least {self.least}, not {value}"
        elif self.most is not None and value > self.most:
            yield "", f"must be at most {self.most}, not {value}"

    def normal(self, value: Any) -> Any:
        return value


@dataclass(frozen=True)
class Boolean(Kind):
    """true or false."""

    def check(self, value: Any) -> Refusals:
        if not isinstance(value, bool):
            yield "", f"must be true or false, not {_name(value)}"


@dataclass(frozen=True)
class Cidr(String):
    """A block of addresses as AWS takes it: no host bits. version: 4 or 6."""

    version: int = 4

    def check(self, value: Any) -> Refusals:
        yield from super().check(value)
        if not isinstance(value, str):
            return
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            network = None
        if network is None or network.version != self.version or "/" not in value:
            yield "", f"{value!r} is not an IPv{self.version} CIDR block"
        elif network.network_address != ipaddress.ip_address(value.split("/")[0]):
            yield "", f"{value!r} has host bits set; write {network}"

    def normal(self, value: Any) -> Any:
        return str(ipaddress.ip_network(value, strict=False)) if value else None


_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}")


@dataclass(frozen=True)
class RegionName(String):
    """A region by its code, such as eu-west-1."""

    def check(self, value: Any) -> Refusals:
        yield from super().check(value)
        if isinstance(value, str) and not _REGION.fullmatch(value):
            yield "", f"{value!r} is not the code of a region, such as eu-west-1"


@dataclass(frozen=True)
class Protocol(String):
    """An IP protocol of a security group rule; names and numbers of the same one are alike."""

    def normal(self, value: Any) -> Any:
        text = str(value).lower()
        return {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6", "all": "-1"}.get(text, text)


@dataclass(frozen=True)
class DomainName(String):
    """A DNS name; letter case and the dot at the end say nothing."""

    def normal(self, value: Any) -> Any:
        return value.rstrip(".").lower() or None


@dataclass(frozen=True)
class Json(String):
    """A JSON document in a string; layout and key order say nothing."""

    def check(self, value: Any) -> Refusals:
        yield from super().check(value)
        if isinstance(value, str):
            try:
                json.loads(value)
            except ValueError as error:
                yield "", f"is not valid JSON: {error}"

    def normal(self, value: Any) -> Any:
        try:
            return json.dumps(json.loads(value), sort_keys=True) if value else None
        except ValueError:
            return value


@dataclass(frozen=True)
class MapOf(Kind):
    """A map from strings to values of one kind."""

    item: Kind

    def check(self, value: Any) -> Refusals:
        if not isinstance(value, Mapping):
            yield "", f"must be a map, not {_name(value)}"
            return
        for key, item in value.items():
            if item is not UNKNOWN:
                yield from ((f".{key}{path}", reason) for path, reason in self.item.check(item))


@dataclass(frozen=True)
class ListOf(Kind):
    """A list whose order matters."""

    item: Kind

    def check(self, value: Any) -> Refusals:
        if not isinstance(value, list | tuple):
            yield "", f"must be a list, not {_name(value)}"
            return
        for index, item in enumerate(value):
            if item is not UNKNOWN:
                yield from ((f"[{index}]{path}", reason) for path, reason in self.item.check(item))

    def normal(self, value: Any) -> Any:
        return [self.item.normal(item) for item in value] or None

    def preview(self, value: Any) -> Any:
        return value if value is UNKNOWN else [self.item.preview(item) for item in value]


@dataclass(frozen=True)
class SetOf(ListOf):
    """A list whose order and repetitions say nothing."""

    def normal(self, value: Any) -> Any:
        return sorted({json.dumps(self.item.normal(v), sort_keys=True) for v in value}) or None


@dataclass(frozen=True)
class Input:
    """One property a program may set.

    required: refused when missing. force_new: a change asks for a replacement. default: filled in
    when missing. computed: AWS chooses when missing, and removing it changes nothing.
    """

    kind: Kind
    required: bool = False
    force_new: bool = False
    default: Any = None
    computed: bool = False

    def compare(self, old: Any, new: Any) -> Change:
        """What going from `old` to `new` asks for; None is a missing value."""
        if new is None and self.computed:
            return Change.NONE
        return self.kind.compare(old, new, Change.REPLACE if self.force_new else Change.UPDATE)


@dataclass(frozen=True)
class Record(Kind):
    """A nested object. outputs: fields that AWS alone sets."""

    fields: Mapping[str, Input]
    outputs: Sequence[str] = field(default=())

    def check(self, value: Any) -> Refusals:
        if not isinstance(value, Mapping):
            yield "", f"must be an object, not {_name(value)}"
            return
        for key, item in value.items():
            spec = self.fields.get(key)
            if key.startswith("__"):  # the engine's own marks, such as __defaults
                continue
            if spec is None:
                yield f".{key}", "is not handled by this stand-in"
            elif item is not None and item is not UNKNOWN:
                yield from ((f".{key}{path}", reason) for path, reason in spec.kind.check(item))
        for key, spec in self.fields.items():
            if spec.required and value.get(key) is None:
                yield f".{key}", "is required"

    def normal(self, value: Any) -> Any:
        result = {}
        for key, spec in self.fields.items():
            item = value.get(key)
            item = spec.default if item is None else item
            if item is not None and (item := spec.kind.normal(item)) is not None:
                result[key] = item
        return result or None

    def preview(self, value: Any) -> Any:
        if value is UNKNOWN:
            return value
        late = [key for key, spec in self.fields.items() if spec.computed] + list(self.outputs)
        return {key: UNKNOWN for key in late} | complete(self.fields, value)

    def compare(self, old: Any, new: Any, on_change: Change) -> Change:
        if not isinstance(old, Mapping) or not isinstance(new, Mapping):
            return super().compare(old, new, on_change)
        old, new = complete(self.fields, old), complete(self.fields, new)
        changes = [spec.compare(old.get(k), new.get(k)) for k, spec in self.fields.items()]
        worst = max(changes, default=Change.NONE)
        return on_change if worst is Change.UPDATE else worst


def complete(fields: Mapping[str, Input], value: Mapping[str, Any]) -> Properties:
    """`value` without missing ones (None) and with the defaults of `fields`."""
    given = {key: item for key, item in value.items() if item is not None}
    defaults = {k: spec.default for k, spec in fields.items() if spec.default is not None}
    return defaults | given


def _name(value: Any) -> str:
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number"}
    names |= {list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)
