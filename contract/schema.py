"""The contract as JSON Schema, for consumers that are not Python, and the version rule's command.

`python -m contract.schema` after a change of the model or of its VERSION: it writes
contract/schema.json anew and adds what the version promises to contract/promises.json, or tells
why the change may not be published as that version. With `--check` it writes nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contract import promises
from contract.model import VERSION, Contract
from contract.publish import SECRETS

FILE = Path(__file__).parent / "schema.json"
COMMAND = "python -m contract.schema"


def schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of the stack outputs. Secret outputs are marked `writeOnly`, the
    schema's word for what is not to be shown."""
    made = Contract.model_json_schema()
    for model in (made, *made["$defs"].values()):
        for each in model["properties"].values():
            del each["title"]  # the name once more, of which generators make types
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the files, or with --check compares them; 1 and a sentence each for what is wrong."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; for CI")
    check = parser.parse_args(arguments).check
    published, made = promises.load(promises.FILE), promises.promised()
    wrong = promises.broken(published, VERSION, made)
    if check and not wrong:
        if VERSION not in published:
            wrong.append(f"version {VERSION} is not in {promises.FILE.name} yet; run `{COMMAND}`")
        if FILE.read_text(encoding="utf-8") != text():
            wrong.append(f"{FILE.name} is not the model's; run `{COMMAND}`")
    if wrong:
        print(*(f"contract: {each}" for each in wrong), sep="\n", file=sys.stderr)
        return 1
    if not check:
        FILE.write_text(text(), encoding="utf-8")
        kept = promises.text({VERSION: made} | published)
        promises.FILE.write_text(kept, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
