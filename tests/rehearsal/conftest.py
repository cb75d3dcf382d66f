"""The order of tests: what needs the whole rehearsal comes last, when all else has passed."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("rehearsal") is not None)
