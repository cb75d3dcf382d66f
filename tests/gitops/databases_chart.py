"""The databases' chart, rendered by the helm that Argo CD itself uses."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import CHECKOUT, ToolFinder

CHART = CHECKOUT / "gitops/tree/charts/databases"
DATABASES = ("postgresql", "redis", "rabbitmq")
ENVIRONMENTS = ("production", "rehearsal")
GIVEN = {
    "bucket": "groundwork-backups-123456789012",
    "region": "ap-northeast-2",
    "roleArn": "arn:aws:iam::123456789012:role/groundwork-database-backups",
}

Object = dict[str, Any]


def helm(tool: ToolFinder, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool("helm"), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def render(tool: ToolFinder, environment: str, **values: str) -> str:
    given = {f"backups.{key}": value for key, value in GIVEN.items()} | values
    done = helm(
        tool,
        *("template", "databases", CHART, "--namespace", "databases"),
        *("--values", CHART / f"values-{environment}.yaml"),
        *(part for key, value in given.items() for part in ("--set", f"{key}={value}")),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Chart:
    """The chart as one environment has it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.objects: list[Object] = [each for each in yaml.safe_load_all(text) if each]

    def of(self, kind: str) -> dict[str, Object]:
        return {each["metadata"]["name"]: each for each in self.objects if each["kind"] == kind}

    def pods(self) -> Iterator[tuple[str, Object]]:
        """The pods' specs, by what makes them."""
        for each in self.objects:
            spec = each.get("spec", {})
            template = spec.get("jobTemplate", {}).get("spec", spec).get("template")
            if template:
                yield each["metadata"]["name"], template["spec"]

    def containers(self) -> Iterator[tuple[str, Object]]:
        for name, pod in self.pods():
            for container in [*pod["containers"], *pod.get("initContainers", [])]:
                yield name, container
