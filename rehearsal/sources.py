"""Are the sources that the program names there? Asked before anything is changed."""

from __future__ import annotations

import http.client
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator

from rehearsal.engine import STACK
from rehearsal.errors import RehearsalError
from rehearsal.namespace import operator_command, operator_environment
from rehearsal.paths import CHECKOUT, Paths
from settings import Settings, environment, load


def check(settings: Settings) -> None:
    """Raises RehearsalError naming every source that does not answer, with its settings key.

    To be called where the operator sits, with names resolved as there.
    """
    problems = list(_problems(settings))
    if problems:
        raise RehearsalError("\n".join([*problems, "nothing was changed"]))


def _problems(settings: Settings) -> Iterator[str]:
    cluster, gitops = settings.cluster, settings.gitops
    wanted = {
        "cluster.packages.key_url": cluster.packages.key_url,
        "cluster.packages.url": f"{cluster.packages.url}Packages",
        "cluster.cni_manifest": cluster.cni_manifest,
        "gitops.argocd.chart_repository": f"{gitops.argocd.chart_repository}/index.yaml",
        "gitops.repo_url": f"{gitops.repo_url}/info/refs?service=git-upload-pack",
    }
    if cluster.image_mirror:
        wanted["cluster.image_mirror"] = f"{cluster.image_mirror}/v2/"
    if gitops.addons and gitops.chart_mirror:
        wanted["gitops.chart_mirror"] = f"{gitops.chart_mirror}/index.yaml"
    for key, url in wanted.items():
        try:
            urllib.request.urlopen(url, timeout=10).close()
        except urllib.error.HTTPError as error:
            yield f"{key}: {url} answers {error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", error)).strip() or type(error).__name__
            yield f"{key}: {url} cannot be reached ({reason})"


def check_as_operator(paths: Paths) -> None:
    """`check` in a process of its own, where the operator sits."""
    done = subprocess.run(
        operator_command([sys.executable, "-m", __name__]),
        cwd=paths.checkout,
        env=operator_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RehearsalError(done.stderr.strip())


def main() -> int:
    """Checks the sources of the rehearsal's stack; the problems go to stderr."""
    try:
        stacks = environment(CHECKOUT, STACK).stacks  # which share their sources
        check(load(CHECKOUT, stacks[0].name))
    except RehearsalError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
