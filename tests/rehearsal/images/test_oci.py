"""Images written by our own hand are valid, reproducible and shared."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from rehearsal.errors import RehearsalError
from rehearsal.images.oci import (
    Directory,
    File,
    Image,
    Layout,
    Link,
    blob_path,
    layer,
    read_index,
)


def layout(folder: Path) -> Layout:
    made = Layout(folder)
    made.prepare()
    return made


def image(source: Path | bytes = b"program", reference: str = "example.test/a:1") -> Image:
    shared = layer([File("bin/tool", b"tool")])
    own = layer(
        [
            File("opt/x/program", source),
            Link("opt/x/alias", "program"),
            Directory("tmp", mode=0o1777),
            Directory("home/user", mode=0o750, uid=999, gid=998),
        ]
    )
    return Image(reference, (shared, own), entrypoint=("/opt/x/program",), user="999")


def read(folder: Path, digest: str) -> Any:
    return json.loads(blob_path(folder, digest).read_bytes())


def test_blobs_have_the_digest_and_size_that_names_them(tmp_path: Path) -> None:
    digest = layout(tmp_path).write(image())
    manifest = read(tmp_path, digest)
    for blob in (manifest["config"], *manifest["layers"]):
        content = blob_path(tmp_path, blob["digest"]).read_bytes()
        assert blob["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert blob["size"] == len(content)
    config = read(tmp_path, manifest["config"]["digest"])
    assert config["rootfs"]["diff_ids"] == [blob["digest"] for blob in manifest["layers"]]
    assert config["config"]["Entrypoint"] == ["/opt/x/program"]
    assert read_index(tmp_path)["example.test/a:1"]["digest"] == digest


def test_layer_has_the_entries_with_their_parents_modes_and_owners(tmp_path: Path) -> None:
    manifest = read(tmp_path, layout(tmp_path).write(image()))
    with tarfile.open(blob_path(tmp_path, manifest["layers"][1]["digest"])) as tar:
        found = {member.name: member for member in tar}
        assert tar.extractfile("opt/x/program").read() == b"program"  # type: ignore[union-attr]
    assert list(found) == sorted(found)
    assert found["opt"].isdir() and found["opt/x"].mode == 0o755
    assert found["opt/x/alias"].linkname == "program"
    assert found["tmp"].mode == 0o1777
    assert (found["home/user"].uid, found["home/user"].gid) == (999, 998)
    assert {member.mtime for member in found.values()} == {0}


def test_same_content_gives_the_same_digest_whatever_the_time_and_place(tmp_path: Path) -> None:
    digests = set()
    for name, time in (("one", 1), ("two", 10**9)):
        source = tmp_path / name / "program"
        source.parent.mkdir()
        source.write_bytes(b"content")
        os.utime(source, (time, time))
        digests.add(layout(tmp_path / f"layout-{name}").write(image(source)))
    digests.add(layout(tmp_path / "layout-bytes").write(image(b"content")))
    assert len(digests) == 1


def test_images_share_equal_layers(tmp_path: Path) -> None:
    made = layout(tmp_path)
    first = read(tmp_path, made.write(image(b"1", "example.test/a:1")))
    second = read(tmp_path, made.write(image(b"2", "example.test/b:1")))
    assert first["layers"][0] == second["layers"][0]
    assert first["layers"][1] != second["layers"][1]


def test_image_is_current_until_a_source_or_a_blob_changes(tmp_path: Path) -> None:
    source = tmp_path / "program"
    source.write_bytes(b"one")
    made = layout(tmp_path / "layout")
    assert not made.current(image(source))
    manifest = read(made.folder, made.write(image(source)))
    assert layout(made.folder).current(image(source))
    source.write_bytes(b"other")
    assert not made.current(image(source))
    made.write(image(source))
    assert made.current(image(source))
    os.truncate(blob_path(made.folder, manifest["layers"][0]["digest"]), 3)
    assert not made.current(image(source))


def test_keep_removes_other_images_and_only_their_blobs(tmp_path: Path) -> None:
    made = layout(tmp_path)
    kept = image(b"1", "example.test/a:1")
    made.write(kept)
    made.write(image(b"2", "example.test/b:1"))
    made.keep(["example.test/a:1"])
    assert list(read_index(tmp_path)) == ["example.test/a:1"]
    assert made.current(kept)
    assert len(list((tmp_path / "blobs/sha256").iterdir())) == 4


def test_interrupted_writer_leaves_nothing_behind(tmp_path: Path) -> None:
    made = layout(tmp_path)
    (tmp_path / "partial/tmpabc").write_bytes(b"half")
    layout(tmp_path)
    assert not list((tmp_path / "partial").iterdir())
    assert not made.current(image())


def test_two_entries_at_one_path_are_refused() -> None:
    with pytest.raises(ValueError, match="etc/passwd"):
        layer([File("etc/passwd", b"a")], [File("etc/passwd", b"b")])


def test_missing_source_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RehearsalError, match=r"gone is missing.*build it again"):
        layout(tmp_path).write(image(tmp_path / "gone"))
