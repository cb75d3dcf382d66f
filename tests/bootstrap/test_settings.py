"""What the bootstrap refuses to be told, a line each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from moto import mock_aws

from bootstrap import cli
from bootstrap.errors import BootstrapError
from bootstrap.settings import Environment, Settings, check, read_environment
from tests.bootstrap.roles import PROD, REGION
from tests.conftest import CHECKOUT

GOOD = Settings("groundwork", REGION, "example/platform", "main", (PROD,))


def other(name: str, prefix: str) -> Environment:
    return replace(PROD, name=name, prefix=prefix)


@pytest.mark.parametrize(
    ("settings", "refusal"),
    [
        (replace(GOOD, name="Ground work"), "--name: 'Ground work' must be 2 to 20 of a-z"),
        (replace(GOOD, region="seoul"), "--region: 'seoul' is not the code of a region"),
        (replace(GOOD, branch="a b"), "--branch: 'a b' is not the name of a branch"),
        (replace(GOOD, repository="platform"), "--repository: 'platform' must be ORG/REPO"),
        (replace(GOOD, repository="a@1/b"), "--repository: 'a@1/b' must be ORG/REPO"),
        (replace(GOOD, repository="a/b@1"), "--repository: 'a/b@1' must be ORG/REPO"),
        (replace(GOOD, repository="a/*"), "--repository: 'a/*' must be ORG/REPO"),
        (replace(GOOD, repository=None), "--environment: a deploy role is for the jobs of"),
        (replace(GOOD, environments=()), "--repository: its roles are for environments"),
        (replace(GOOD, endpoint_url="ftp://x"), "--endpoint-url: 'ftp://x' must be http(s)"),
        (
            replace(GOOD, environments=(PROD, other("prod-eu", "prod-eu"))),
            "--environment: prod's AWS names begin with prod-, and so do prod-eu's",
        ),
        (
            replace(GOOD, environments=(PROD, other("copy", "prod"))),
            "--environment: prod's AWS names begin with prod-, and so do copy's",
        ),
        (
            replace(GOOD, environments=(other("x", "groundwork-state"),)),
            "--environment: x's AWS names begin with groundwork-state-, as those of the state do",
        ),
        (
            replace(GOOD, environments=(other("account", "x"),)),
            "--environment: account is what the bootstrap's own tags say",
        ),
        (
            replace(GOOD, environments=tuple(other(f"e{n}", f"e{n}") for n in range(10))),
            "--environment: 9 at most in one account, not 10",
        ),
    ],
)
def test_refusals(settings: Settings, refusal: str) -> None:
    with pytest.raises(BootstrapError) as raised:
        check(settings)
    assert str(raised.value).splitlines()[0].startswith(refusal)


@pytest.mark.parametrize(
    "settings",
    [
        GOOD,
        replace(GOOD, repository="Ex-ample@12/plat.form_1@3"),
        replace(GOOD, environments=(PROD, other("staging", "staging"), other("own", "groundwork"))),
        replace(GOOD, repository=None, environments=()),
        replace(GOOD, endpoint_url="http://127.0.0.1:5000", branch="release/1"),
    ],
)
def test_what_is_taken(settings: Settings) -> None:
    check(settings)


def test_all_refusals_at_once() -> None:
    with pytest.raises(BootstrapError) as raised:
        check(replace(GOOD, name="", region="x", branch=""))
    assert len(str(raised.value).splitlines()) == 3


def test_an_environment_is_read_without_the_operators_keys(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.shop.yaml").write_text(
        """config:
  groundwork:settings:
    name: shop-eu
    aws: {region: eu-west-1}
    dns: {zone: shop.internal, public: {domain: example.com}}
"""
    )
    assert read_environment(tmp_path, "shop") == Environment(
        name="shop",
        prefix="shop-eu",
        region="eu-west-1",
        domains=("shop.internal", "example.com"),
        stacks=("shop",),
        image_owner="136693071363",
    )


def test_an_environment_in_several_stacks() -> None:
    found = read_environment(CHECKOUT, "staging")
    assert found.stacks == ("staging-infra", "staging-cluster", "staging-gitops")


def test_environments_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BootstrapError, match=r"--environment nowhere: Pulumi\.nowhere\.yaml: "):
        read_environment(CHECKOUT, "nowhere")
    with pytest.raises(BootstrapError, match="staging-infra is a stack of the environment staging"):
        read_environment(CHECKOUT, "staging-infra")
    (tmp_path / "Pulumi.odd.yaml").write_text(
        "config: {'groundwork:settings': {aws: {region: moon}}}"
    )
    with pytest.raises(BootstrapError, match=r"Pulumi.odd.yaml: aws.region: String should match"):
        read_environment(tmp_path, "odd")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "bootstrap: --region: is needed the first time; give the region of the state"),
        (["--region", "x"], "bootstrap: --region: 'x' is not the code of a region"),
        (
            ["--region", REGION, "--remove-environment", "prod"],
            "bootstrap: --remove-environment: prod has no deploy role here",
        ),
        (
            ["--region", REGION, "--repository", "a/b"],
            "bootstrap: --repository: its roles are for environments",
        ),
    ],
)
def test_the_command_says_it_in_one_line_and_makes_nothing(
    arguments: list[str],
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        assert cli.main(arguments) == 1
    told = capsys.readouterr()
    assert told.out == "" and told.err.splitlines()[-1].startswith(line)


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    said = capsys.readouterr().out
    for option in ("--region", "--repository", "--environment", "--preview", "--json"):
        assert option in said
