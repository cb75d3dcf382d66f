"""Where the rehearsal keeps its things: caches by version, and the state of one run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Paths:
    """Folders of the rehearsal. `run` is gone after `make down`; `cache` after `make clean`.

    checkout: the repository that holds the program.
    run: state of the running rehearsal (keys, logs, pids, hosts' disks).
    cache: built tools, base image, packages and images, each by version.
    """

    checkout: Path = CHECKOUT
    run: Path = CHECKOUT / ".rehearsal"
    cache: Path = Path(os.environ.get("GROUNDWORK_CACHE") or Path.home() / ".cache" / "groundwork")

    @property
    def tools(self) -> Path:
        """Built tools: <tools>/bin/<name> links to <tools>/<name>-<version>/…"""
        return self.cache / "tools"

    @property
    def base(self) -> Path:
        """The hosts' shared root file system (the AMI)."""
        return self.cache / "base"

    @property
    def images(self) -> Path:
        """OCI images, one layout folder the registry serves."""
        return self.cache / "images"

    @property
    def packages(self) -> Path:
        """The apt repository's files."""
        return self.cache / "packages"

    @property
    def charts(self) -> Path:
        """The chart repository's files (index.yaml, *.tgz)."""
        return self.cache / "charts"

    @property
    def hosts(self) -> Path:
        """One folder for each Linux host: its overlay, state, console."""
        return self.run / "hosts"

    @property
    def volumes(self) -> Path:
        """What is on EBS volumes, a folder each, by volume id; every host sees all of it."""
        return self.run / "volumes"

    @property
    def logs(self) -> Path:
        """One log for each part of the rehearsal."""
        return self.run / "logs"

    @property
    def ssh_key(self) -> Path:
        """The operator's private key (ed25519, mode 0600); `.pub` beside it."""
        return self.run / "ssh" / "id_ed25519"
