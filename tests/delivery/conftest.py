"""Runners, and what stands in their accounts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from settings.environments import LAYERS
from tests.delivery.shop import IMAGE, NODES, OBJECTS, PROVIDER, Runner, runner, stack_file

TOKEN = "MARKER-OF-THE-TOKEN"
ACCESS = {"access": {"operator_cidrs": ["198.51.100.0/24"]}}


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory, key_pair: Path) -> Iterator[Runner]:
    """A runner with the job's secret, and nothing deployed."""
    with runner(tmp_path_factory.mktemp("runner")) as made:
        made.variables["SSH_PRIVATE_KEY"] = key_pair.read_text()
        yield made


@pytest.fixture(scope="session")
def _deployed(account: Runner) -> Runner:
    text = stack_file({"name": "shop", **ACCESS}, image=IMAGE, objects=OBJECTS, nodes=NODES)
    (account.folder / "Pulumi.shop.yaml").write_text(text)
    planted = account.make("ssh-key", ENV="shop")
    assert planted.status == 0, planted.err
    account.pulumi("stack", "init", "shop", "--no-select", "--secrets-provider", PROVIDER)
    account.pulumi("config", "set", "--stack", "shop", "--secret", "shop:token", TOKEN)
    done = account.make("deploy", ENV="shop")
    assert done.status == 0, done.err
    return account


@pytest.fixture
def shop(_deployed: Runner) -> Iterator[Runner]:
    """The environment `shop`, in one stack, as it stands after its first deployment. A test that
    deploys a change leaves another state behind; its stack file is as before."""
    file = _deployed.folder / "Pulumi.shop.yaml"
    before = file.read_text()
    yield _deployed
    file.write_text(before)


@pytest.fixture(scope="module")
def layered(account: Runner) -> Runner:
    """The environment `lay`, in three stacks, of which none is in the backend."""
    (account.folder / "Pulumi.lay.yaml").write_text(stack_file({"name": "lay", **ACCESS}))
    for layer in LAYERS:
        text = stack_file({"layers": [layer]}, objects=OBJECTS)
        (account.folder / f"Pulumi.lay-{layer}.yaml").write_text(text)
    planted = account.make("ssh-key", ENV="lay")
    assert planted.status == 0, planted.err
    return account
