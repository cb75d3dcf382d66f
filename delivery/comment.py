"""A preview as one comment on a pull request: what is dangerous first, what is long last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from delivery.changes import changes, differences
from delivery.danger import danger
from delivery.engine import Outcome
from delivery.events import STACK_TYPE, Record, Step, Violation
from delivery.markdown import LIMIT, change, code, prose, table
from delivery.preview import Plan

_COLUMNS = ("create", "update", "replace", "delete", "same")
_PROPERTIES = 24  # of one resource
_LISTED = 40  # violations, dangers, parts of the cost
_ERRORS = 10
_ERROR = 600  # characters
_NOTE = "\n\n*{} more changes do not fit here: the job's log has all of them.*\n"
_CUT = "\n\n*The rest does not fit here: the job's log has all of it.*\n"
_ROOM = 400  # bytes for those notes and for closing tags


ANSWER = "<!-- groundwork deployment -->"


def marker(environment: str) -> str:
    """The first line of an environment's comment, by which it is found again."""
    return f"<!-- groundwork preview of {environment} -->"


def comment(plan: Plan, commit: str = "", limit: int = LIMIT) -> str:
    """The comment as Markdown, in `limit` bytes. commit: of the pull request, if it is known."""
    top = [f"{marker(plan.environment)}\n## Preview of {prose(plan.environment)}"]
    top += [*_dangers(plan), _summary(plan), *_violations(plan), *_errors(plan), *_cost(plan)]
    text = "\n\n".join(part for part in top if part) + "\n"
    foot = _foot(plan, commit)
    room = limit - _ROOM - len(foot.encode())
    if len(text.encode()) > room:
        return _whole_lines(text, room) + _CUT + foot
    return _details(plan, text, room) + foot


def failure(environment: str, reason: str, commit: str = "") -> str:
    """The comment of a preview that could not be made."""
    lines = [f"- {prose(line)}" for line in reason.splitlines() if line.strip()]
    foot = f"\n<sub>of {code(commit[:12])}</sub>\n" if commit else ""
    text = "\n".join(
        [f"{marker(environment)}\n## Preview of {prose(environment)}", "", "**failed**", "", *lines]
    )
    return _whole_lines(text, LIMIT - _ROOM) + "\n" + foot


def answer(text: str) -> str:
    """What is said to a comment that asks for a deployment."""
    return f"{ANSWER}\n{prose(text)}\n"


def _dangers(plan: Plan) -> Iterator[str]:
    found = [
        (stack, each)
        for stack, record in _records(plan)
        for step in record.steps.values()
        if (each := danger(step))
    ]
    if found:
        lines = ["> [!CAUTION]", "> **This change loses data unless it is saved first.**", ">"]
        for stack, each in found[:_LISTED]:
            lines.append(
                f"> - {code(each.step.name)} is **{each.verb}**: {prose(each.loses)} "
                f"({code(each.step.type)} in {prose(stack)})"
            )
        yield "\n".join([*lines, *_more(len(found), "> - ")])


def _summary(plan: Plan) -> str:
    rows = []
    for stack, outcome in plan.stacks.items():
        cells = [""] * len(_COLUMNS)
        if outcome is not None:
            counts = outcome.record.counts
            cells = [str(counts[op]) for op in _COLUMNS]
        rows.append([prose(stack), *cells, _verdict(outcome)])
    said = table(["stack", *_COLUMNS, "result"], rows)
    others = {
        op: sum(record.counts[op] for _, record in _records(plan))
        for op in sorted({op for _, record in _records(plan) for op in record.counts})
        if op not in _COLUMNS
    }
    if others:
        said += "\n\nBesides: " + ", ".join(f"{count} {op}" for op, count in others.items()) + "."
    if not plan.failed and not any(_changes(record) for _, record in _records(plan)):
        said += "\n\n**Nothing changes.**"
    return said


def _verdict(outcome: Outcome | None) -> str:
    if outcome is None:
        return "not deployed yet"
    if outcome.errors:
        return "**failed**"
    return "**breaks a policy**" if outcome.record.broken else "ok"


def _violations(plan: Plan) -> Iterator[str]:
    found = [
        (stack, each)
        for stack, record in _records(plan)
        for each in sorted(record.violations, key=lambda each: not each.mandatory)
    ]
    if found:
        lines = ["### Policies that are broken", ""]
        lines += [_violation(stack, each) for stack, each in found[:_LISTED]]
        yield "\n".join([*lines, *_more(len(found), "- ")])


def _violation(stack: str, found: Violation) -> str:
    kind = found.resource.split("::")[2].rpartition("$")[2] if "::" in found.resource else ""
    name = found.resource.rsplit("::", 1)[-1]
    which = f"{code(kind)} {code(name)} in {prose(stack)}" if kind else prose(stack)
    level = "" if found.mandatory else " (advisory)"
    return f"- {code(found.policy)}{level}: {which}: {prose(found.message)}"


def _errors(plan: Plan) -> Iterator[str]:
    found = [
        (stack, error)
        for stack, outcome in plan.stacks.items()
        if outcome is not None
        for error in outcome.errors
    ]
    if found:
        lines = ["### Errors", ""]
        for stack, error in found[:_ERRORS]:
            short = error if len(error) <= _ERROR else f"{error[:_ERROR]}…"
            lines.append(f"- {prose(stack)}: {prose(short)}")
        yield "\n".join([*lines, *_more(len(found), "- ", _ERRORS)])


def _cost(plan: Plan) -> Iterator[str]:
    if isinstance(plan.cost, str):
        yield f"**Cost**: unknown: {prose(plan.cost)}."
        return
    found = plan.cost
    bound = "" if found["complete"] else ", as far as it is known"
    lines = [
        f"**Cost** a month: {found['old']:.2f} → {found['new']:.2f} {found['currency']} "
        f"(**{found['delta']:+.2f}**{bound})"
    ]
    items = [_item(each) for each in found["changes"] if each["delta"] is not None]
    items += [
        f"- unknown: {code(gap['name'])}: {prose(gap['what'])}: {prose(gap['reason'])}"
        for gap in found["unknown"]
    ]
    yield "\n".join([*lines, *([""] if items else []), *items[:_LISTED], *_more(len(items), "- ")])


def _item(found: Mapping[str, Any]) -> str:
    sides = [side["what"] if side else "nothing" for side in (found["old"], found["new"])]
    told = sides[0] if sides[0] == sides[1] else f"{sides[0]} → {sides[1]}"
    return f"- {found['delta']:+.2f}: {code(found['name'])}: {prose(told)}"


def _more(count: int, before: str, shown: int = _LISTED) -> list[str]:
    return [f"{before}… and {count - shown} more"] if count > shown else []


def _details(plan: Plan, text: str, room: int) -> str:
    """`text` and what changes, as much as there is room for; each part whole."""
    used, left = len(text.encode()), 0
    for stack, record in _records(plan):
        parts = [*_resources(record), *_outputs(record)]
        if not parts:
            continue
        title = f"<details open>\n<summary>What changes in {prose(stack)}</summary>\n\n"
        fits: list[str] = []
        size = used + len(title.encode())
        for part in parts:
            size += len(part.encode()) + 2
            if size > room:
                break
            fits.append(part)
        left += len(parts) - len(fits)
        if fits:
            block = "\n" + title + "\n\n".join(fits) + "\n\n</details>\n"
            text, used = text + block, used + len(block.encode())
    return text + _NOTE.format(left) if left else text


def _resources(record: Record) -> Iterator[str]:
    found = [step for step in record.steps.values() if step.changes and step.custom]
    order = [*reversed(_COLUMNS), *sorted({step.op for step in found} - {*_COLUMNS})]
    # the engine's own order is of what works beside each other
    for step in sorted(found, key=lambda step: (order.index(step.op), step.type, step.name)):
        yield _resource(step)


def _changes(record: Record) -> bool:
    old, new = record.outputs
    return bool(differences(old, new)) or any(step.changes for step in record.steps.values())


def _resource(step: Step) -> str:
    head = f"**{step.op}** {code(step.type)} {code(step.name)}"
    found = changes(step)
    lines = [change(each) for each in found[:_PROPERTIES]]
    if len(found) > _PROPERTIES:
        lines.append(f"- … and {len(found) - _PROPERTIES} more properties")
    return "\n".join([head, "", *lines] if lines else [head])


def _outputs(record: Record) -> Iterator[str]:
    """What other teams' stacks will read."""
    stack = next((s for s in record.steps.values() if s.type == STACK_TYPE), None)
    found = differences(*record.outputs)
    if found and stack is not None and stack.op != "create":
        yield "\n".join(["**outputs** of the stack", "", *map(change, found[:_PROPERTIES])])


def _foot(plan: Plan, commit: str) -> str:
    packs = sorted({name.split("|")[0] for _, record in _records(plan) for name in record.packs})
    parts = [f"of {code(commit[:12])}"] if commit else []
    parts += [f"policy pack {prose(', '.join(packs))}"] if packs else []
    return f"\n<sub>{'; '.join(parts)}</sub>\n" if parts else ""


def _records(plan: Plan) -> list[tuple[str, Record]]:
    return [(name, each.record) for name, each in plan.stacks.items() if each is not None]


def _whole_lines(text: str, room: int) -> str:
    kept: list[str] = []
    for line in text.splitlines():
        room -= len(line.encode()) + 1
        if room < 0:
            break
        kept.append(line)
    return "\n".join(kept)
