"""What AWS's users write: a client made when the module is imported, and a handler that blocks."""

from __future__ import annotations

import time
from typing import Any

import boto3

from benchmarks.runtime_api.handlers import ACCESS

client = boto3.client("s3", **ACCESS)


def wait_sync(event: Any, context: Any) -> dict[str, Any]:
    """Wait 20 ms, as for S3, with an open client."""
    time.sleep(0.02)
    return {"batchItemFailures": []}
