"""`python -m bootstrap`: makes an account ready for its first `pulumi up`. Safe to repeat."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pulumi import automation

from bootstrap import engine, foundation, report, survey
from bootstrap.errors import BootstrapError
from bootstrap.foundation import Cloud, Found, words
from bootstrap.names import Names
from bootstrap.program import Plan, program
from bootstrap.settings import Settings, check, read_environment

PROJECT = Path(__file__).resolve().parent.parent
_NAME, _BRANCH = "groundwork", "main"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when all stands (or is told), 1 when not, 130 when interrupted."""
    options = _parse(arguments)
    try:
        found = run(options)
    except BootstrapError as error:
        print("\n".join(f"bootstrap: {line}" for line in str(error).splitlines()), file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError) as error:
        print(f"bootstrap: AWS refuses: {words(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bootstrap: interrupted; run it again, it goes on", file=sys.stderr)
        return 130
    print(json.dumps(found, indent=2) if options.json else report.text(found))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bootstrap",
        description="Makes what an account needs before the first `pulumi up`: the bucket and the "
        "key of its state, and roles for GitHub. Changes nothing when run again. What is not "
        "given is as it was the last time. docs/bootstrap.md has the whole story.",
    )
    parser.add_argument("--region", metavar="R", help="of the state (first run: AWS_REGION)")
    parser.add_argument(
        "--repository", metavar="ORG/REPO", help="whose jobs on GitHub may take the roles"
    )
    parser.add_argument(
        "--environment",
        metavar="ENV",
        action="append",
        default=[],
        help="one that gets a deploy role, by its Pulumi.ENV.yaml; again for more",
    )
    parser.add_argument(
        "--remove-environment",
        metavar="ENV",
        action="append",
        default=[],
        help="one that loses its deploy role",
    )
    parser.add_argument(
        "--branch", metavar="B", help=f"whose jobs may look, as those of pull requests ({_BRANCH})"
    )
    parser.add_argument(
        "--name", default=_NAME, help="prefix of all names in AWS (default: %(default)s)"
    )
    parser.add_argument(
        "--endpoint-url",
        metavar="URL",
        default=os.environ.get("AWS_ENDPOINT_URL"),
        help="an AWS-compatible endpoint in place of AWS's own",
    )
    parser.add_argument("--preview", action="store_true", help="tell what would change, do nothing")
    parser.add_argument("--json", action="store_true", help="the result for machines, on stdout")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(f"bootstrap: {text}", file=sys.stderr, flush=True)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """What `report.data` tells. Raises BootstrapError and botocore's errors."""
    cloud = Cloud(options.region, options.endpoint_url)
    names = _names(options, cloud)
    cloud = Cloud(names.region, options.endpoint_url)
    check(replace(_settings(options, names, {}, ()), repository=None))
    _say(f"account {names.account}, {names.region}")
    state = engine.State.of(names, options.endpoint_url)
    with contextlib.ExitStack() as opened:

        def stack(kept: engine.State | None) -> automation.Stack:
            variables = _environment(names, options.endpoint_url)
            return opened.enter_context(engine.stack(kept, variables))

        found = foundation.survey(cloud, names)
        made = stack(state) if found.complete(names) else None
        before = engine.outputs(made) if made else {}
        settings = _settings(options, names, before, _environments(options, before))
        check(settings)
        if not options.preview:
            found = foundation.ensure(cloud, names, found, _say)
        run = program(_plan(cloud, settings, names, found))
        if options.preview:
            outcome = engine.preview(made or stack(None), run, _say)
        else:
            made = made or stack(state)
            engine.unlock(made, cloud, names, _say)
            outcome = engine.up(made, run, _say)
    return report.data(settings, names, outcome, options.preview)


def _plan(cloud: Cloud, settings: Settings, names: Names, found: Found) -> Plan:
    issuer, ours = survey.issuer(cloud, names)
    existing = survey.existing(cloud, names, found)
    if issuer is not None and ours:
        existing["issuer"] = issuer
    return Plan(settings, names, existing, None if ours else issuer)


def _names(options: argparse.Namespace, cloud: Cloud) -> Names:
    """The region is the one given, else that of the bucket, else that of AWS's own tools."""
    names = Names(options.name, foundation.account(cloud), options.region or "")
    if options.region is not None:
        return names
    region = (
        foundation.bucket_region(cloud, names.state_bucket)
        or os.environ.get("AWS_REGION")
        or os.environ.get("AWS_DEFAULT_REGION")
    )
    if region is None:
        raise BootstrapError("--region: is needed the first time; give the region of the state")
    return Names(names.prefix, names.account, region)


def _environments(options: argparse.Namespace, before: Mapping[str, Any]) -> list[str]:
    kept = {*before.get("environments", ()), *options.environment}
    for each in options.remove_environment:
        if each not in kept:
            raise BootstrapError(f"--remove-environment: {each} has no deploy role here")
    return sorted(kept - set(options.remove_environment))


def _settings(
    options: argparse.Namespace,
    names: Names,
    before: Mapping[str, Any],
    environments: Sequence[str],
) -> Settings:
    return Settings(
        name=names.prefix,
        region=names.region,
        repository=options.repository or before.get("repository"),
        branch=options.branch or before.get("branch") or _BRANCH,
        environments=tuple(read_environment(PROJECT, each) for each in environments),
        endpoint_url=options.endpoint_url,
    )


def _environment(names: Names, endpoint_url: str | None) -> dict[str, str]:
    """Of the engine: the state's bucket and key are found by the region and the endpoint."""
    url = {"AWS_ENDPOINT_URL": endpoint_url} if endpoint_url else {}
    return {"AWS_REGION": names.region, **url}
