"""The connection to the stood-in AWS: shared clients, waiting, and errors in words."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from rehearsal.plugins.aws.arguments import Arguments
from rehearsal.plugins.protocol import ProviderError

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0  # seconds between two questions while waiting
_CONNECTIONS = 64  # as many as the protocol server has threads


@dataclass(frozen=True)
class Deadline:
    """A point in time that waiting does not go beyond. seconds: how long it was, for errors."""

    seconds: float
    at: float

    @staticmethod
    def within(seconds: float) -> Deadline:
        return Deadline(seconds, time.monotonic() + seconds)

    @property
    def left(self) -> float:
        return self.at - time.monotonic()


class Cloud:
    """Clients of one configured provider, in one region; safe to use from many threads."""

    def __init__(self, arguments: Arguments) -> None:
        self.arguments = arguments
        self.cancelled = threading.Event()
        self.choosing = threading.Lock()  # held while an address is chosen and taken
        self._clients: dict[str, Any] = {}
        self._elsewhere: dict[str, Cloud] = {}
        self._lock = threading.Lock()

    @property
    def region(self) -> str:
        return self.arguments.region

    def in_region(self, region: str | None) -> Cloud:
        """The same account in another region; None is this one. An interruption ends both."""
        if region in (None, self.region):
            return self
        with self._lock:
            cloud = self._elsewhere.get(region)
            if cloud is None:
                cloud = self._elsewhere[region] = Cloud(replace(self.arguments, region=region))
                cloud.cancelled = self.cancelled
            return cloud

    @cached_property
    def account(self) -> str:
        """The account's 12 digits, asked of STS once."""
        return str(self.client("sts").get_caller_identity()["Account"])

    @cached_property
    def partition(self) -> tuple[str, str]:
        """The region's partition, such as `aws`, and the DNS suffix of its services."""
        session = _session()
        name = str(session.get_partition_for_region(self.region))
        resolver = session.get_component("endpoint_resolver")
        return name, str(resolver.get_partition_dns_suffix(name))

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a regional resource of this account."""
        return f"arn:{self.partition[0]}:{service}:{self.region}:{self.account}:{resource}"

    def client(self, service: str) -> Any:
        """botocore's client for a service, made once."""
        client = self._clients.get(service)
        if client is None:
            with self._lock:  # making clients is not thread-safe, using them is
                client = self._clients.get(service)
                if client is None:
                    client = self._clients[service] = self._connect(service)
        return client

    def _connect(self, service: str) -> Any:
        import botocore.config  # late: a plugin that only checks can save the time

        from rehearsal.plugins.aws.shapes import watch

        style: Any = {"addressing_style": "path" if self.arguments.s3_path_style else "auto"}
        client = _session().create_client(
            service,
            region_name=self.region,
            endpoint_url=self.arguments.endpoints[service],
            aws_access_key_id=self.arguments.access_key,
            aws_secret_access_key=self.arguments.secret_key,
            aws_session_token=self.arguments.token,
            config=botocore.config.Config(
                max_pool_connections=_CONNECTIONS,
                connect_timeout=10,
                read_timeout=120,
                # moto knows no idempotency tokens: asking again could make a second instance.
                retries={"mode": "standard", "total_max_attempts": 1},
                proxies={},
                s3=style,
            ),
        )
        watch(client)
        return client

    def wait(self, what: str, probe: Callable[[], Any], deadline: Deadline) -> Any:
        """See Operation.wait."""
        pause = _FIRST_PAUSE
        while not (found := probe()):
            if deadline.left <= 0:
                raise ProviderError(f"waiting for {what}: not so after {deadline.seconds:.0f} s")
            if self.cancelled.wait(min(pause, max(deadline.left, 0.0))):
                raise ProviderError(f"waiting for {what}: interrupted")
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        return found

    def pause(self, seconds: float) -> None:
        """Lets some time pass. Raises ProviderError when interrupted."""
        if self.cancelled.wait(seconds):
            raise ProviderError("interrupted")

    def retry(self, codes: Iterable[str], call: Callable[[], Any], deadline: Deadline) -> Any:
        """Calls again while AWS answers one of `codes`; at the deadline its error is raised."""
        from botocore.exceptions import ClientError

        codes = frozenset(codes)
        pause = _FIRST_PAUSE
        while True:
            try:
                return call()
            except ClientError as error:
                if code(error) not in codes or deadline.left <= 0:
                    raise
            self.pause(min(pause, max(deadline.left, 0.0)))
            pause = min(pause * 1.5, _LONGEST_PAUSE)


def _session() -> Any:
    """Nothing of the machine's own AWS set-up may leak in: no profile, no config file, no proxy."""
    import botocore.session

    return botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, "/dev/null", None),
            "credentials_file": (None, None, "/dev/null", None),
        }
    )


def code(error: Exception) -> str:
    """AWS's error code, "" if this is no error of AWS."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def gone(error: Exception) -> bool:
    """True if AWS says that what was asked for does not exist."""
    name = code(error)
    missing = name.endswith(("NotFound", "NotFoundException", "NotFoundError"))
    return missing or name.startswith("NoSuch") or name == "404"


def words(error: Exception) -> str:
    """An error of AWS, or of the way to it, on one line."""
    from botocore.parsers import ResponseParserError

    if name := code(error):
        message = error.response["Error"].get("Message", "")  # type: ignore[attr-defined]
        text = f"{name}: {message}"
    elif isinstance(error, ResponseParserError):
        text = "the endpoint failed without an AWS answer (HTTP 500); its log has the reason"
    else:
        text = str(error)
    return " ".join(text.split())
