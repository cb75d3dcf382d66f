"""The provider's arguments: where AWS is. The stand-in refuses to guess an address."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from rehearsal.plugins.protocol import (
    Failure,
    Properties,
    ProviderError,
    contains_unknown,
)

# By botocore's names, which are also the provider's keys under `endpoints`.
SERVICES = ("acm", "cloudfront", "ec2", "elbv2", "iam", "kms", "route53", "s3", "sts")
# AWS_ENDPOINT_URL_<service> goes by a service's id, where that differs from botocore's name.
_IDS = {"elbv2": "ELASTIC_LOAD_BALANCING_V2", "route53": "ROUTE_53"}
_HANDLED = {
    "region",
    "accessKey",
    "secretKey",
    "token",
    "endpoints",
    "defaultTags",
    "maxRetries",
    "s3UsePathStyle",
    "skipCredentialsValidation",
    "skipMetadataApiCheck",
    "skipRegionValidation",
    "skipRequestingAccountId",
}
_REAL = ("amazonaws.com", "amazonaws.com.cn", "api.aws", "aws.dev", "amazonaws.eu")


@dataclass(frozen=True)
class Arguments:
    """endpoints: service -> URL, for each of SERVICES."""

    region: str
    access_key: str
    secret_key: str
    token: str | None
    endpoints: Mapping[str, str]
    default_tags: Mapping[str, str]
    s3_path_style: bool


def check(args: Properties) -> list[Failure]:
    """Refuses arguments that the stand-in does not act on."""
    failures = [
        Failure(key, f"aws provider: argument '{key}' is not handled by this stand-in")
        for key in sorted(args)
        if key not in _HANDLED | {"version", "pluginDownloadURL"} and not key.startswith("__")
    ]
    for service in _endpoints(args.get("endpoints")) if not contains_unknown(args) else {}:
        if service not in SERVICES:
            reason = f"aws provider: service '{service}' is not handled by this stand-in"
            failures.append(Failure("endpoints", reason))
    return failures


def parse(args: Properties) -> Arguments:
    """The arguments, completed from the environment. Raises ProviderError if any is missing."""
    if contains_unknown({k: v for k, v in args.items() if k != "version"}):
        raise ProviderError("aws provider: this stand-in needs arguments that are known at preview")
    region = args.get("region") or _environment("AWS_REGION", "AWS_DEFAULT_REGION")
    if not region:
        raise ProviderError("aws provider: no region; set aws:region or AWS_REGION")
    access = args.get("accessKey") or _environment("AWS_ACCESS_KEY_ID")
    secret = args.get("secretKey") or _environment("AWS_SECRET_ACCESS_KEY")
    if not access or not secret:
        raise ProviderError(
            "aws provider: no credentials; set accessKey and secretKey, or AWS_ACCESS_KEY_ID "
            "and AWS_SECRET_ACCESS_KEY (this stand-in reads no profile and asks no metadata)"
        )
    tags = _nested(args.get("defaultTags")) or {}
    return Arguments(
        region=region,
        access_key=access,
        secret_key=secret,
        token=args.get("token") or _environment("AWS_SESSION_TOKEN"),
        endpoints=_all_endpoints(args),
        default_tags=tags.get("tags") or {},
        s3_path_style=_nested(args.get("s3UsePathStyle")) is True,
    )


def _all_endpoints(args: Properties) -> dict[str, str]:
    given = _endpoints(args.get("endpoints"))
    for service in SERVICES:
        name = f"AWS_ENDPOINT_URL_{_IDS.get(service, service.upper())}"
        url = given.get(service) or _environment(name, "AWS_ENDPOINT_URL")
        if url:
            given[service] = url
    missing = [service for service in SERVICES if service not in given]
    if missing:
        raise ProviderError(
            f"aws provider: no endpoint for {', '.join(missing)}; name each under aws:endpoints or "
            "set AWS_ENDPOINT_URL (this is the rehearsal's stand-in: it never contacts AWS itself)"
        )
    for service, url in given.items():
        host = (urlsplit(url).hostname or "").rstrip(".").lower()
        if not host:
            raise ProviderError(f"aws provider: the endpoint of {service} is not a URL: {url!r}")
        if any(host == real or host.endswith("." + real) for real in _REAL):
            raise ProviderError(
                f"aws provider: the endpoint of {service} is AWS itself ({host}); the rehearsal's "
                "stand-in never contacts AWS: use the official provider for that"
            )
    return given


def _endpoints(value: Any) -> dict[str, str]:
    """service -> URL of a list of such maps, as the SDK or the stack's configuration gives it."""
    value = _nested(value)
    groups = value if isinstance(value, list) else [value] if value else []
    result: dict[str, str] = {}
    for group in groups:
        if not isinstance(group, Mapping):
            raise ProviderError("aws provider: endpoints must be a list of maps: service to URL")
        result.update({name: url for name, url in group.items() if url})
    return result


def _nested(value: Any) -> Any:
    """Provider arguments that are not strings travel as JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ProviderError(f"aws provider: not valid JSON: {value!r}") from None


def _environment(*names: str) -> str | None:
    return next((os.environ[name] for name in names if os.environ.get(name)), None)
