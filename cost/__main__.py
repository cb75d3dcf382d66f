"""`python -m cost [--json] PREVIEW`, `python -m cost --diff [--json] OLD NEW`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cost.errors import CostError
from cost.estimate import as_data, estimate
from cost.preview import planned
from cost.prices import Prices, read_prices
from cost.report import check, difference, difference_text, text


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints an estimate or a difference; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="cost", description="The monthly cost of an environment, from a preview of it."
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="from `pulumi preview --json --show-sames`, or an estimate of --json; - is stdin",
    )
    parser.add_argument("--diff", action="store_true", help="what the second costs over the first")
    parser.add_argument("--json", action="store_true", help="for machines")
    chosen = parser.parse_args(arguments)
    wanted = 2 if chosen.diff else 1
    if len(chosen.files) != wanted:
        parser.error(f"{wanted} {'files are' if chosen.diff else 'file is'} needed")
    try:
        prices = read_prices()
        found = [_estimate(name, prices) for name in chosen.files]
        data = difference(*found) if chosen.diff else found[0]
    except CostError as error:
        print(f"cost: {error}", file=sys.stderr)
        return 1
    if chosen.json:
        print(json.dumps(data, indent=2))
    else:
        print(difference_text(data) if chosen.diff else text(data))
    return 0


def _estimate(name: str, prices: Prices) -> Mapping[str, Any]:
    try:
        content = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CostError(f"{name}: cannot be read: {reason}") from None
    try:
        document = json.loads(content)
    except ValueError as error:
        raise CostError(f"{name}: is not JSON: {error}") from None
    try:
        if isinstance(document, dict) and "steps" not in document and "resources" in document:
            return check(document)
        return as_data(estimate(planned(document), prices))
    except CostError as error:
        raise CostError(f"{name}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
