"""The hosts' own containerd pulls through the registry as the mirror of another one."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from rehearsal.hosts.base import base_path
from rehearsal.images.oci import File, Image, layer
from rehearsal.paths import Paths
from tests.rehearsal.mirrors.test_registry import CONTENT, Server, server, write

__all__ = ["server"]

# containerd of the base image with its own folders, in a mount and a process namespace that end
# with the script. The native snapshotter, as overlays don't nest.
SCRIPT = """
set -eu
mount --make-rprivate /
mount -t overlay overlay -o lowerdir={base},upperdir={work}/upper,workdir={work}/work {work}/root
mount -t proc proc {work}/root/proc
mount --bind /dev {work}/root/dev
mount -t tmpfs tmpfs {work}/root/run
exec chroot {work}/root sh -eu <<'INSIDE'
mkdir -p /etc/containerd/certs.d/_default
printf '[host."http://127.0.0.1:{port}"]\\ncapabilities = ["pull", "resolve"]\\n' \
  > /etc/containerd/certs.d/_default/hosts.toml
containerd > /var/log/containerd.log 2>&1 &
until ctr version > /dev/null 2>&1; do kill -0 $! && sleep 0.1; done
pull() {{
  ctr images pull --snapshotter native --hosts-dir /etc/containerd/certs.d "$1" > /dev/null
}}
pull a.test/team/app:1
pull b.test/team/app:1
pull docker.io/library/redis:8
ctr images list | awk 'NR > 1 {{ print $1, $3 }}'
if pull a.test/team/app:2; then exit 9; fi
INSIDE
"""


def test_containerd_pulls_two_registries_images_of_one_name(server: Server, tmp_path: Path) -> None:
    base = base_path(Paths())
    if not base.is_dir():
        pytest.skip("the hosts' base image is not built")
    big = layer([File("big", CONTENT)])
    references = ["a.test/team/app:1", "b.test/team/app:1", "docker.io/library/redis:8"]
    images = [Image(name, (big, layer([File("name", name.encode())]))) for name in references]
    digests = write(tmp_path, *images)
    work = tmp_path / "containerd"
    for name in ("upper", "work", "root"):
        (work / name).mkdir(parents=True)
    script = SCRIPT.format(base=shlex.quote(str(base)), work=work, port=server.port)
    isolated = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--"]
    result = subprocess.run(
        [*isolated, "sh", "-c", script], capture_output=True, text=True, timeout=120
    )
    assert result.stdout.splitlines() == [
        f"{reference} {digest}" for reference, digest in zip(references, digests, strict=True)
    ], result.stderr
    assert result.returncode == 0, result.stderr
    code, lines = server.stop()
    assert code == 0
    said = [line.split(" ", 3)[3] for line in lines]
    assert [line for line in said if line.startswith("pull")] == [
        f"pull {reference} {digest}" for reference, digest in zip(references, digests, strict=True)
    ]
    assert "unknown a.test/team/app:2" in said
