"""`make preview STACK=…`: any environment from an empty state, with the engine and nothing else.

A small program stands for the whole one, which takes minutes on a loaded machine.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rehearsal import cli
from rehearsal.paths import CHECKOUT, Paths
from rehearsal.preview import without_plugin_warnings
from tests.rehearsal.plugins.project import needs_engine

pytestmark = needs_engine

PROGRAM = """
from pathlib import Path
import pulumi
import pulumi_aws as aws
from infra.provider import aws_provider
from settings import load
from settings.check import resolve

project, environment = Path(__file__).resolve().parent, pulumi.get_stack()
settings = load(project, environment)


class Infra(pulumi.ComponentResource):
    def __init__(self):
        super().__init__("groundwork:infra:Infra", "infra")
        opts = pulumi.ResourceOptions(parent=self)
        provider = aws_provider(settings, environment)
        opts = pulumi.ResourceOptions(parent=self, provider=provider)
        ask = pulumi.InvokeOptions(provider=provider)
        filters = [{"name": "name", "values": [settings.ami.name]}]
        aws.ec2.get_ami(owners=[settings.ami.owner], filters=filters, opts=ask)
        if settings.dns.public and settings.dns.public.zone_id:
            zone = aws.route53.get_zone(zone_id=settings.dns.public.zone_id, opts=ask)
            assert zone.name == settings.dns.public.domain, zone.name
        assert "PRIVATE KEY" in resolve(project, settings.ssh.private_key_file).read_text()
        aws.ec2.Eip("nat", domain="vpc", tags={"Name": "nat"}, opts=opts)
        if settings.network.flow_logs is None:
            aws.ec2.Vpc("vpc", cidr_block="10.0.0.0/16", opts=opts)


Infra()
"""
Preview = Callable[..., tuple[int, str, str]]


@pytest.fixture
def preview(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Preview:
    """Runs the command in a checkout with the small program, `changes` laid over the settings of
    a stack file; its exit code, output and errors."""
    checkout, temporary = tmp_path / "checkout", tmp_path / "tmp"
    checkout.mkdir()
    temporary.mkdir()
    for file in CHECKOUT.iterdir():
        if file.name == ".venv" or not file.name.startswith("."):
            (checkout / file.name).symlink_to(file)
    (checkout / "__main__.py").unlink()
    (checkout / "__main__.py").write_text(PROGRAM)
    paths = Paths(checkout, checkout / ".rehearsal")
    monkeypatch.setattr(cli, "Paths", lambda: paths)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # nobody in particular
    monkeypatch.setattr(cli, "_LOCK", Path("/nowhere/lock"))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    def run(stack: str, *options: str, of: str = "", **changes: Any) -> tuple[int, str, str]:
        if of:
            document = yaml.safe_load((CHECKOUT / f"Pulumi.{of}.yaml").read_text())
            given = document["config"]["groundwork:settings"]
            for section, value in changes.items():
                given[section] = {**given.get(section, {}), **value}
            document |= {"secretsprovider": "awskms://alias/real", "encryptedkey": "AAAA"}
            document["config"]["aws:secretKey"] = {"secure": "v1:AAAA:AAAA"}
            (checkout / f"Pulumi.{stack}.yaml").write_text(yaml.safe_dump(document))
        before = {file: file.lstat().st_mtime_ns for file in checkout.iterdir()}
        status = cli.main(["preview", "--stack", stack, *options])
        assert {file: file.lstat().st_mtime_ns for file in checkout.iterdir()} == before
        assert list(temporary.iterdir()) == []
        return status, *capsys.readouterr()

    return run


def test_prod_for_people(preview: Preview) -> None:
    status, said, errors = preview("prod")
    assert status == 0, errors
    lines = said.splitlines()
    assert lines[0] == "plan of prod: 4 create"
    assert "  infra: create 2: 1 Infra, 1 Eip" in lines
    assert any("ami.name" in line and "debian-12-amd64-" in line for line in lines)
    assert "overridden" not in said
    assert "cost a month: 3.65 USD" in lines


def test_an_environment_with_an_endpoint_and_mirrors_for_machines(preview: Preview) -> None:
    status, said, errors = preview("rehearsal", "--json")
    assert status == 0, errors
    found = json.loads(said)
    assert list(found) == ["version", "stack", "plan", "sources", "cost"]
    assert found["plan"]["operations"] == {"create": 4}
    assert found["plan"]["changes"][-1] == {
        "layer": "infra",
        "op": "create",
        "type": "aws:ec2/eip:Eip",
        "name": "nat",
    }
    sources = {each["key"]: each for each in found["sources"]}
    assert sources["ami.owner"]["overridden"]["value"] == "self"
    assert sources["ami.owner"]["overridden"]["by"].startswith("Pulumi.rehearsal.yaml:")
    assert sources["gitops.argocd.chart"]["overridden"] is None
    assert found["cost"]["monthly"] == 3.65


def test_an_environment_of_a_real_account(preview: Preview) -> None:
    """Its state's key is not here, its hosted zone exists, its SSH key is elsewhere."""
    status, _, errors = preview(
        "live",
        of="prod",
        dns={"public": {"domain": "example.com", "zone_id": "Z0123456789ABC"}},
        ssh={"private_key_file": "keys/live", "public_key_file": "keys/live.pub"},
    )
    assert status == 0, errors


def test_a_broken_rule_fails_it(preview: Preview) -> None:
    status, said, errors = preview("loud", of="prod", network={"flow_logs": None})
    assert (status, said) == (1, "")
    assert "preview: pulumi preview failed:" in errors
    assert any(line.startswith("flow-logs: ") for line in errors.splitlines())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"aws": {"region": "Seoul"}}, r"Pulumi.bad.yaml:\d+: aws.region: "),
        (
            {"ssh": {"private_key_file": "/nowhere/key", "public_key_file": "/nowhere/key.pub"}},
            r"Pulumi.bad.yaml:\d+: ssh.private_key_file: /nowhere/key cannot be read",
        ),
        (
            {"cluster": {"kubernetes_version": "1.35.0"}},
            r"sources.yaml:\d+: cluster.packages.url: is for 1.34, and",
        ),
    ],
)
def test_refused_settings_are_told_with_their_line(
    preview: Preview, changes: dict[str, Any], told: str
) -> None:
    status, said, errors = preview("bad", of="prod", **changes)
    assert (status, said) == (1, "")
    assert "refused; nothing was changed:" in errors
    assert re.search(told, errors)


def test_an_unknown_environment_names_the_known_ones(preview: Preview) -> None:
    status, _, errors = preview("prdo")
    assert status == 1
    assert "Pulumi.prdo.yaml: -: no such file; environments here: dev, prod, rehearsal" in errors


def test_what_the_program_says_is_one_line(preview: Preview, tmp_path: Path) -> None:
    (tmp_path / "checkout" / "__main__.py").write_text("raise ValueError('too small')\n")
    status, _, errors = preview("prod")
    assert status == 1
    assert "Traceback" not in errors
    assert errors.strip().endswith("ValueError: too small")


ON_PATH = "warning: using pulumi-{0} from $PATH at /checkout/bin/pulumi-{0}\n"
SAID = """\
{language}Previewing update (dev):
    pulumi:pulumi:Stack groundwork-dev  {language}@ previewing update....
 +  pulumi:pulumi:Stack groundwork-dev create {aws} +  aws:ec2:Eip nat create warning: is deprecated
 +  pulumi:pulumi:Stack groundwork-dev create {total}
Diagnostics:
  pulumi:pulumi:Stack (groundwork-dev):
    {language}    {aws}{own}{others}
Resources:
    + 2 to create
"""
LEFT = """\
Previewing update (dev):
@ previewing update....
 +  aws:ec2:Eip nat create warning: is deprecated
 +  pulumi:pulumi:Stack groundwork-dev create{total}
{diagnostics}Resources:
    + 2 to create
"""
STACK_HEAD, EIP_HEAD = "  pulumi:pulumi:Stack (groundwork-dev):\n", "  aws:ec2:Eip (nat):\n"
OWN, OTHERS = "    warning: something else\n", f"{EIP_HEAD}    warning: is deprecated\n"


@pytest.mark.parametrize(
    ("own", "others", "total", "left"),
    [
        ("", "", "2 warnings", ("", "")),
        (OWN, "", "3 warnings", (" 1 warning", STACK_HEAD + OWN)),
        ("", OTHERS, "2 warnings", ("", OTHERS)),
        (OWN + OWN, OTHERS, "4 warnings", (" 2 warnings", STACK_HEAD + OWN + OWN + OTHERS)),
    ],
)
def test_plugins_on_path_are_no_news(
    own: str, others: str, total: str, left: tuple[str, str]
) -> None:
    plugins = {name: ON_PATH.format(name) for name in ("language", "aws")}
    said = SAID.format(**plugins, own=own, others=others, total=total)
    diagnostics = f"Diagnostics:\n{left[1]}\n" if left[1] else ""
    assert without_plugin_warnings(said) == LEFT.format(total=left[0], diagnostics=diagnostics)
    assert without_plugin_warnings("nothing of it\n\n") == "nothing of it\n\n"


def test_a_stack_that_only_had_such_warnings_has_no_line() -> None:
    listed = f"Diagnostics:\n{STACK_HEAD}    {ON_PATH.format('aws')}\n"
    for count, left in ((1, ""), (2, "    pulumi:pulumi:Stack groundwork-dev  1 warning\n")):
        row = f"    pulumi:pulumi:Stack groundwork-dev  {count} warnings\n"
        assert without_plugin_warnings(f"{row}{listed}Resources:\n") == f"{left}Resources:\n"
