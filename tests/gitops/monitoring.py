"""The alerts and dashboards of gitops/tree/addons/monitoring, and the metrics that there are."""

from __future__ import annotations

import json
from typing import Any

import yaml

from tests.conftest import CHECKOUT

FOLDER = CHECKOUT / "gitops/tree/addons/monitoring"
METRICS_FILE = CHECKOUT / "tests/gitops/metrics.yaml"

Object = dict[str, Any]


def _metrics() -> dict[str, str]:
    """By name, when a cluster has the metric: `always`, or what it comes from."""
    found = yaml.safe_load(METRICS_FILE.read_text())
    return {name: source for source, names in found.items() for name in names}


METRICS = _metrics()


def groups() -> list[Object]:
    """The groups of all PrometheusRules."""
    rules = [yaml.safe_load(file.read_text()) for file in sorted(FOLDER.glob("alerts/*.yaml"))]
    return [group for each in rules for group in each["spec"]["groups"]]


def rules() -> list[Object]:
    """Alerts and recording rules."""
    return [rule for group in groups() for rule in group["rules"]]


def alerts() -> list[Object]:
    return [rule for rule in rules() if "alert" in rule]


def dashboards() -> dict[str, Object]:
    """By file name without its suffix."""
    files = sorted(FOLDER.glob("dashboards/*.json"))
    return {file.stem: json.loads(file.read_text()) for file in files}
