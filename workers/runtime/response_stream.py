"""One answer on its way to the Runtime API in parts: head, chunks, and trailers if it fails half-way.

AWS: header `Lambda-Runtime-Function-Response-Mode: streaming`, chunked body, a failure in declared trailers, the
connection closed afterwards ("Building a custom runtime for AWS Lambda", response streaming).
"""

from __future__ import annotations

import asyncio
import logging

from workers.runtime.errors import RuntimeApiError
from workers.runtime.failure import Failure
from workers.runtime.http1 import Response
from workers.runtime.protocol import LAST_CHUNK, Invocation, Messages, chunk, error_trailers
from workers.runtime.transport import Connection, Upload

END_S = 5.0
"""Seconds in which the Runtime API must take the rest of a failed stream: its client may read no more."""

_log = logging.getLogger("runtime")


class ResponseStream:
    """One invocation's stream; nothing is sent before its first part, and nothing after its end."""

    __slots__ = ("_connection", "_content_type", "_ended", "_invocation", "_messages", "_upload")

    def __init__(self, connection: Connection, messages: Messages, invocation: Invocation) -> None:
        self._connection = connection
        self._messages = messages
        self._invocation = invocation
        self._content_type = ""
        self._upload: Upload | None = None
        self._ended = False

    @property
    def begun(self) -> bool:
        """Whether the Runtime API has been told of an answer: a failure can no longer be posted as an error."""
        return self._upload is not None

    def open(self, content_type: str) -> None:
        """Parts will follow."""
        self._content_type = content_type

    def abandon(self) -> None:
        """No part may follow: the invocation is answered otherwise, whatever its handler still does."""
        self._ended = True

    async def send(self, part: bytes) -> bool:
        """Send a part, and wait while the receiver is slow. False: it takes no more, so there is no use in going on."""
        if self._ended:
            return False
        try:
            return await (await self._begin()).write(chunk(part))
        except RuntimeApiError as error:
            self._lost(error)
            return False

    async def end(self) -> Response | None:
        """Close the stream; the Runtime API's answer, or None if there is none. An empty stream is an answer, too."""
        return None if self._ended else await self._finish(LAST_CHUNK)

    async def fail(self, failure: Failure) -> Response | None:
        """Close the stream with a failure, in bounded time."""
        if self._ended:
            return None
        try:
            async with asyncio.timeout(END_S):
                return await self._finish(error_trailers(failure.header, failure.body(self._invocation.request_id)))
        except TimeoutError:
            _log.warning("the failed response was not taken within %.0f s", END_S)
            return None

    async def _begin(self) -> Upload:
        if self._upload is None:
            head = self._messages.streaming_response(self._invocation, self._content_type)
            self._upload = await self._connection.upload(head)
        return self._upload

    async def _finish(self, rest: bytes) -> Response | None:
        self._ended = True
        try:
            return await (await self._begin()).finish(rest)
        except RuntimeApiError as error:
            self._lost(error)
            return None
        finally:
            self._connection.close()

    def _lost(self, error: RuntimeApiError) -> None:
        self._ended = True
        _log.error("response not delivered: %s", error)
