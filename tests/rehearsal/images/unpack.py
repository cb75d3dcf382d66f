"""Make an image's root file system, as a container runtime would."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from rehearsal.images.oci import Image, Layout, blob_path


def unpack(image: Image, folder: Path) -> Path:
    """Write the image into a layout below `folder`, and unpack its layers; returns the root."""
    layout = Layout(folder / "layout")
    layout.prepare()
    manifest = json.loads(blob_path(layout.folder, layout.write(image)).read_bytes())
    root = folder / "root"
    root.mkdir()
    for blob in manifest["layers"]:
        with tarfile.open(blob_path(layout.folder, blob["digest"])) as tar:
            tar.extractall(root, filter="fully_trusted")
    return root
