"""What comes from the internet: in one file, checked for form, merged as any other settings."""

from __future__ import annotations

import re
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from settings import SettingsError, load
from settings.load import DEFAULTS, merged
from settings.merge import read
from settings.sources import SOURCES, in_use, read_sources
from tests.conftest import CHECKOUT, ProjectMaker

LOAD = sys.modules[load.__module__]  # the package has a function of the module's name
TREE = CHECKOUT / "gitops" / "tree"
MANIFEST = "cluster.cni_manifest"


def changed(folder: Path, section: str, name: str, **fields: object) -> Path:
    """A copy of the file with one entry changed; a field that is `...` is left out."""
    data = yaml.safe_load(SOURCES.read_text())
    entry = {**data[section].get(name, {}), **fields}
    data[section][name] = {key: value for key, value in entry.items() if value is not ...}
    file = folder / SOURCES.name
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return file


def refusals(file: Path) -> dict[str, str]:
    """Key -> the whole refusal."""
    with pytest.raises(SettingsError) as caught:
        read_sources(file)
    return {problem.key: str(problem) for problem in caught.value.problems}


def test_every_value_has_a_date_and_a_source_and_stands_in_no_other_file() -> None:
    sources = read_sources()
    assert {"ami.owner", "ami.name", MANIFEST, "gitops.argocd.version"} <= set(sources.settings)
    defaults = read(DEFAULTS).origins
    for name, entry in sources.settings.items():
        assert entry.date and entry.source
        assert tuple(name.split(".")) not in defaults


def test_the_values_are_laid_under_the_stack_file(make_project: ProjectMaker) -> None:
    url = "https://mirror.example/calico.yaml"
    plain = load(make_project(), "test")
    assert plain.cluster.cni_manifest == read_sources().settings[MANIFEST].value
    mirrored = load(make_project(cluster={"cni_manifest": url}), "test")
    assert mirrored.cluster.cni_manifest == url
    assert mirrored.cluster.packages == plain.cluster.packages


def test_a_value_that_the_settings_refuse_is_told_with_its_line(
    make_project: ProjectMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = changed(tmp_path, "settings", "ami.owner", value="debian")
    monkeypatch.setattr(LOAD, "read_sources", lambda: read_sources(file))
    with pytest.raises(SettingsError) as caught:
        load(make_project(), "test")
    (problem,) = caught.value.problems
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "ami.owner" in text)
    assert (problem.file, problem.key) == (f"sources.yaml:{line}", "ami.owner")


def test_what_an_environment_uses_instead_is_told_with_its_line() -> None:
    sources = read_sources()
    used = {each.key: each for each in in_use(sources, merged(CHECKOUT, "rehearsal", sources))}
    assert used["ami.owner"].override == "self"
    assert re.fullmatch(r"Pulumi\.rehearsal\.yaml:\d+", used["ami.owner"].by or "")
    assert used["images.argocd-redis"].override == "docker.io/library/redis:8.0.2"
    assert (used["gitops.argocd.chart"].override, used["gitops.argocd.chart"].by) == (None, None)
    prod = in_use(sources, merged(CHECKOUT, "prod", sources))
    assert [each.key for each in prod if each.override] == []


NEW = {"value": "x", "version": None, "date": date(2026, 1, 2), "source": "https://example.com/"}
REFUSED: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("settings", "ami.name", {"date": ...}, ".date", "is missing"),
    ("settings", "ami.name", {"version": ...}, ".version", "is missing"),
    ("settings", "ami.name", {"date": "21 November"}, ".date", "a day as YYYY-MM-DD"),
    ("settings", "ami.name", {"date": 20261121}, ".date", "a day as YYYY-MM-DD"),
    ("settings", "ami.name", {"source": "wiki.debian.org"}, ".source", "pattern"),
    ("settings", "ami.name", {"colour": "red"}, ".colour", "unknown key; known: value, version"),
    ("settings", "ami.owner", {"value": 136693071363}, ".value", "valid string"),
    ("settings", "ami.name", {"version": "20240101-1"}, ".version", "is not in the value"),
    ("settings", MANIFEST, {"version": "v3.29.0"}, ".version", "one of them is old"),
    ("settings", "cluster.packages.revision", {"version": "1.34.4-2.2"}, ".version", "not in"),
    ("settings", "gitops.argocd.version", {"carries": "v3.3.4"}, ".carries", "argocd is v3.2.1"),
    ("settings", "Calico", NEW, "", "is no settings key"),
    ("settings", "cluster.packages", NEW, "", "is a section, which holds"),
    ("images", "redis", {"value": "ghcr.io/sesacthon/auth"}, ".value", "is tagged nothing"),
    ("images", "redis", {"version": None}, ".value", "version says null"),
    ("images", "redis", {"setting": "redis"}, ".setting", "pattern"),
]


@pytest.mark.parametrize(("section", "name", "change", "field", "reason"), REFUSED)
def test_what_is_refused(
    tmp_path: Path, section: str, name: str, change: dict[str, Any], field: str, reason: str
) -> None:
    found = refusals(changed(tmp_path, section, name, **change))
    told = found[f"{section}.{name}{field}"]
    assert reason in told
    assert re.match(r"sources\.yaml:\d+: ", told)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("settings: {}\n", "images: is missing"),
        ("settings: []\nimages: {}\n", "settings: must be a map"),
        ("settings: {}\nimages: {}\ncharts: {}\n", "charts: unknown key; known: settings, images"),
        ("settings: {ami.name: {date: 2026-13-40}}\n", "a value cannot be read: month must be"),
    ],
)
def test_another_form_of_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "sources.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=reason):
        read_sources(file)


def test_refusals_come_at_once(tmp_path: Path) -> None:
    changed(tmp_path, "settings", "ami.name", date=...)
    data = yaml.safe_load((tmp_path / SOURCES.name).read_text())
    data["images"]["redis"]["version"] = "v9"
    (tmp_path / SOURCES.name).write_text(yaml.safe_dump(data))
    assert set(refusals(tmp_path / SOURCES.name)) == {
        "settings.ami.name.date",
        "images.redis.value",
    }


@pytest.mark.parametrize(
    ("cluster", "refused"),
    [
        ({"kubernetes_version": "1.35.0"}, {"cluster.packages.url", "cluster.packages.key_url"}),
        ({"kubernetes_version": "1.34.9"}, set()),
        (
            {"packages": {"url": "https://mirror.example/v1.33/deb/"}},
            {"cluster.packages.url"},
        ),
        (
            {
                "kubernetes_version": "1.35.0",
                "packages": {
                    "url": "https://mirror.example/deb/",
                    "key_url": "https://m.example/k",
                },
            },
            set(),
        ),
    ],
)
def test_package_sources_of_another_kubernetes_are_refused(
    make_project: ProjectMaker, cluster: dict[str, Any], refused: set[str]
) -> None:
    project = make_project(cluster=cluster)
    try:
        load(project, "test")
        found = set()
    except SettingsError as error:
        found = {problem.key for problem in error.problems}
    assert found == refused


def test_a_value_in_the_defaults_too_is_refused(
    make_project: ProjectMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = tmp_path / "defaults.yaml"
    defaults.write_text(f"{DEFAULTS.read_text()}\nami: {{name: debian-13}}\n")
    monkeypatch.setattr(LOAD, "DEFAULTS", defaults)
    with pytest.raises(SettingsError, match=r"defaults.yaml:\d+: ami.name: is in sources.yaml too"):
        load(make_project(), "test")


def test_every_image_that_is_not_ours_is_listed() -> None:
    listed = {image.value for image in read_sources().images.values()}
    files = [file for file in TREE.rglob("*.yaml") if file.name != "values-rehearsal.yaml"]
    lines = "\n".join(file.read_text() for file in files)
    named = set(re.findall(r"^\s*(?:- )?image:\s*(\w\S+:\S+)$", lines, re.M))
    assert named and named <= listed
    assert listed - named == {
        image for image in listed if "argocd" in image or "ecr-public" in image
    }
