"""Functions that stream, under our runtime; AWS's Python client cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from workers.runtime.streaming import StreamingResponse

_doors: dict[str, asyncio.Event] = {}


def _door(name: str) -> asyncio.Event:
    return _doors.setdefault(name, asyncio.Event())


async def parts(event: Any, context: Any) -> AsyncIterator[bytes]:
    """As many parts of as many bytes as the event says."""
    for number in range(event["parts"]):
        yield bytes([number % 256]) * event["bytes"]


async def halting(event: Any, context: Any) -> Any:
    """Stream a part, and another when a second invocation, in another slot, lets it go on."""
    if event == "open":
        _door("next").set()
        return "opened"

    async def body() -> AsyncIterator[str]:
        yield "first"
        await _door("next").wait()
        yield "second"

    return body()


async def breaks(event: Any, context: Any) -> AsyncIterator[str]:
    """Fails half-way, or at once."""
    if event == "half":
        yield "half"
    raise ValueError("lost")


async def page(event: Any, context: Any) -> StreamingResponse:
    """Stream an HTTP response."""

    async def body() -> AsyncIterator[str]:
        yield "<p>"
        yield "hi"

    return StreamingResponse.http(body(), 201, {"Content-Type": "text/html"})


async def endless(event: Any, context: Any) -> AsyncIterator[str]:
    """Stream a part, and then nothing for longer than the function's timeout."""
    yield "begun"
    await asyncio.sleep(60)
