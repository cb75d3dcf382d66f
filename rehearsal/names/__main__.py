"""`python -m rehearsal.names`: the rehearsal's DNS, two views on two ports of one address."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from rehearsal.names.route53 import Cache, read_known
from rehearsal.names.server import serve
from rehearsal.names.zones import View, mirror_zone
from rehearsal.network import Layout
from rehearsal.network.ec2 import client


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the daemon until SIGTERM."""
    layout = Layout()
    parser = argparse.ArgumentParser(prog="python -m rehearsal.names", description=__doc__)
    parser.add_argument("--endpoint", required=True, help="URL of the AWS APIs")
    parser.add_argument("--region", default=os.environ.get("AWS_REGION"))
    parser.add_argument("--listen", type=IPv4Address, default=layout.services.ip)
    parser.add_argument("--mirrors", type=IPv4Address, help="their address; --listen by default")
    parser.add_argument("--public-port", type=int, default=53)
    parser.add_argument("--vpc-port", type=int, default=layout.resolver_port)
    parser.add_argument("--ready", type=Path, help="file that is there while it answers")
    options = parser.parse_args(arguments)
    if not options.region:
        parser.error("no region: give --region or set AWS_REGION")

    def connect(service: Any) -> Any:
        return client(service, options.endpoint, options.region)

    ec2, route53, elb = (connect(service) for service in ("ec2", "route53", "elbv2"))
    known = Cache(lambda: read_known(ec2, route53, elb))
    mirrors = mirror_zone(options.mirrors or options.listen)
    stop: SimpleQueue[None] = SimpleQueue()  # unlike an Event, it may be used in a handler
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.put(None))
    serve(
        [
            (str(options.listen), port, View(known, vpc, mirrors, options.region))
            for port, vpc in ((options.public_port, False), (options.vpc_port, True))
        ],
        stop,
        options.ready,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
