"""The program does not know that it is being rehearsed."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
PROGRAM = (
    "settings",
    "infra",
    "cluster",
    "gitops",
    "contract",
    "policy",
    "cost",
    "bootstrap",
    "delivery",
    "operations",
)
WORDS = re.compile(r"rehears|moto\b|198\.51\.100|stand-?in\b|netns", re.IGNORECASE)


def test_nothing_in_the_program_names_the_rehearsal() -> None:
    files = [CHECKOUT / "__main__.py", CHECKOUT / "Pulumi.yaml"]
    for package in PROGRAM:
        files += [
            p
            for p in (CHECKOUT / package).rglob("*")
            if p.is_file()
            and p.suffix != ".pyc"
            and not any(part.startswith(".") for part in p.parts)
        ]
    assert len(files) > 30
    found = [
        f"{file.relative_to(CHECKOUT)}:{number}: {line.strip()}"
        for file in files
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if WORDS.search(line)
    ]
    assert not found


def test_no_layer_reads_pulumi_config_and_none_reaches_back() -> None:
    later = {
        "settings": ("infra", "cluster", "gitops", "contract"),
        "infra": ("cluster", "gitops", "contract"),
        "cluster": ("infra", "gitops", "contract"),
        "gitops": ("infra", "cluster", "contract"),
        "contract": (),  # it comes last
    }
    for package, forbidden in later.items():
        for file in (CHECKOUT / package).rglob("*.py"):
            if "examples" in file.parts:  # other teams' programs
                continue
            text = file.read_text()
            assert "pulumi.Config(" not in text, file
            for other in forbidden:
                assert not re.search(rf"^\s*(from|import) {other}\b", text, re.M), (file, other)
