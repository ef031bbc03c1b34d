"""How much of each limit is used, over HTTP: `GET /_shoebox/limits`, JSON; what is infinite is null.

No bucket can have that name ("General purpose bucket naming rules": no underscores), and no service has the path.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import orjson

from fleet.http.asgi import Response, json_response
from fleet.limits.use import LimitUse

PATH = "/_shoebox/limits"


def uses_response(uses: Iterable[LimitUse]) -> Response:
    """The answer."""
    return json_response(200, list(uses))


def parse_uses(body: bytes) -> list[LimitUse]:
    """What such an answer says."""
    return [LimitUse(**{**use, "most": math.inf if use["most"] is None else use["most"]}) for use in orjson.loads(body)]


async def read_uses(url: str, seconds: float = 5.0) -> list[LimitUse]:
    """Ask the limiter at `url`; nothing where it keeps no limits, or nobody answers in time."""
    import aiohttp  # here, because the emulator's process only answers

    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url + PATH) as answer:
            return parse_uses(await answer.read()) if answer.status == 200 else []
    except (aiohttp.ClientError, TimeoutError):
        return []
