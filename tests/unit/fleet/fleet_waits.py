"""How the fleet's unit tests wait for other tasks."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Let other tasks run until the condition holds; TimeoutError when it does not in this time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it is about any object's state
            await asyncio.sleep(0)
