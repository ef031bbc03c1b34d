"""Handlers for both runtimes: async for ours, sync for AWS's; its waiting one is in boto3_handlers.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from workers.runtime.lifespan import with_lifespan

ACCESS = {"region_name": "eu-central-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}


async def nothing(event: Any, context: Any) -> dict[str, Any]:
    """Return an API's shortest response."""
    return {"statusCode": 200, "body": "ok"}


def nothing_sync(event: Any, context: Any) -> dict[str, Any]:
    """Return an API's shortest response."""
    return {"statusCode": 200, "body": "ok"}


async def count(event: Any, context: Any) -> int:
    """Return the number of messages."""
    return len(event["Records"])


def count_sync(event: Any, context: Any) -> int:
    """Return the number of messages."""
    return len(event["Records"])


@asynccontextmanager
async def _open_client() -> AsyncIterator[Any]:
    from aiobotocore.session import get_session

    async with get_session().create_client("s3", **ACCESS) as client:
        yield client


@with_lifespan(_open_client)
async def wait(event: Any, context: Any, client: Any) -> dict[str, Any]:
    """Wait 20 ms, as for S3, with an open client."""
    await asyncio.sleep(0.02)
    return {"batchItemFailures": []}
