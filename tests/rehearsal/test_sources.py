"""Whether the sources that the settings name are there: each that is not, by its key."""

from __future__ import annotations

import http.server
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from rehearsal import sources
from rehearsal.engine import STACK
from rehearsal.errors import RehearsalError
from rehearsal.paths import CHECKOUT, Paths
from rehearsal.sources import check, check_as_operator
from settings import Settings, load
from tests.conftest import ProjectMaker
from tests.rehearsal.moto_server import free_port

ASKED = {
    "cluster.packages.key_url": "/deb/Release.key",
    "cluster.packages.url": "/deb/Packages",
    "cluster.cni_manifest": "/files/cni.yaml",
    "cluster.image_mirror": "/v2/",
    "gitops.argocd.chart_repository": "/charts/index.yaml",
    "gitops.chart_mirror": "/addons/index.yaml",
    "gitops.repo_url": "/repo.git/info/refs?service=git-upload-pack",
}


@dataclass
class Site:
    """A loopback HTTP server that has every source but those that `answers` names otherwise."""

    url: str
    answers: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def settings(self) -> dict[str, dict[str, object]]:
        return {
            "cluster": {
                "packages": {"url": f"{self.url}/deb/", "key_url": f"{self.url}/deb/Release.key"},
                "cni_manifest": f"{self.url}/files/cni.yaml",
                "image_mirror": self.url,
            },
            "gitops": {
                "repo_url": f"{self.url}/repo.git",
                "chart_mirror": f"{self.url}/addons",
                "argocd": {"chart_repository": f"{self.url}/charts"},
            },
        }


@pytest.fixture
def site() -> Iterator[Site]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            self.send_response(made.answers.get(self.path, 200))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """The tests look at what was asked instead."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Site(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield made
        server.shutdown()


@pytest.fixture
def settings(site: Site, make_project: ProjectMaker) -> Settings:
    return load(make_project(**site.settings()), "test")


def problems(settings: Settings) -> list[str]:
    with pytest.raises(RehearsalError) as raised:
        check(settings)
    *lines, last = str(raised.value).splitlines()
    assert last == "nothing was changed"
    return lines


def test_every_source_is_asked_for_what_the_program_will_need(
    site: Site, settings: Settings
) -> None:
    check(settings)
    assert sorted(site.asked) == sorted(ASKED.values())


def test_a_stack_without_an_image_mirror_has_none_to_ask(
    site: Site, make_project: ProjectMaker
) -> None:
    changes = site.settings()
    changes["cluster"]["image_mirror"] = None
    check(load(make_project(**changes), "test"))
    assert "/v2/" not in site.asked


@pytest.mark.parametrize("key", ASKED)
@pytest.mark.parametrize(("status", "words"), [(404, "Not Found"), (503, "Service Unavailable")])
def test_a_source_that_is_refused(
    key: str, status: int, words: str, site: Site, settings: Settings
) -> None:
    site.answers[ASKED[key]] = status
    assert problems(settings) == [f"{key}: {site.url}{ASKED[key]} answers {status} {words}"]


def test_a_chart_repository_that_is_down(site: Site, make_project: ProjectMaker) -> None:
    changes = site.settings()
    url = f"http://127.0.0.1:{free_port()}"
    changes["gitops"]["argocd"] = {"chart_repository": url}
    assert problems(load(make_project(**changes), "test")) == [
        f"gitops.argocd.chart_repository: {url}/index.yaml cannot be reached "
        "([Errno 111] Connection refused)"
    ]


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b""])
def test_something_else_at_its_address(
    answer: bytes, site: Site, make_project: ProjectMaker
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(1 << 16)
                client.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        changes = site.settings()
        changes["gitops"]["argocd"] = {"chart_repository": url}
        (line,) = problems(load(make_project(**changes), "test"))
    begin = f"gitops.argocd.chart_repository: {url}/index.yaml cannot be reached ("
    assert line.startswith(begin)
    assert line.endswith(")")
    assert len(line) > len(begin) + 1


def test_all_that_are_missing_are_said_at_once(settings: Settings, site: Site) -> None:
    site.answers = {"/deb/Packages": 404, "/charts/index.yaml": 500}
    assert [line.split(":")[0] for line in problems(settings)] == [
        "cluster.packages.url",
        "gitops.argocd.chart_repository",
    ]


@pytest.fixture
def checkout(tmp_path: Path, site: Site, key_pair: Path) -> Path:
    """A checkout whose rehearsal stack names the site, as the operator's process reads it."""
    folder = tmp_path / "checkout"
    for name in ("bootstrap", "rehearsal", "settings"):
        shutil.copytree(
            CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    keys = {"private_key_file": str(key_pair), "public_key_file": f"{key_pair}.pub"}
    settings = {
        **site.settings(),
        "access": {"operator_cidrs": ["198.51.100.0/24"]},
        "ssh": keys,
    }
    document = {"config": {"groundwork:settings": settings}}
    (folder / f"Pulumi.{STACK}.yaml").write_text(yaml.safe_dump(document))
    return folder


def test_the_operator_asks_directly_and_says_each_problem_in_a_line(
    checkout: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "operator_command", list)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    paths = Paths(checkout=checkout)
    check_as_operator(paths)
    assert sorted(site.asked) == sorted(ASKED.values())
    site.answers["/charts/index.yaml"] = 404
    with pytest.raises(RehearsalError) as raised:
        check_as_operator(paths)
    assert str(raised.value).splitlines() == [
        f"gitops.argocd.chart_repository: {site.url}/charts/index.yaml answers 404 Not Found",
        "nothing was changed",
    ]
