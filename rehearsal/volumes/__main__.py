"""`python -m rehearsal.volumes`: persistent volumes for the cluster of this run."""

from __future__ import annotations

import argparse
import http.client
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue

from rehearsal.errors import RehearsalError
from rehearsal.network.ec2 import AWAY, client
from rehearsal.paths import Paths
from rehearsal.volumes import READY
from rehearsal.volumes.ebs import Ebs
from rehearsal.volumes.kube import Clusters
from rehearsal.volumes.provisioner import Provisioner

_STEP_S = 1.0
_UNANSWERED = (*AWAY, OSError, http.client.HTTPException, RehearsalError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal.volumes", description=__doc__)
    parser.add_argument("--endpoint", required=True, help="URL of the AWS APIs")
    parser.add_argument("--region", default=os.environ.get("AWS_REGION"))
    parser.add_argument("--run", type=Path, default=Paths().run, help="folder of this run's state")
    options = parser.parse_args(arguments)
    if not options.region:
        parser.error("no region: give --region or set AWS_REGION")
    paths = Paths(run=options.run)
    stop: SimpleQueue[None] = SimpleQueue()  # unlike an Event, it may be used in a handler
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.put(None))
    ec2 = client("ec2", options.endpoint, options.region)
    run(Provisioner(Ebs(ec2, paths.volumes)), Clusters(paths), paths.run / READY, stop)
    return 0


def run(provisioner: Provisioner, clusters: Clusters, ready: Path, stop: SimpleQueue[None]) -> None:
    """Steps until `stop` holds something. The file `ready` is there meanwhile."""
    said = ""
    ready.touch()
    try:
        while True:
            try:
                if (api := clusters.api()) is not None:
                    provisioner.step(api)
                said = ""
            except _UNANSWERED as error:
                if str(error) != said:
                    said = str(error)
                    print(f"later again: {said}", file=sys.stderr, flush=True)
            try:
                stop.get(timeout=_STEP_S)
                return
            except Empty:
                continue
    finally:
        ready.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
