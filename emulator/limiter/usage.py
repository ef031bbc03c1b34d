"""How much of each limit is used, and how many requests passed: counted here, and read over HTTP by the fleet.

`GET /_shoebox/limits` responds with JSON; what is infinite is null. No bucket can have that name ("General purpose
bucket naming rules": no underscores), and no service has the path.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import orjson

from fleet.http.asgi import Message, Receive
from fleet.limits.use import BilledCount, DataUse, LimitUse

PATH = "/_shoebox/limits"
_SQS = b"AmazonSQS."
_ACTION = re.compile(rb"Action=(\w{1,64})")
_HEAD = 80  # bytes of a form that hold its action
_MAX_OPERATIONS = 200  # more would be names that somebody makes up


class RequestCounts:
    """Requests of S3, SQS and SNS, which AWS bills by request, since the start; a few hundred nanoseconds each.

    DynamoDB bills units of capacity, which its limits count. Requests about buckets are `BUCKET`; a list of one is
    `LIST`, whatever its method, for it costs as a PUT ("Amazon S3 pricing", requests). What an emulator does by itself,
    such as S3's notifications to a queue, is not seen here.
    """

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._targets: dict[bytes, int] = {}

    def add(self, service: str, operation: str) -> None:
        """Count one request."""
        self._counts[service, operation] += 1

    def add_target(self, target: bytes) -> None:
        """Count a request with this X-Amz-Target, if it is one of SQS."""
        if target in self._targets:
            self._targets[target] += 1
        elif target.startswith(_SQS) and len(self._targets) < _MAX_OPERATIONS:
            self._targets[target] = 1

    def counting(self, service: str, receive: Receive) -> Receive:
        """Return `receive`, which counts a request of AWS's query protocol as soon as its form's action was read."""
        head = b""

        async def receive_and_count() -> Message:
            nonlocal head
            message = await receive()
            if len(head) < _HEAD:
                before, head = head, head + message.get("body", b"")
                action = _action_of(head, whole=not message.get("more_body"))
                if action and _action_of(before) is None:
                    key = (service, action)
                    if key in self._counts or len(self._counts) < _MAX_OPERATIONS:
                        self._counts[key] += 1
            return message

        return receive_and_count

    def counts(self) -> Iterator[BilledCount]:
        """Yield each operation with its requests so far."""
        for (service, operation), count in self._counts.items():
            yield BilledCount(service, operation, count)
        for target, count in self._targets.items():
            yield BilledCount("sqs", target[len(_SQS) :].decode("latin-1"), count)


def _action_of(form: bytes, *, whole: bool = False) -> str | None:
    """Return the action that a form begins with; None while its name may go on."""
    found = _ACTION.match(form)
    return found[1].decode() if found and (whole or found.end() < len(form)) else None


def parse_data_use(body: bytes) -> DataUse:
    """Read the body of a response to `GET /_shoebox/limits`."""
    found = orjson.loads(body)
    uses = [LimitUse.from_document(use) for use in found["uses"]]
    return DataUse(uses, *([BilledCount(**count) for count in found[kind]] for kind in ("requests", "units")))


async def read_data_use(url: str, seconds: float = 5.0) -> DataUse:
    """Ask the limiter at `url`; an empty `DataUse` where it keeps no limits, or does not respond in time."""
    import aiohttp  # here, because the emulator's own process imports this module and never asks

    timeout = aiohttp.ClientTimeout(total=seconds)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url + PATH) as response:
            return parse_data_use(await response.read()) if response.status == 200 else DataUse()
    except (aiohttp.ClientError, TimeoutError):
        return DataUse()
