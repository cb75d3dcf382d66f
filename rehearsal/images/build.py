"""Make the images that are not in the cache yet."""

from __future__ import annotations

import fcntl
import functools
from collections.abc import Callable, Iterable

from rehearsal.images import catalog
from rehearsal.images.debian import debian_files
from rehearsal.images.oci import Layout
from rehearsal.paths import Paths


def build_images(
    paths: Paths,
    binaries: catalog.Binaries,
    report: Callable[[str], None],
    groups: Iterable[str] = catalog.GROUPS,
) -> None:
    """Write the images of `groups` into the layout `paths.images`, as far as they have changed.

    binaries: built programs by name (catalog.NEEDED says which a group needs). Groups can be made
    one by one as their binaries get ready; calls at the same time wait for each other. Raises
    RehearsalError when a binary is missing or Debian's packages can't be had.
    """
    debian = functools.cache(lambda: debian_files(paths, report))
    images = [image for group in groups for image in catalog.images(group, binaries, debian)]
    paths.images.mkdir(parents=True, exist_ok=True)
    with (paths.images / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("images: waiting for another build")
            fcntl.flock(lock, fcntl.LOCK_EX)
        layout = Layout(paths.images)
        layout.prepare()
        stale = [image for image in images if not layout.current(image)]
        for number, image in enumerate(stale, 1):
            report(f"images: {image.reference} ({number} of {len(stale)})")
            layout.write(image)
        if stale:
            layout.keep(catalog.references())
