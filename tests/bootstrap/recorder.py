"""The rehearsal's `aws` plugin, which also writes down each API call: `python -m
tests.bootstrap.recorder <address>`, with the file's name in RECORDED_CALLS.

A JSON object a line: service and operation by botocore's names, region, parameters, and the answer
or its error's code.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from rehearsal.plugins.aws.cloud import Cloud
from rehearsal.plugins.aws.provider import AwsProvider
from rehearsal.plugins.protocol import serve

_WRITING = threading.Lock()


_connect = Cloud._connect


def _recording(cloud: Cloud, service: str) -> Any:
    """A client that tells its calls, in whatever region."""
    client = _connect(cloud, service)

    def keep(params: Any, context: dict[str, Any], **_: Any) -> None:
        context["recorded"] = dict(params)

    def write(model: Any, parsed: Any, context: dict[str, Any], **_: Any) -> None:
        error = parsed.get("Error", {}).get("Code")
        line = {
            "service": service,
            "operation": model.name,
            "region": cloud.region,
            "params": context.get("recorded", {}),
            "answer": None if error else parsed,
            "error": error,
        }
        text = json.dumps(line, default=str)
        with _WRITING, Path(os.environ["RECORDED_CALLS"]).open("a", encoding="utf-8") as out:
            out.write(text + "\n")

    client.meta.events.register("provide-client-params.*.*", keep)
    client.meta.events.register("after-call.*.*", write)
    return client


if __name__ == "__main__":
    Cloud._connect = _recording  # type: ignore[method-assign, assignment]
    serve(AwsProvider())
