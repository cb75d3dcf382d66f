"""The tree, rendered once for each environment."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from settings import environments, load
from tests.conftest import CHECKOUT, ToolFinder
from tests.gitops.rendering import Renderer, Tree
from tests.program import copy_project

ENVIRONMENTS = tuple(each.name for each in environments(CHECKOUT))

TreeMaker = Callable[[str], Tree]


@pytest.fixture(scope="session")
def renderer(tool: ToolFinder, tmp_path_factory: pytest.TempPathFactory) -> Renderer:
    return Renderer(tool, tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="session")
def tree_of(
    renderer: Renderer, key_pair: Path, tmp_path_factory: pytest.TempPathFactory
) -> TreeMaker:
    def make(environment: str) -> Tree:
        folder = tmp_path_factory.mktemp(environment)
        return renderer.tree(
            environment, load(copy_project(folder, environment, key_pair), environment)
        )

    return cache(make)


@pytest.fixture(params=ENVIRONMENTS)
def tree(request: pytest.FixtureRequest, tree_of: TreeMaker) -> Tree:
    """Each environment's in turn."""
    return tree_of(request.param)


@pytest.fixture
def prod_tree(tree_of: TreeMaker) -> Tree:
    return tree_of("prod")
