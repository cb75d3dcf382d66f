"""Reads the platform's stacks: typed, and of the major version that this program is written for.

Beside it stands platform_contract.py, a copy of the platform's contract/model.py.
"""

from __future__ import annotations

from functools import cache
from typing import Any, TypeVar

import pulumi
from platform_contract import VERSION, Common
from pydantic import ValidationError

Part = TypeVar("Part", bound=Common)


def read(stack: str, part: type[Part]) -> pulumi.Output[Part]:
    """The outputs of `stack` that `part` of the contract names; secret if one of them is.

    stack: by its full name, such as organization/groundwork/prod. Ends the program with
    pulumi.RunError if the stack has another major version, or does not have those outputs.
    """
    reference = _reference(stack)
    found = {name: reference.get_output(name) for name in part.model_fields}
    return pulumi.Output.all(**found).apply(lambda values: _typed(stack, part, values))


@cache
def _reference(stack: str) -> pulumi.StackReference:
    return pulumi.StackReference(stack)


def _typed(stack: str, part: type[Part], values: dict[str, Any]) -> Part:
    version = values["contract_version"]
    if version is None:
        raise pulumi.RunError(f"{stack} has no outputs of the platform; deploy it first")
    if version.split(".")[0] != VERSION.split(".")[0]:
        raise pulumi.RunError(
            f"{stack} has contract {version} and this program is written for {VERSION}; "
            "take the platform's contract/model.py of today and change what no longer fits"
        )
    try:
        return part.model_validate({k: v for k, v in values.items() if v is not None})
    except ValidationError as error:
        # without the values: one of them may be the kubeconfig
        wrong = error.errors(include_input=False, include_url=False, include_context=False)
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in wrong)
        raise pulumi.RunError(f"{stack} is no {part.__name__}: {told}") from None
