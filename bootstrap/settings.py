"""What the bootstrap is told: from the command line, and from the environments' own files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bootstrap.errors import BootstrapError
from bootstrap.names import ACCOUNT
from settings.environments import environment
from settings.errors import SettingsError
from settings.load import merged
from settings.models import Ami, Aws, Dns, DnsLabel
from settings.sources import read_sources

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,18}[a-z0-9]")
# The names alone, or each with its id, as repositories made since July 2026 have them in tokens
_REPOSITORY = re.compile(r"[A-Za-z0-9-]+/[\w.-]+|[A-Za-z0-9-]+@\d+/[\w.-]+@\d+")
_BRANCH = re.compile(r"[\w./-]+")
_URL = re.compile(r"https?://[^\s/?#]+/?")
# A role has ten managed policies at most ("IAM and AWS STS quotas"), the preview role one for each
_MOST = 10
_LONGEST_ROLE = 64


@dataclass(frozen=True)
class Environment:
    """An environment as its roles see it. prefix: of its AWS names, and its tag Project; domains:
    of its DNS zones; stacks: by Pulumi's names; image_owner: of the machines' image."""

    name: str
    prefix: str
    region: str
    domains: tuple[str, ...]
    stacks: tuple[str, ...]
    image_owner: str


@dataclass(frozen=True)
class Settings:
    """name: prefix of all AWS names here; region: of the state; repository: ORG/REPO or
    ORG@ID/REPO@ID on GitHub, None for no roles; branch: whose jobs may look, too."""

    name: str
    region: str
    repository: str | None
    branch: str
    environments: tuple[Environment, ...]
    endpoint_url: str | None = None


def check(settings: Settings) -> None:
    """Raises BootstrapError with every refusal, one a line: the option, and the reason."""
    if problems := list(_problems(settings)):
        raise BootstrapError("\n".join(problems))


def _problems(settings: Settings) -> Iterator[str]:
    if not _NAME.fullmatch(settings.name):
        yield f"--name: {settings.name!r} must be 2 to 20 of a-z, 0-9 and '-', from a letter on"
    if not _REGION.fullmatch(settings.region):
        yield f"--region: {settings.region!r} is not the code of a region, such as eu-west-1"
    if settings.endpoint_url is not None and not _URL.fullmatch(settings.endpoint_url):
        yield f"--endpoint-url: {settings.endpoint_url!r} must be http(s)://HOST[:PORT]"
    if not _BRANCH.fullmatch(settings.branch):
        yield f"--branch: {settings.branch!r} is not the name of a branch"
    repository = settings.repository
    if repository is not None and not _REPOSITORY.fullmatch(repository):
        yield (
            f"--repository: {repository!r} must be ORG/REPO, or ORG@ID/REPO@ID if its tokens have "
            "the ids (docs/bootstrap.md says how to see)"
        )
    if repository is None and settings.environments:
        yield "--environment: a deploy role is for the jobs of a repository; name --repository too"
    if repository is not None and not settings.environments:
        yield "--repository: its roles are for environments; name at least one --environment"
    if len(settings.environments) >= _MOST:
        yield f"--environment: {_MOST - 1} at most in one account, not {len(settings.environments)}"
    for each in settings.environments:
        if len(f"{settings.name}-deploy-{each.name}") > _LONGEST_ROLE:
            yield f"--environment: {each.name!r} makes a role's name of over {_LONGEST_ROLE} signs"
        if each.name == ACCOUNT:
            yield f"--environment: {ACCOUNT} is what the bootstrap's own tags say: take another"
        if each.prefix == f"{settings.name}-state":
            yield (
                f"--environment: {each.name}'s AWS names begin with {each.prefix}-, as those of "
                "the state do: give it another `name` in its settings"
            )
    yield from _overlaps(settings.environments)


def _overlaps(environments: Sequence[Environment]) -> Iterator[str]:
    """Roles are held to their environment's AWS names by prefix: one must not hold another's."""
    for one in environments:
        for other in environments:
            if one.name != other.name and f"{other.prefix}-".startswith(f"{one.prefix}-"):
                yield (
                    f"--environment: {one.name}'s AWS names begin with {one.prefix}-, and so do "
                    f"{other.name}'s ({other.prefix}-): give one another `name` in its settings"
                )


def read_environment(project: Path, name: str) -> Environment:
    """An environment of Pulumi.<name>.yaml. Raises BootstrapError when there is none, or its files
    say something else than settings."""
    try:
        own = environment(project, name)
        if own.name != name:
            raise BootstrapError(
                f"--environment: {name} is a stack of the environment {own.name}; name that"
            )
        data = merged(project, own.stacks[0].name, read_sources()).data
    except SettingsError as error:
        first = error.problems[0]
        raise BootstrapError(f"--environment {name}: {first}") from None
    aws = _part(name, data, "aws", Aws)
    dns = _part(name, data, "dns", Dns)
    domains = [dns.zone, *([dns.public.domain] if dns.public else [])]
    return Environment(
        name=name,
        prefix=_part(name, data, "name", DnsLabel),
        region=aws.region,
        domains=tuple(dict.fromkeys(domains)),
        stacks=tuple(stack.name for stack in own.stacks),
        image_owner=_part(name, data, "ami", Ami).owner,
    )


def _part(environment: str, data: dict[str, Any], key: str, kind: Any) -> Any:
    """One section, validated by itself: the others need files that are not on this machine."""
    try:
        return TypeAdapter(kind).validate_python(data.get(key))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join([key, *map(str, first["loc"])])
        raise BootstrapError(
            f"Pulumi.{environment}.yaml: {where}: {first['msg']}; `make preview "
            f"STACK={environment}` says more"
        ) from None
