"""An AWS account, asked by boto3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from operations.errors import OperationsError
from operations.leftovers import Connect


def connect(region: str, endpoint_url: str | None) -> Connect:
    """Clients with the credentials that AWS's own tools would use."""
    config = Config(connect_timeout=5, read_timeout=30, retries={"max_attempts": 5})

    def client(service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=region,
            endpoint_url=endpoint_url,
            config=config,
        )

    return client


@contextmanager
def answering(where: str) -> Iterator[None]:
    """Turns what AWS refuses, and that it cannot be asked, into an OperationsError."""
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        reason = f"{told.get('Code', 'no code')}: {told.get('Message', 'no message')}"
        raise OperationsError(
            f"AWS refuses {error.operation_name} in {where} ({reason}); the credentials need it"
        ) from None
    except BotoCoreError as error:
        reason = " ".join(str(error).split())
        raise OperationsError(
            f"AWS in {where} cannot be asked ({reason}); see that AWS's own tools find credentials"
        ) from None
