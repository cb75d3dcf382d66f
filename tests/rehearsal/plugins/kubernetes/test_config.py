"""Provider arguments: what is refused, and when a change replaces the provider."""

from __future__ import annotations

import json

import pytest

from rehearsal.plugins.protocol import UNKNOWN
from tests.rehearsal.plugins.harness import Plugin
from tests.rehearsal.plugins.kubernetes.api_server import make_kubeconfig

HERE = make_kubeconfig("https://10.0.0.1:6443")
THERE = make_kubeconfig("https://10.0.0.2:6443")
HERE_OTHER_USER = HERE.replace("admin-token", "other-token")


def test_known_arguments_pass(bare_plugin: Plugin) -> None:
    args = {
        "kubeconfig": HERE,
        "clusterIdentifier": "main",
        "namespace": "apps",
        "deleteUnreachable": "true",
        "enableServerSideApply": "true",
        "suppressDeprecationWarnings": "false",
        "helmReleaseSettings": json.dumps({"driver": "secret"}),
    }
    assert bare_plugin.check_config(args) == []
    assert bare_plugin.check_config({"kubeconfig": UNKNOWN}) == []


@pytest.mark.parametrize(
    ("argument", "value", "text"),
    [
        ("renderYamlToDirectory", "out", "is not handled by this stand-in"),
        ("enableServerSideApply", "false", "client-side apply is not handled"),
        ("deleteUnreachable", "perhaps", "is not valid JSON"),
        ("kubeconfig", "", "is required"),
        ("kubeconfig", "a: [\n", "is not valid YAML"),
        ("kubeconfig", "apiVersion: v1\n", "no current-context"),
        ("helmReleaseSettings", json.dumps({"pluginsPath": "/x"}), "is not handled"),
    ],
)
def test_what_is_not_handled_is_refused(
    bare_plugin: Plugin, argument: str, value: str, text: str
) -> None:
    failures = bare_plugin.check_config({"kubeconfig": HERE, argument: value})
    assert len(failures) == 1
    assert failures[0][0].startswith(argument) and text in failures[0][1]


def test_no_credentials_in_the_refusal(bare_plugin: Plugin) -> None:
    broken = "users: [{token: planted-marker\ncontexts: {"
    ((_, reason),) = bare_plugin.check_config({"kubeconfig": broken})
    assert "planted-marker" not in reason


def test_identifier_that_stays_keeps_the_provider(bare_plugin: Plugin) -> None:
    olds = {"kubeconfig": HERE, "clusterIdentifier": "main"}
    for kubeconfig in (THERE, UNKNOWN):
        diff = bare_plugin.diff_config(olds, olds | {"kubeconfig": kubeconfig})
        assert (diff.changes, diff.replaces) == (["kubeconfig"], [])


def test_identifier_that_changes_replaces(bare_plugin: Plugin) -> None:
    olds = {"kubeconfig": HERE, "clusterIdentifier": "main"}
    diff = bare_plugin.diff_config(olds, olds | {"clusterIdentifier": "other"})
    assert diff.replaces == ["clusterIdentifier"]


def test_adding_an_identifier_does_not_replace(bare_plugin: Plugin) -> None:
    diff = bare_plugin.diff_config(
        {"kubeconfig": HERE}, {"kubeconfig": HERE, "clusterIdentifier": "main"}
    )
    assert (diff.changes, diff.replaces) == (["clusterIdentifier"], [])


@pytest.mark.parametrize(
    ("kubeconfig", "replaces"),
    [(THERE, ["kubeconfig"]), (UNKNOWN, ["kubeconfig"]), (HERE_OTHER_USER, [])],
)
def test_without_identifier_the_cluster_decides(
    bare_plugin: Plugin, kubeconfig: object, replaces: list[str]
) -> None:
    diff = bare_plugin.diff_config({"kubeconfig": HERE}, {"kubeconfig": kubeconfig})
    assert (diff.changes, diff.replaces) == (["kubeconfig"], replaces)


def test_no_change_is_no_diff(bare_plugin: Plugin) -> None:
    assert bare_plugin.diff_config({"kubeconfig": HERE}, {"kubeconfig": HERE}).changes == []
