"""What is on a volume is every host's, and outlives them."""

from __future__ import annotations

from .conftest import Lan


def test_volumes_are_seen_by_all_hosts_and_outlive_each(lan: Lan) -> None:
    first, second = lan.create(None), lan.create(None)
    for host in (first, second):
        host.boot()
        lan.wait(host)
    lan.ask(first, "sudo mkdir /var/lib/volumes/vol-1 && sudo touch /var/lib/volumes/vol-1/kept")
    assert lan.ask(first, "stat --file-system --format %T /var/lib/volumes") != "overlayfs"
    first.remove()
    assert lan.ask(second, "ls /var/lib/volumes/vol-1") == "kept"
    second.remove()
    assert (lan.paths.volumes / "vol-1" / "kept").exists()
