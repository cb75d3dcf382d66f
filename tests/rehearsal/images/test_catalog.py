"""The images have what their users call, with all libraries, and nothing of it is missing."""

from __future__ import annotations

import json
import subprocess
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rehearsal.errors import RehearsalError
from rehearsal.images import catalog
from rehearsal.images.build import build_images
from rehearsal.images.debian import DebianFiles
from rehearsal.images.oci import Image, blob_path, read_index
from rehearsal.paths import CHECKOUT, Paths
from tests.rehearsal.images.unpack import unpack

Run = Callable[..., str]


def find(images: tuple[Image, ...], part: str) -> Image:
    (found,) = (image for image in images if part in image.reference)
    return found


def runner(root: Path) -> Run:
    """Runs a program of the image in it; what the runtime would mount is a private /dev, /proc."""

    def run(*command: str, user: str = "0") -> str:
        mounts = (
            f"mount --make-rprivate / && mkdir -p {root}/dev {root}/proc && "
            f"mount --bind /dev {root}/dev && mount -t proc proc {root}/proc && "
            f'exec chroot --userspec={user}:{user} {root} "$@"'
        )
        result = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--", "sh", "-c", mounts, "sh", *command],
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/bin", "HOME": "/tmp"},
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, f"{command}: {result.stderr}"
        return result.stdout

    return run


@pytest.fixture(scope="module")
def module_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images")


def fake_binaries(folder: Path) -> dict[str, Path]:
    names = [name for group in catalog.GROUPS for name in catalog.NEEDED[group]]
    for name in names:
        (folder / name).write_text(f"#!/bin/sh\necho {name}\n")
        (folder / name).chmod(0o755)
    return {name: folder / name for name in names}


@pytest.fixture(scope="module")
def argocd(module_path: Path, debian: DebianFiles) -> Run:
    folder = module_path / "argocd"
    folder.mkdir()
    images = catalog.images("argocd", fake_binaries(folder), lambda: debian)
    return runner(unpack(find(images, "argocd"), folder))


def test_every_reference_is_made_and_every_image_is_a_reference(
    binaries: dict[str, Path], debian: DebianFiles
) -> None:
    made = [
        image.reference
        for group in catalog.GROUPS
        for image in catalog.images(group, binaries, lambda: debian)
    ]
    assert len(made) == len(set(made))
    assert set(made) == catalog.references()


def test_tags_are_the_versions_that_are_built() -> None:
    tools = tomllib.loads((CHECKOUT / "tools/tools.toml").read_text())
    assert tools["kubernetes"]["version"] == catalog.KUBERNETES_VERSION
    assert tools["etcd"]["version"] == catalog.ETCD_VERSION
    assert tools["coredns"]["version"] == catalog.COREDNS_VERSION
    assert tools["argocd"]["version"] == catalog.ARGOCD_VERSION


def test_missing_binary_is_named(binaries: dict[str, Path], debian: DebianFiles) -> None:
    del binaries["helm"]
    with pytest.raises(RehearsalError, match=r"argocd images need helm, not built yet"):
        catalog.images("argocd", binaries, lambda: debian)


def test_kube_proxy_has_its_tools(
    binaries: dict[str, Path], debian: DebianFiles, tmp_path: Path
) -> None:
    images = catalog.images("kubernetes", binaries, lambda: debian)
    run = runner(unpack(find(images, "kube-proxy"), tmp_path))
    assert "nftables" in run("nft", "--version")
    assert "nf_tables" in run("iptables", "--version")
    assert "nf_tables" in run("ip6tables-restore", "--version")
    assert "conntrack" in run("conntrack", "--version")
    assert "iproute2" in run("ip", "-Version")


def test_node_images_share_the_network_layer(
    binaries: dict[str, Path], debian: DebianFiles
) -> None:
    images = catalog.images("kubernetes", binaries, lambda: debian)
    assert find(images, "kube-proxy").layers[0] == find(images, "/cni").layers[0]


def test_busybox_runs_its_applets(
    binaries: dict[str, Path], debian: DebianFiles, tmp_path: Path
) -> None:
    images = catalog.images("kubernetes", binaries, lambda: debian)
    run = runner(unpack(find(images, "busybox"), tmp_path))
    for applet in catalog._BUSYBOX_APPLETS.split():
        run("busybox", "which", applet)
    assert set(catalog._BUSYBOX_APPLETS.split()) <= set(run("busybox", "--list").split())
    assert run("sh", "-c", "echo a b | awk '{print $2}'") == "b\n"


def test_argocd_components_are_links_to_one_program(argocd: Run) -> None:
    for name in ("server", "repo-server", "application-controller", "applicationset-controller"):
        assert argocd("readlink", f"/usr/local/bin/argocd-{name}") == "argocd\n"
    assert argocd("argocd-server", user="999") == "argocd\n"
    assert argocd("entrypoint.sh", "argocd-server", user="999") == "argocd\n"
    assert "tini" in argocd("tini", "--version")


def test_argocd_copies_itself_as_its_init_containers_do(argocd: Run) -> None:
    command = "cp --update=none /usr/local/bin/argocd /tmp/copy && ln -s /tmp/copy /tmp/link"
    argocd("sh", "-c", f"{command} && rm /tmp/copy /tmp/link", user="999")


def test_argocd_works_with_git_as_its_user(argocd: Run) -> None:
    script = """
    cd "$(mktemp -d)" && export HOME="$PWD" GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.test
    export GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.test
    git init -q origin && cd origin && echo hello > file && git add file && git commit -qm one
    cd .. && git clone -q "file://$PWD/origin" clone && cat clone/file
    git -C clone submodule update --init --recursive
    """
    assert argocd("sh", "-ec", script, user="999") == "hello\n"
    # The helper starts, and only then fails to find a server.
    said = argocd("sh", "-c", "git ls-remote https://127.0.0.1:1/x 2>&1 || true", user="999")
    assert "Failed to connect" in said


def test_argocd_makes_a_key_ring_as_its_user(argocd: Run) -> None:
    script = """
    export GNUPGHOME="$(mktemp -d)"
    printf '%s\\n' %no-protection %transient-key 'Key-Type: RSA' 'Key-Length: 2048' \\
      'Key-Usage: sign' 'Name-Real: Anon' %commit > "$GNUPGHOME/k"
    gpg --no-permission-warning --logger-fd 1 --batch --gen-key "$GNUPGHOME/k"
    gpg-wrapper.sh --no-permission-warning --list-secret-keys Anon
    gpg-wrapper.sh --no-permission-warning --list-secret-keys Nobody
    gpgconf --kill gpg-agent
    """
    said = argocd("sh", "-ec", script, user="999")
    assert "Anon" in said
    assert "error reading key: No secret key" in said


def test_git_verify_wrapper_answers_for_an_unsigned_commit(argocd: Run) -> None:
    script = """
    cd "$(mktemp -d)" && export HOME="$PWD"
    git init -q . && git -c user.name=a -c user.email=a@example.test commit -q --allow-empty -m one
    git-verify-wrapper.sh HEAD
    """
    argocd("sh", "-ec", script, user="999")


def test_argocd_is_small_without_its_own_programs(
    binaries: dict[str, Path], debian: DebianFiles, tmp_path: Path
) -> None:
    root = unpack(find(catalog.images("argocd", binaries, lambda: debian), "argocd"), tmp_path)
    size = sum(file.lstat().st_size for file in root.rglob("*") if file.is_file())
    assert size < 60_000_000


def test_redis_serves_with_options_alone(
    binaries: dict[str, Path], debian: DebianFiles, tmp_path: Path
) -> None:
    image = find(catalog.images("argocd", binaries, lambda: debian), "redis")
    run = runner(unpack(image, tmp_path))
    script = """
    docker-entrypoint.sh --port 0 --unixsocket /tmp/socket --save '' > /tmp/log &
    until redis-cli -s /tmp/socket ping 2> /dev/null; do kill -0 $!; done
    redis-cli -s /tmp/socket shutdown
    """
    assert run("sh", "-ec", script, user="999") == "PONG\n"
    assert catalog.REDIS_VERSION in run("redis-server", "--version")


def test_other_redis_than_the_tag_says_is_refused(
    binaries: dict[str, Path], debian: DebianFiles, tmp_path: Path
) -> None:
    (tmp_path / "versions.json").write_text(json.dumps({"redis-server": "5:9.1.0-1"}))
    other = DebianFiles(tmp_path)
    for name in ("usr", "etc"):
        (tmp_path / name).symlink_to(debian.root / name)
    with pytest.raises(RehearsalError, match=r"Redis is 9\.1\.0 now, not"):
        catalog.images("argocd", binaries, lambda: other)


def test_services_are_one_layer_under_their_own_names(
    binaries: dict[str, Path], debian: DebianFiles
) -> None:
    images = catalog.images("services", binaries, lambda: debian)
    assert len({image.layers for image in images}) == 1
    for version in (catalog.SERVICE_VERSION, catalog.NEXT_SERVICE_VERSION):
        said = find(images, f"/auth:{version}").environment
        assert said == {"SERVICE_NAME": "auth", "SERVICE_VERSION": version}


def test_second_build_writes_nothing_and_a_changed_binary_one_group(
    binaries: dict[str, Path], tmp_path: Path
) -> None:
    paths = replace(Paths(), cache=tmp_path)
    said: list[str] = []
    build_images(paths, binaries, said.append, groups=["services"])
    before = read_index(paths.images)
    assert len(said) == len(before) > len(catalog.SERVICES)
    said.clear()
    build_images(paths, binaries, said.append, groups=["services"])
    assert said == []
    binaries["service"].write_text("changed")
    build_images(paths, binaries, said.append, groups=["services"])
    assert len(said) == len(before)
    after = read_index(paths.images)
    assert before.keys() == after.keys()
    for reference, old in before.items():
        assert after[reference]["digest"] != old["digest"]
        assert not blob_path(paths.images, old["digest"]).exists()
