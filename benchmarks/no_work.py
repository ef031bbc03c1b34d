"""A function that does nothing, for benchmarks of what is around it."""

from __future__ import annotations

from typing import Any


async def handler(event: Any, context: Any) -> dict[str, Any]:
    """All messages are done."""
    return {"batchItemFailures": []}
