"""Run the same work several times at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


async def run_copies(work: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
    """Run `work()` `count` times at once."""
    await run_all(*(work() for _ in range(count)))


async def run_all(*work: Coroutine[Any, Any, None]) -> None:
    """Run all of it; the first error ends the others and is raised as it is, not in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
