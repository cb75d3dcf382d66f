"""`python -m operations COMMAND`: see `--help` of each."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from operations.cluster import Kubectl
from operations.errors import OperationsError

if TYPE_CHECKING:
    from operations.stacks import Place

CHECKOUT = Path(__file__).resolve().parent.parent


# A command imports what it needs itself: each works where the others' libraries are missing.
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    chosen = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = chosen.run
    try:
        return command(chosen)
    except OperationsError as error:
        print(f"{chosen.command}: {error}", file=sys.stderr)
        return 1


def status(chosen: argparse.Namespace) -> int:
    """Nodes and Applications; exit code 0 only when all are well."""
    from operations.status import read
    from operations.watch import watch

    with _cluster(chosen) as kubectl:
        if chosen.watch:
            return watch(lambda: read(kubectl), sys.stdout, chosen.json)
        found = read(kubectl)
    print(found.as_json() if chosen.json else found.as_table())
    return 0 if found.well else 1


def leftovers(chosen: argparse.Namespace) -> int:
    """What the cluster made in AWS; exit code 0 only when there is nothing."""
    from operations.account import answering, connect
    from operations.leftovers import find

    place = _place(chosen)
    with answering(place.region):
        client = connect(place.region, place.endpoint_url)
        found = find(client, place.cluster, place.region)
    if chosen.json:
        print(json.dumps({**asdict(place), "leftovers": [asdict(f) for f in found]}, indent=2))
    elif found:
        print(*(each.as_text() for each in found), sep="\n")
    else:
        print(f"nothing of the cluster {place.cluster} is left in {place.region}")
    return 1 if found else 0


def teardown_check(chosen: argparse.Namespace) -> int:
    """What stands in the way of a destroy; exit code 0 only when nothing does."""
    from operations.teardown import check

    with _cluster(chosen) as kubectl:
        found = check(kubectl)
    print(found.as_json() if chosen.json else found.as_text())
    return 1 if found.problems or (chosen.empty and found.there) else 0


def set_image(chosen: argparse.Namespace) -> int:
    """Commits an image's tag, and pushes it."""
    from operations.images import publish

    print(publish(CHECKOUT, chosen.domain, chosen.tag, chosen.image, chosen.branch))
    return 0


def changed_services(chosen: argparse.Namespace) -> int:
    """The services that differ between two commits, as a JSON list."""
    from operations.services import changed

    print(json.dumps(changed(CHECKOUT, chosen.before, chosen.after)))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="operations", description="Day-2 work on a platform.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        text = (run.__doc__ or "").strip()
        name = run.__name__.replace("_", "-")
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    for run in (status, teardown_check):
        command = add(run)
        which = command.add_mutually_exclusive_group()
        which.add_argument("--stack", help="an environment, or a stack of it, by its own outputs")
        which.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: $KUBECONFIG")
        command.add_argument("--json", action="store_true", help="for machines")
        if run is status:
            command.add_argument("--watch", action="store_true", help="again and again")
        else:
            text = "nothing of Argo CD or in AWS may be there any more"
            command.add_argument("--empty", action="store_true", help=text)
    command = add(leftovers)
    command.add_argument("--stack", help="an environment, in place of the three below")
    command.add_argument("--cluster", metavar="NAME", help="the settings' `name`")
    command.add_argument("--region", help="AWS region")
    command.add_argument("--endpoint-url", metavar="URL", help="in place of AWS's own")
    command.add_argument("--json", action="store_true", help="for machines")
    command = add(set_image)
    command.add_argument("domain", help="an API or worker, such as auth")
    command.add_argument("tag", help="of an image that the registry has")
    command.add_argument("--image", metavar="NAME", help="the image's name, if it changes too")
    command.add_argument("--branch", default="main", help="of origin (default: main)")
    command = add(changed_services)
    command.add_argument("before", help="a commit; zeros, or one that is not there: all services")
    command.add_argument("after", help="a commit")
    return parser


@contextmanager
def _cluster(chosen: argparse.Namespace) -> Iterator[Kubectl]:
    if chosen.stack:
        from operations.stacks import kubeconfig

        with kubeconfig(CHECKOUT, chosen.stack) as file:
            yield Kubectl(file)
        return
    named = chosen.kubeconfig or os.environ.get("KUBECONFIG")
    if not named:
        raise OperationsError("of which cluster? Give --stack or --kubeconfig, or set KUBECONFIG")
    if not Path(named).is_file():
        raise OperationsError(f"{named}: no such kubeconfig; give another by --kubeconfig")
    yield Kubectl(Path(named))


def _place(chosen: argparse.Namespace) -> Place:
    from operations.stacks import Place, place

    if chosen.stack:
        if chosen.cluster or chosen.region or chosen.endpoint_url:
            raise OperationsError("--stack says what --cluster, --region and --endpoint-url do")
        return place(CHECKOUT, chosen.stack)
    if not (chosen.cluster and chosen.region):
        raise OperationsError("of which cluster? Give --stack, or --cluster and --region")
    return Place(chosen.cluster, chosen.region, chosen.endpoint_url)


if __name__ == "__main__":
    sys.exit(main())
