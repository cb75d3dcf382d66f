"""Which add-ons the rehearsal does not run, as the tree that Argo CD pulls says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_ADDONS = Path("gitops/tree/addons/apps")


def not_rehearsed(checkout: Path, environment: str, installed: bool) -> tuple[str, ...]:
    """A line for each add-on, or part of one, that `environment` leaves out: `<name>: <reason>`, in
    the order of the table of add-ons. installed: whether there are any (gitops.addons)."""
    file = checkout / _ADDONS / "environments" / f"{environment}.yaml"
    said: dict[str, Any] = yaml.safe_load(file.read_text()) if file.exists() else {}
    table = yaml.safe_load((checkout / _ADDONS / "addons.yaml").read_text())["addons"]
    if not installed:
        names = ", ".join(addon["name"] for addon in table)
        return (f"no add-on is installed: {names}",)
    disabled, parts = said.get("disabled", {}), said.get("parts", {})
    lines = []
    for name in (addon["name"] for addon in table):
        if name in disabled:
            lines.append(f"{name}: {disabled[name]}")
        lines += [
            f"{part['name']} of {name}: {part['reason']}"
            for part in parts.get(name, ())
            if name not in disabled
        ]
    return tuple(lines)
