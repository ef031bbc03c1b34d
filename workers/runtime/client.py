"""One slot's calls to the Runtime API: `next`, the answer, the failure."""

from __future__ import annotations

import logging

from workers.runtime.errors import ConnectionLost, Refused, RuntimeApiError
from workers.runtime.failure import Failure
from workers.runtime.http1 import Response
from workers.runtime.protocol import Endpoint, Invocation, Messages
from workers.runtime.response_stream import ResponseStream
from workers.runtime.running import Unanswered
from workers.runtime.transport import Connection

_log = logging.getLogger("runtime")

_REASONS = {
    400: "the invocation is not known, or was answered already",
    410: "the answer came too late: the invocation has timed out",
    413: "the answer is larger than Lambda's limit",
}


class RuntimeClient:
    """Calls over one connection, one at a time.

    A lost connection never makes a post fail by itself: between two requests the server may close it, so a post is
    sent once more over a new one. Should the first have arrived after all, the second is refused, and logged.
    """

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
            raise Refused("next", response.status, _text(response))
        return Invocation.parse(response)

    async def respond(self, invocation: Invocation, body: bytes, content_type: str) -> None:
        """Post the handler's answer. A refusal, such as 410, is logged: the slot goes on."""
        await self._post("response", self._messages.response(invocation, body, content_type))

    def stream(self, invocation: Invocation) -> ResponseStream:
        """For an answer in parts; nothing is sent before the first."""
        return ResponseStream(self._connection, self._messages, invocation)

    async def end_stream(self, stream: ResponseStream, failure: Failure | None = None) -> None:
        """Close a stream, with a failure if there is one. A refusal is logged."""
        response = await (stream.fail(failure) if failure else stream.end())
        if response is not None:
            self._check("response", response)

    async def fail(self, invocation: Invocation | Unanswered, failure: Failure) -> None:
        """Post the handler's failure. A refusal is logged."""
        body = failure.body(invocation.request_id)
        await self._post("error", self._messages.error(invocation, body, failure.header, failure.cause()))

    async def fail_init(self, failure: Failure) -> None:
        """Post that the function cannot start. 403 is ignored: another worker of this environment was first."""
        message = self._messages.init_error(failure.body(""), failure.header)
        await self._post("init error", message, ignored=(403,))

    def stop_polling(self) -> None:
        """End a waiting `next` with PollAbandoned, and every later one."""
        self._connection.abandon()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def _post(self, what: str, data: bytes, ignored: tuple[int, ...] = ()) -> None:
        try:
            response = await self._send(data)
        except RuntimeApiError as error:
            _log.error("%s not delivered: %s", what, error)
            return
        self._check(what, response, ignored)

    def _check(self, what: str, response: Response, ignored: tuple[int, ...] = ()) -> None:
        if response.status in (200, 202) or response.status in ignored:
            return
        reason = _REASONS.get(response.status, "unexpected")
        _log.warning("%s refused with %d (%s): %s", what, response.status, reason, _text(response))

    async def _send(self, data: bytes) -> Response:
        try:
            return await self._connection.request(data)
        except ConnectionLost:
            return await self._connection.request(data)


async def post_init_failure(endpoint: Endpoint, failure: Failure) -> None:
    """Post that the function cannot start, over a connection of its own."""
    client = RuntimeClient(endpoint)
    await client.fail_init(failure)
    client.close()


def _text(response: Response) -> str:
    return response.body[:500].decode("utf-8", "replace")
