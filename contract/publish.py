"""Makes stack outputs of the layers' outputs, and holds them to the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pulumi

from contract.model import Contract

SECRETS = frozenset({"kubeconfig"})


def publish(values: Mapping[str, pulumi.Input[Any]]) -> None:
    """Exports `values`, one output a field of Contract; what this environment does not have (None)
    is no output.

    Raises ValueError for a field that is missing or unknown.
    """
    missing = sorted(set(Contract.model_fields) - set(values))
    unknown = sorted(set(values) - set(Contract.model_fields))
    if missing or unknown:
        raise ValueError(f"outputs do not fit the contract: missing {missing}, unknown {unknown}")
    for name in Contract.model_fields:
        value = values[name]
        if value is not None:
            pulumi.export(name, pulumi.Output.secret(value) if name in SECRETS else value)
