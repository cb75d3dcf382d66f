"""The AWS of a preview alone: it answers the program's look-ups, on a loopback port of its own.

`python -m rehearsal.answers`: its first line of input is a JSON object (owner, image, zone_id,
domain), its first line of output the address. It ends with its input, however its parent ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rehearsal import cloud
from rehearsal.errors import RehearsalError
from rehearsal.paths import CHECKOUT


@dataclass(frozen=True)
class LookUps:
    """What an environment takes for granted in its account: the image by owner and name, and a
    hosted zone by id and domain, both None without one."""

    owner: str
    image: str
    zone_id: str | None
    domain: str | None


@contextlib.contextmanager
def answering(wanted: LookUps) -> Iterator[str]:
    """Its address, while it runs. Raises RehearsalError if it does not start."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        cwd=CHECKOUT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin and process.stdout and process.stderr
        try:
            process.stdin.write(json.dumps(asdict(wanted)) + "\n")
            process.stdin.flush()
            address = process.stdout.readline().strip()
            if not address:
                reason = " ".join(process.stderr.read().split())[-500:]
                raise RehearsalError(f"the cloud's stand-in did not start: {reason}")
            yield address
        finally:
            process.kill()  # it keeps nothing


def _serve(wanted: LookUps) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "amis.json")
        cloud.write_amis(file)
        (image,) = json.loads(file.read_text())
        owner = image["owner_id"] if wanted.owner == "self" else wanted.owner
        file.write_text(json.dumps([{**image, "name": wanted.image, "owner_id": owner}]))
        os.environ["MOTO_AMIS_PATH"] = str(file)  # moto reads it when it is imported
        from moto.ec2.models import amis
        from moto.route53.models import route53_backends
        from moto.server import ThreadedMotoServer

        assert [found["name"] for found in amis.AMIS] == [wanted.image]
    if wanted.zone_id is not None and wanted.domain is not None:
        zones = route53_backends[image["owner_id"]]["aws"]
        zone = zones.create_hosted_zone(wanted.domain, private_zone=False)
        zone.resource_id = wanted.zone_id
        zones.zones[wanted.zone_id] = zone
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)


if __name__ == "__main__":
    _serve(LookUps(**json.loads(sys.stdin.readline())))
    # requests are logged to stderr, which nobody reads
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    sys.stdin.read()
