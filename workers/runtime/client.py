"""One slot's calls to the Runtime API: `next`, the response, the error. And when to try again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from workers.runtime.errors import ConnectionLost, Failure, RuntimeApiError, UnexpectedStatus
from workers.runtime.http1 import Response
from workers.runtime.protocol import Endpoint, InFlightInvocation, Invocation, Messages
from workers.runtime.streaming import ResponseStream
from workers.runtime.transport import Connection

_log = logging.getLogger("runtime")

_REASONS = {
    400: "the invocation is not known, or has a response already",
    410: "too late: the invocation has timed out",
    413: "larger than Lambda's limit",
}
FIRST_DELAY_S = 0.05
MAX_DELAY_S = 1.0


class RuntimeClient:
    """Calls over one connection, one at a time."""

    def __init__(self, endpoint: Endpoint, receive_buffer: bytearray | None = None) -> None:
        self._messages = Messages(endpoint)
        self._connection = Connection(endpoint.host, endpoint.port, receive_buffer)

    async def open(self) -> None:
        """Connect now. Raises ConnectionLost."""
        await self._connection.open()

    async def next(self) -> Invocation:
        """Wait for an invocation. Raises RuntimeApiError; PollAbandoned after `stop_polling`."""
        response = await self._connection.poll(self._messages.next)
        if response.status != 200:
            raise UnexpectedStatus("next", response.status, _text(response))
        return Invocation.parse(response)

    def stop_polling(self) -> None:
        """End a waiting `next` with PollAbandoned, and every later one."""
        self._connection.abandon()

    async def respond(self, invocation: Invocation, body: bytes, content_type: str) -> None:
        """Post the handler's response. A refusal, such as 410, is logged: the slot goes on."""
        await self._post("response", self._messages.response(invocation, body, content_type))

    def stream(self, invocation: Invocation) -> ResponseStream:
        """Return a stream for a response in parts; nothing is sent before the first."""
        return ResponseStream(self._connection, self._messages, invocation)

    async def end_stream(self, stream: ResponseStream, failure: Failure | None = None) -> None:
        """Close a stream, with a failure if there is one. A refusal is logged."""
        response = await (stream.fail(failure) if failure else stream.end())
        if response is not None:
            self._check("response", response)

    async def fail(self, invocation: Invocation | InFlightInvocation, failure: Failure) -> None:
        """Post the handler's failure. A refusal is logged."""
        body = failure.body(invocation.request_id)
        await self._post("error", self._messages.error(invocation, body, failure.header, failure.cause()))

    async def fail_init(self, failure: Failure) -> None:
        """Post that the function cannot start. 403 is ignored: another worker of this environment was first."""
        await self._post("init error", self._messages.init_error(failure.body(""), failure.header), ignored=403)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def _post(self, post: str, data: bytes, ignored: int | None = None) -> None:
        try:
            try:
                response = await self._connection.request(data)
            except ConnectionLost:
                # The server may close a connection between two requests, so a post is sent once more over a new one.
                # Should the first have arrived after all, the second is refused, and logged.
                response = await self._connection.request(data)
        except RuntimeApiError as error:
            _log.error("post_failed", extra={"post": post, "reason": str(error)})
            return
        self._check(post, response, ignored)

    def _check(self, post: str, response: Response, ignored: int | None = None) -> None:
        if response.status in (200, 202, ignored):
            return
        reason = _REASONS.get(response.status, "unexpected")
        extra = {"post": post, "status": response.status, "reason": reason, "body": _text(response)}
        _log.warning("post_refused", extra=extra)


async def post_init_failure(endpoint: Endpoint, failure: Failure) -> None:
    """Post that the function cannot start, over a connection of its own."""
    client = RuntimeClient(endpoint)
    await client.fail_init(failure)
    client.close()


def _text(response: Response) -> str:
    return response.body[:500].decode("utf-8", "replace")


class Backoff:
    """Doubles the delay from 50 ms to `max_delay`, until failures have lasted `limit` seconds without a success."""

    def __init__(
        self, limit: float, *, max_delay: float = MAX_DELAY_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._max_delay = max_delay
        self._clock = clock
        self._failing_since: float | None = None
        self._delay = FIRST_DELAY_S

    def failed(self) -> float | None:
        """Return the seconds to wait before the next attempt; None: give up."""
        now = self._clock()
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since >= self._limit:
            return None
        delay, self._delay = self._delay, min(2 * self._delay, self._max_delay)
        return delay

    def succeeded(self) -> None:
        """Forget earlier failures."""
        self._failing_since = None
        self._delay = FIRST_DELAY_S
