"""Any environment, previewed from an empty state: no rehearsal, no root, no account, no network.

The program runs in a copy of the project that has what no preview needs to be real: a key pair of
its own, a state of its own, and an AWS that answers look-ups. What it plans is the environment's.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from rehearsal.answers import LookUps, answering
from rehearsal.engine import Engine
from rehearsal.errors import RehearsalError
from rehearsal.paths import Paths
from settings import Settings, load
from settings.check import resolve
from settings.load import merged
from settings.sources import read_sources

_COPIED = ("__main__.py",)  # it looks for its stack file beside itself
_KEYS_OF_THE_STATE = ("secretsprovider", "encryptedkey", "encryptionsalt")


@dataclass(frozen=True)
class Workspace:
    """A stack with nothing in it. folder: where `pulumi` is run, with `environment` alone."""

    folder: Path
    environment: Mapping[str, str]
    settings: Settings


@contextlib.contextmanager
def empty_stack(paths: Paths, stack: str) -> Iterator[Workspace]:
    """The environment's stack, made for this once. Raises SettingsError and RehearsalError."""
    with tempfile.TemporaryDirectory(prefix="preview-") as base:
        folder, home = Path(base, "project"), Path(base, "home")
        folder.mkdir()
        home.mkdir()
        _link(paths.checkout, folder, stack)
        with _at_home(home):
            _plant_keys(folder, stack, Path(base))
            settings = load(folder, stack)
        public = settings.dns.public
        zone = (public.zone_id, public.domain) if public and public.zone_id else (None, None)
        with answering(LookUps(settings.ami.owner, settings.ami.name, *zone)) as address:
            _adapt(folder / f"Pulumi.{stack}.yaml", settings, address)
            workspace = Workspace(folder, _environment(paths, Path(base), stack, address), settings)
            _init(workspace, stack)
            yield workspace


def _link(checkout: Path, folder: Path, stack: str) -> None:
    """The project's files by links, but for those that are changed or look where they are."""
    copied = (*_COPIED, f"Pulumi.{stack}.yaml")
    for file in checkout.iterdir():
        if file.name in copied:
            (folder / file.name).write_bytes(file.read_bytes())
        elif not file.name.startswith(".") or file.name == ".venv":
            (folder / file.name).symlink_to(file)


@contextlib.contextmanager
def _at_home(home: Path) -> Iterator[None]:
    """`~` is `home`, as it will be for the program: nobody's own keys are needed or read."""
    before = os.environ.get("HOME")
    os.environ["HOME"] = str(home)
    try:
        yield
    finally:
        if before is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = before


def _plant_keys(folder: Path, stack: str, base: Path) -> None:
    """A key pair where the settings look for one, unless that is a place of the machine's own."""
    given = merged(folder, stack, read_sources()).data.get("ssh")
    names = [given.get(f"{half}_key_file") for half in ("private", "public")] if given else []
    if not all(isinstance(name, str) for name in names) or not names:
        return  # which the settings' checks will say
    files = [resolve(folder, name) for name in names]
    if any(file.exists() or not file.resolve().is_relative_to(base.resolve()) for file in files):
        return
    key = Ed25519PrivateKey.generate()
    contents = (
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        ),
        key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        ),
    )
    for file, content in zip(files, contents, strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(content)


def _adapt(stack_file: Path, settings: Settings, address: str) -> None:
    """An endpoint of the environment's own gives way to the one that answers; what the engine
    keeps in the file belongs to another state, whose key is not here."""
    document: dict[str, Any] = yaml.safe_load(stack_file.read_text()) or {}
    for key in _KEYS_OF_THE_STATE:
        document.pop(key, None)
    config = {
        key: value
        for key, value in (document.get("config") or {}).items()
        if not (isinstance(value, dict) and "secure" in value)
    }
    if settings.aws.endpoint_url is not None:
        config["groundwork:settings"]["aws"]["endpoint_url"] = address
    stack_file.write_text(yaml.safe_dump({**document, "config": config}, sort_keys=False))


def _environment(paths: Paths, base: Path, stack: str, address: str) -> dict[str, str]:
    """As the rehearsal's engine has it, with a state, a home and an AWS of its own."""
    given = Engine(paths).environment()
    del given["PULUMI_OPTION_CONFIG_FILE"]
    return {
        **given,
        "HOME": str(base / "home"),
        "PULUMI_HOME": str(base / "pulumi"),
        "PULUMI_BACKEND_URL": f"file://{base}",
        "PULUMI_CONFIG_PASSPHRASE": "",  # of a state that is gone with the preview
        "PULUMI_STACK": stack,
        "KUBECONFIG": str(base / "kubeconfig"),
        "AWS_ENDPOINT_URL": address,
    }


def _init(workspace: Workspace, stack: str) -> None:
    done = subprocess.run(
        ["pulumi", "--non-interactive", "stack", "init", stack],
        cwd=workspace.folder,
        env=dict(workspace.environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = " ".join((done.stderr or done.stdout).split())
        raise RehearsalError(f"pulumi stack init failed: {reason[:2000]}")
