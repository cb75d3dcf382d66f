"""Outputs that are known only when something else stands."""

from __future__ import annotations

from typing import Any

import pulumi


def after(value: pulumi.Input[str], *gates: pulumi.Input[Any]) -> pulumi.Output[str]:
    """`value`, known only when the gates are: whoever uses it depends on them."""
    return pulumi.Output.all(value, *gates).apply(lambda values: str(values[0]))
