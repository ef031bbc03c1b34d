"""Responses in parts ("Response streaming for Lambda functions"; "Building a custom runtime for AWS Lambda").

    async def handler(event, context):
        yield b"first part"
        yield "and a second, as UTF-8"

An async generator, or any async iterator of bytes or str that a handler returns, is streamed. `StreamingResponse` names
its content type, and `StreamingResponse.http` the status, headers and cookies for function URLs and API Gateway.
`ResponseStream` is the slot's side: it sends the parts to the Runtime API.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from workers.runtime.errors import Failure, MarshalError, RuntimeApiError
from workers.runtime.http1 import Response
from workers.runtime.protocol import LAST_CHUNK, Invocation, Messages, chunk, error_trailers
from workers.runtime.transport import Connection, Upload

OCTETS = "application/octet-stream"
HTTP_INTEGRATION = "application/vnd.awslambda.http-integration-response"
PRELUDE_END = bytes(8)
"""Eight NULs part the prelude's JSON from the body; JSON itself never has one."""
FAILED_STREAM_TIMEOUT_S = 5.0
"""How long the Runtime API may take over the rest of a failed stream: its client may have stopped reading."""

_log = logging.getLogger("runtime")


@dataclass(frozen=True, slots=True)
class StreamingResponse:
    """A response whose body is sent while it is made.

    `prelude` is the head of an HTTP response as API Gateway knows it: `statusCode`, `headers`, `multiValueHeaders`,
    `cookies`. With one, the content type on the wire is `application/vnd.awslambda.http-integration-response`, and
    `content_type` does not count.
    """

    body: AsyncIterable[bytes | str]
    content_type: str = OCTETS
    prelude: Mapping[str, Any] | None = None

    @classmethod
    def http(
        cls,
        body: AsyncIterable[bytes | str],
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        cookies: Sequence[str] = (),
    ) -> StreamingResponse:
        """Make an HTTP response for function URLs with invoke mode RESPONSE_STREAM, and for REST APIs that stream."""
        prelude = {"statusCode": status, "headers": dict(headers or {}), "cookies": list(cookies)}
        return cls(body, HTTP_INTEGRATION, prelude)

    @classmethod
    def of(cls, returned: Any) -> StreamingResponse | None:
        """Return what a handler returned as a streaming response; None if it is not to be streamed."""
        if isinstance(returned, cls):
            return returned
        return cls(returned) if hasattr(returned, "__aiter__") else None

    @property
    def wire_type(self) -> str:
        """The `Content-Type` of the post."""
        return self.content_type if self.prelude is None else HTTP_INTEGRATION

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """Yield the bytes to send, none of them empty. Raises MarshalError, and what the body raises.

        The body is closed at the end, whatever the end is.
        """
        # Prelude and NULs are parts of their own, as AWS's Node.js and Rust clients send them: cargo-lambda reads them
        # so. They wait for the first part of the body: one that fails before it is an ordinary failure, of which no
        # HTTP client has seen a 200.
        head = [] if self.prelude is None else [json.dumps(self.prelude, default=str).encode("ascii"), PRELUDE_END]
        async with AsyncExitStack() as stack:
            if isinstance(self.body, AsyncGenerator):
                stack.push_async_callback(self.body.aclose)
            async for part in self.body:
                if data := _bytes(part):
                    for first in head:
                        yield first
                    head = []
                    yield data
            for first in head:
                yield first


def _bytes(part: Any) -> bytes:
    if isinstance(part, str):
        return part.encode()
    if isinstance(part, (bytes, bytearray, memoryview)):
        return bytes(part)
    raise MarshalError(f"Unable to marshal response: a part of a stream is a {type(part).__name__}, not bytes or str")


class ResponseStream:
    """One invocation's response on its way to the Runtime API in parts: head, chunks, trailers if it fails half-way.

    AWS: header `Lambda-Runtime-Function-Response-Mode: streaming`, chunked body, a failure in declared trailers, the
    connection closed afterwards. Nothing is sent before the first part, and nothing after the end.
    """

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
        """Whether the Runtime API has seen the response's head: a failure can no longer be posted as an error."""
        return self._upload is not None

    def open(self, content_type: str) -> None:
        """Set the content type; parts will follow."""
        self._content_type = content_type

    def abandon(self) -> None:
        """Send nothing from now on: the invocation is reported otherwise, whatever its handler still does."""
        self._ended = True

    async def send(self, part: bytes) -> bool:
        """Send a part, and wait while the receiver is slow. False: it takes no more, so there is no use in going on."""
        if self._ended:
            return False
        try:
            return await (await self._begin()).write(chunk(part))
        except RuntimeApiError as error:
            self._not_delivered(error)
            return False

    async def end(self) -> Response | None:
        """Close the stream, which may be empty; return the Runtime API's response, or None if there is none."""
        return None if self._ended else await self._finish(LAST_CHUNK)

    async def fail(self, failure: Failure) -> Response | None:
        """Close the stream with a failure, in bounded time."""
        if self._ended:
            return None
        try:
            async with asyncio.timeout(FAILED_STREAM_TIMEOUT_S):
                return await self._finish(error_trailers(failure.header, failure.body(self._invocation.request_id)))
        except TimeoutError:
            self._not_delivered(f"the failed stream was not read within {FAILED_STREAM_TIMEOUT_S:.0f} s")
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
            self._not_delivered(error)
            return None
        finally:
            self._connection.close()

    def _not_delivered(self, reason: object) -> None:
        self._ended = True
        _log.error("post_failed", extra={"post": "response", "reason": str(reason)})
