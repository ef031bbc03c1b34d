"""How much of each limit is used, and what was counted: `GET /_shoebox/limits`, JSON; what is infinite is null.

No bucket can have that name ("General purpose bucket naming rules": no underscores), and no service has the path.
"""

from __future__ import annotations

import math

import orjson

from fleet.http.asgi import Response, json_response
from fleet.limits.use import Count, DataUse, LimitUse

PATH = "/_shoebox/limits"


def data_use_response(use: DataUse) -> Response:
    """The answer."""
    return json_response(200, use)


def parse_data_use(body: bytes) -> DataUse:
    """What such an answer says."""
    told = orjson.loads(body)
    uses = [LimitUse(**{**use, "most": math.inf if use["most"] is None else use["most"]}) for use in told["uses"]]
    return DataUse(uses, *([Count(**count) for count in told[kind]] for kind in ("requests", "units")))


async def read_data_use(url: str, seconds: float = 5.0) -> DataUse:
    """Ask the limiter at `url`; nothing where it keeps no limits, or nobody answers in time."""
    import aiohttp  # here, because the emulator's process only answers

    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url + PATH) as answer:
            return parse_data_use(await answer.read()) if answer.status == 200 else DataUse()
    except (aiohttp.ClientError, TimeoutError):
        return DataUse()
