"""What a preview says: the plan, the values that come from the internet, the monthly cost."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tempfile
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cost.errors import CostError
from cost.estimate import as_data, estimate
from cost.preview import planned
from cost.prices import read_prices
from cost.report import text
from rehearsal.errors import RehearsalError
from rehearsal.progress import Progress, layer, name
from settings.load import merged
from settings.sources import InUse, in_use, read_sources

# The stand-ins are on PATH because they are meant to be.
_ON_PATH = re.compile(r"warning: using pulumi-\S+ from \$PATH at ")
_COUNTED = re.compile(r"(.*pulumi:pulumi:Stack .*) (\d+) warnings?")
_TAIL = 20  # lines of output that stand for an error the engine gave no event of


@dataclass
class Plan:
    """What the engine told. steps: as those of `pulumi preview --json --show-sames`, in its
    order; output: its own words for people, without the warnings that its plugins are on PATH."""

    steps: list[dict[str, Any]] = field(default_factory=list)
    output: str = ""

    def take(self, event: Mapping[str, Any]) -> None:
        """One engine event, as in the event log."""
        if found := event.get("resourcePreEvent"):
            step = found["metadata"]
            self.steps.append({"op": step["op"], "urn": step["urn"], "newState": step["new"]})

    @property
    def changes(self) -> list[dict[str, str]]:
        """Every step but `same`, by layer of the program, operation, type and name."""
        return [
            {
                "layer": layer(step["urn"]),
                "op": step["op"],
                "type": step["urn"].split("::")[2].rpartition("$")[2],
                "name": name(step["urn"]),
            }
            for step in self.steps
            if step["op"] != "same"
        ]


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    *extra: str,
    log: Path | None = None,
) -> Plan:
    """`pulumi preview` by `command`, the words that start `pulumi`; its output goes to `log` too.

    Raises RehearsalError with the engine's errors and the policies that were broken.
    """
    plan, progress = Plan(), Progress(lambda _: None, io.StringIO())
    # the engine's own event log has debug messages with secrets in the clear
    with tempfile.TemporaryDirectory(prefix="events-") as private:
        events = Path(private, "events")
        process = subprocess.Popen(
            [*command, "preview", "--non-interactive", "--event-log", str(events), *extra],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        with process:
            try:
                plan.output, _ = process.communicate()
            except KeyboardInterrupt:
                process.terminate()  # nothing is in hand that must be finished
                process.communicate()
                raise
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(plan.output)
        plan.output = without_plugin_warnings(plan.output)
        if events.exists():
            for line in events.read_text().splitlines():
                event = json.loads(line)
                progress.take(event)
                plan.take(event)
    if process.returncode != 0:
        reasons = [_short(error) for error in progress.errors]
        reasons = reasons or plan.output.splitlines()[-_TAIL:]
        where = f"; the whole output is in {log}" if log else ""
        raise RehearsalError(f"pulumi preview failed{where}:\n" + "\n".join(reasons))
    return plan


def without_plugin_warnings(output: str) -> str:
    """What the engine says, but for warnings that a plugin is on PATH: in lines of their own, in
    lines of the stack's progress, counted at the end of it, and among the diagnostics."""
    lines = output.splitlines(keepends=True)
    counted = 0
    kept: list[str] = []
    for line in lines:
        if not _ON_PATH.search(line):
            kept.append(line)
        elif "Diagnostics:\n" in kept:
            counted += 1
    text = "".join(_recounted(line, counted) for line in kept)
    # a resource, and then a heading, that has nothing below it any more
    text = re.sub(r"^  \S+ \(.*\):\n(?=\n|  \S|\Z)", "", text, flags=re.MULTILINE)
    return re.sub(r"^Diagnostics:\n\n?(?=\S|\Z)", "", text, flags=re.MULTILINE)


def _recounted(line: str, fewer: int) -> str:
    if not (found := _COUNTED.match(line)):
        return line
    if (left := int(found[2]) - fewer) > 0:
        return f"{found[1]} {left} warning{'s' if left > 1 else ''}\n"
    # without an operation the stack has a line for its warnings alone
    return "" if found[1].startswith("    pulumi:pulumi:Stack ") else f"{found[1]}\n"


def _short(error: str) -> str:
    """Without the traceback of the program: its last line says what, its others where in Python."""
    first, *rest = error.splitlines()
    return f"{first} {rest[-1]}" if rest and rest[0].startswith("Traceback ") else error


def data(plan: Plan, project: Path, stack: str) -> dict[str, Any]:
    """All of it for machines; the keys are a promise. Raises SettingsError and RehearsalError."""
    sources = read_sources()
    try:
        cost = as_data(estimate(planned({"steps": plan.steps}), read_prices()))
    except CostError as error:
        raise RehearsalError(f"the cost cannot be estimated: {error}") from None
    return {
        "version": 1,
        "stack": stack,
        "plan": {
            "operations": dict(sorted(Counter(step["op"] for step in plan.steps).items())),
            "changes": plan.changes,
        },
        "sources": [_source(each) for each in in_use(sources, merged(project, stack, sources))],
        "cost": cost,
    }


def _source(used: InUse) -> dict[str, Any]:
    entry = used.source
    return {
        "key": used.key,
        "value": entry.value,
        "version": entry.version,
        "date": entry.date.isoformat(),
        "source": entry.source,
        "overridden": None if used.override is None else {"value": used.override, "by": used.by},
    }


def as_json(found: Mapping[str, Any]) -> str:
    """`data` as text."""
    return json.dumps(found, indent=2)


def as_text(found: Mapping[str, Any]) -> str:
    """`data` for people."""
    return "\n\n".join([_plan(found), _sources(found), text(found["cost"])])


def _plan(found: Mapping[str, Any]) -> str:
    operations = found["plan"]["operations"]
    told = ", ".join(f"{count} {op}" for op, count in operations.items()) or "nothing"
    lines = [f"plan of {found['stack']}: {told}"]
    groups: dict[tuple[str, str], Counter[str]] = {}
    for change in found["plan"]["changes"]:
        kinds = groups.setdefault((change["layer"], change["op"]), Counter())
        kinds[change["type"].rpartition(":")[2]] += 1
    for (where, op), kinds in groups.items():
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        head = f"  {where}: {op} {kinds.total()}: "
        lines += textwrap.wrap(head + listed, 100, subsequent_indent="    ")
    return "\n".join(lines)


def _sources(found: Mapping[str, Any]) -> str:
    lines = ["from the internet (settings/sources.yaml):"]
    for each in found["sources"]:
        own = each["overridden"]
        mark = "  overridden" if own else ""
        lines.append(f"  {each['key']:<32} {each['value']}{mark}")
        if own:
            lines.append(f"  {'':<32}   by {own['value']} ({own['by']})")
        version = f"{each['version']}, " if each["version"] else ""
        lines.append(f"  {'':<32}   {version}{each['date']}, {each['source']}")
    return "\n".join(lines)
