"""`python -m rehearsal.moto_server`: moto's AWS APIs, and a bell that rings when EC2 has changed.

As moto's own server command, but for the bell: whoever follows EC2 needs no look a second for it.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from moto.iam.access_control import PermissionResult
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.s3.models import FakeBucket
from werkzeug.serving import run_simple

from rehearsal.bell import BellPull

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]
# SigV4's credential scope: key/date/region/service/aws4_request
_SERVICE = re.compile(r"Credential=[^/]+/[^/]+/[^/]+/([^/]+)/aws4_request")
_READS = ("Describe", "Get", "List", "Search")


def ringing(application: Application, bell: BellPull) -> Application:
    """The application, which rings when it has answered a request that may have changed EC2."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        changes = _changes_ec2(environ)
        answered = application(environ, start_response)
        if changes:
            bell.ring()
        return answered

    return answer


def _changes_ec2(environ: dict[str, Any]) -> bool:
    """EC2 takes a form by POST that names the action; the body is put back for moto."""
    signed = _SERVICE.search(environ.get("HTTP_AUTHORIZATION", ""))
    if signed is None or signed[1] != "ec2":
        return False
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    action = parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
    return not action.startswith(_READS)


def _store_bucket_policies_alone() -> None:
    """Without this moto evaluates them for objects, but knows none of their conditions and takes
    that for a denial: nobody could read what a policy lets CloudFront alone read, or what it denies
    to those who come without TLS."""

    def neither(bucket: FakeBucket, action: str, resource: str) -> PermissionResult:
        return PermissionResult.NEUTRAL

    FakeBucket.get_permission = neither  # type: ignore[method-assign, assignment]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(prog="python -m rehearsal.moto_server", description=__doc__)
    parser.add_argument("--listen", required=True, metavar="ADDRESS:PORT")
    parser.add_argument("--bell", type=Path, help="the pipe of who follows EC2")
    options = parser.parse_args(arguments)
    address, _, port = options.listen.rpartition(":")
    os.environ.setdefault("MOTO_PORT", port)  # moto names itself by it
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    _store_bucket_policies_alone()
    application: Application = DomainDispatcherApplication(create_backend_app)
    if options.bell:
        application = ringing(application, BellPull(options.bell))
    run_simple(
        address,
        int(port),
        application,
        threaded=True,
        request_handler=MotoRequestHandler,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
