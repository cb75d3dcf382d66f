"""The SSH key pair of a job."""

from __future__ import annotations

from pathlib import Path

import pytest

from delivery.errors import DeliveryError
from delivery.keys import VARIABLE, plant
from settings import environment, load
from tests.delivery.shop import stack_file

ACCESS = {"operator_cidrs": ["198.51.100.0/24"]}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An environment whose settings leave the key where the defaults have it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "Pulumi.shop.yaml").write_text(stack_file({"access": ACCESS}))
    return tmp_path


def test_it_stands_where_the_settings_look_and_is_written_once(
    project: Path, key_pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as a form on the internet sends it
    monkeypatch.setenv(VARIABLE, key_pair.read_text().strip().replace("\n", "\r\n"))
    shop = environment(project, "shop")
    private, public = plant(project, shop)
    assert private.read_text() == key_pair.read_text()
    assert private.stat().st_mode & 0o777 == 0o600
    assert public.read_text().split()[:2] == Path(f"{key_pair}.pub").read_text().split()[:2]
    load(project, "shop")  # which refuses what is no pair
    assert plant(project, shop) == []


def test_another_key_is_not_written_over(
    project: Path, key_pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, key_pair.read_text())
    file = project / "home" / ".ssh" / "groundwork"
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    with pytest.raises(DeliveryError, match="groundwork holds another key"):
        plant(project, environment(project, "shop"))
    assert file.read_text() == "mine"


@pytest.mark.parametrize("text", ["", "MARKER", "-----BEGIN OPENSSH PRIVATE KEY-----\nMARKER\n"])
def test_what_is_no_key_is_refused_and_not_quoted(
    text: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(DeliveryError, match="SSH_PRIVATE_KEY holds no private key") as refused:
        plant(project, environment(project, "shop"))
    assert "MARKER" not in str(refused.value)
    assert not (project / "home").exists()
