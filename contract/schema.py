"""The contract as JSON Schema, for consumers that are not Python.

`python -m contract.schema` writes contract/schema.json anew after a change of the model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from contract.model import VERSION, Contract
from contract.publish import SECRETS

FILE = Path(__file__).parent / "schema.json"


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the stack outputs. Secret outputs are marked `writeOnly`, the
    schema's word for what is not to be shown."""
    made = Contract.model_json_schema()
    for name in SECRETS:
        made["properties"][name]["writeOnly"] = True
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": f"contract version {VERSION}",
        **made,
    }


def text() -> str:
    """The schema as it stands in contract/schema.json."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
