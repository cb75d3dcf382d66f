"""The add-ons' images: one program each, of the versions that are built."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

from rehearsal.images import addons, catalog
from rehearsal.images.oci import File, Layout
from rehearsal.paths import CHECKOUT
from tests.rehearsal.images.unpack import unpack


def pinned(tool: str, module: str) -> str:
    """The version of a module in a tool's go.mod, without its v."""
    text = (CHECKOUT / "tools" / tool / "go.mod").read_text()
    (found,) = re.findall(rf"^\s*(?:require )?{re.escape(module)} v(\S+)", text, re.MULTILINE)
    return str(found)


def test_versions_are_those_that_are_built() -> None:
    tools = tomllib.loads((CHECKOUT / "tools/tools.toml").read_text())
    assert tools["metrics-server"]["version"] == addons.METRICS_SERVER_VERSION
    assert tools["cert-manager"]["version"] == addons.CERT_MANAGER_VERSION
    assert tools["prometheus-operator"]["version"] == addons.PROMETHEUS_OPERATOR_VERSION
    operator = "prometheus-operator"
    exporter = pinned(operator, "github.com/prometheus/node_exporter")
    assert exporter == addons.NODE_EXPORTER_VERSION
    alertmanager = pinned(operator, "github.com/prometheus/alertmanager")
    assert alertmanager == addons.ALERTMANAGER_VERSION
    # 3.10.0 is the module's 0.310.0
    major, minor, patch = addons.PROMETHEUS_VERSION.split(".")
    assert tools["prometheus"]["version"] == f"0.{major}{int(minor):02}.{patch}"


def test_each_image_has_one_program_that_is_built(binaries: dict[str, Path]) -> None:
    tools = tomllib.loads((CHECKOUT / "tools/tools.toml").read_text())
    built = {name for tool in tools.values() for name in tool["binaries"]}
    assert set(addons.NEEDED) <= built
    made = addons.images(binaries)
    assert {image.reference for image in made} == addons.REFERENCES
    for image in made:
        (program,) = (
            each for entries in image.layers for each in entries if isinstance(each, File)
        )
        assert image.entrypoint[0] == f"/{program.path}"
        assert image.user and not image.user.startswith("0")


def test_cert_managers_images_differ_by_the_part_that_they_run(
    binaries: dict[str, Path], tmp_path: Path
) -> None:
    layout = Layout(tmp_path / "images")
    layout.prepare()
    said = {}
    for image in addons.images(binaries):
        if "cert-manager" in image.reference:
            layout.write(image)
            root = tmp_path / image.reference.rpartition("-")[2].partition(":")[0]
            root.mkdir()
            program = unpack(image, root) / image.entrypoint[0].lstrip("/")
            command = [str(program), *image.entrypoint[1:]]
            said[root.name] = subprocess.run(command, capture_output=True, text=True).stdout.split()
    assert said == {
        name: ["cert-manager", name] for name in ("controller", "webhook", "cainjector")
    }
    # the program is stored once
    blobs = list((tmp_path / "images/blobs/sha256").iterdir())
    assert len(blobs) == 1 + 2 * len(said)


def test_the_catalogue_serves_them() -> None:
    assert catalog.references() >= addons.REFERENCES
