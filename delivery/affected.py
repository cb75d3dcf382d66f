"""Which environments a change touches, and which there are to deliver to."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from delivery.errors import DeliveryError
from settings import SettingsError, environment, environments
from settings.load import merged
from settings.sources import read_sources

# What the program is made of: a change in it may reach every environment.
PROGRAM_FOLDERS = ("settings", "infra", "cluster", "gitops", "contract", "policy")
PROGRAM_FILES = ("__main__.py", "Pulumi.yaml", "requirements.lock")
# Argo CD pulls it by itself; no update of the program is in between.
PULLED = PurePosixPath("gitops/tree")
_NOTHING = "0" * 40  # what GitHub says of a branch that was not there before


def delivered(project: Path) -> list[str]:
    """The environments in AWS itself, by name: one with an endpoint of its own stands elsewhere.

    An environment whose settings are refused is among them, so that somebody is told.
    """
    sources = read_sources()
    found = []
    for each in environments(project):
        try:
            aws = merged(project, each.stacks[0].name, sources).data.get("aws")
        except SettingsError:
            aws = None
        if not (isinstance(aws, dict) and aws.get("endpoint_url")):
            found.append(each.name)
    return found


def affected(project: Path, base: str) -> list[str]:
    """The environments that the commits from `base` to the one checked out touch.

    base: a commit; forty zeros for none, which touches all. Raises DeliveryError if git does not
    know it.
    """
    if base == _NOTHING:
        return delivered(project)
    return touched(project, _changed(project, base))


def touched(project: Path, files: Iterable[str]) -> list[str]:
    """The environments that changes of `files` (paths in the checkout) touch."""
    known = delivered(project)
    paths = [PurePosixPath(file) for file in files]
    if any(map(_of_the_program, paths)):
        return known
    names = {path.name.split(".")[1] for path in paths if _is_stack_file(path)}
    own = {environment(project, name).name for name in names if _exists(project, name)}
    # the file of a stack may be gone, and with it the way its environment is divided
    own |= {name for name in known if any(each.startswith(f"{name}-") for each in names)}
    return [name for name in known if name in own]


def _of_the_program(path: PurePosixPath) -> bool:
    if path.parts[0] in PROGRAM_FOLDERS:
        return not path.is_relative_to(PULLED) and path.suffix != ".md"
    return str(path) in PROGRAM_FILES


def _is_stack_file(path: PurePosixPath) -> bool:
    return len(path.parts) == 1 and path.match("Pulumi.*.yaml")


def _exists(project: Path, name: str) -> bool:
    return (project / f"Pulumi.{name}.yaml").is_file()


def _changed(project: Path, base: str) -> list[str]:
    """Paths that differ from where `base` and the commit checked out parted."""
    options = ("--name-only", "--no-renames", "-z", f"{base}...HEAD", "--")
    done = subprocess.run(
        ["git", "-c", f"safe.directory={project}", "diff", *options],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = " ".join(done.stderr.split())
        raise DeliveryError(
            f"git cannot tell what changed since {base}: {reason}; a shallow clone lacks it: "
            "fetch the whole history"
        )
    return [file for file in done.stdout.split("\0") if file]
