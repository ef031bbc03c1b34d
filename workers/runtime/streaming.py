"""Answers in parts ("Response streaming for Lambda functions"; "Building a custom runtime for AWS Lambda").

    async def handler(event, context):
        yield b"first part"
        yield "and a second, as UTF-8"

An async generator, or any async iterator of bytes or str that a handler returns, is streamed. `StreamingResponse` names
its content type, and `StreamingResponse.http` the status, headers and cookies for function URLs and API Gateway.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from workers.runtime.errors import MarshalError
from workers.runtime.marshal import dumps_ascii

OCTETS = "application/octet-stream"
HTTP_INTEGRATION = "application/vnd.awslambda.http-integration-response"
PRELUDE_END = bytes(8)
"""Eight NULs part the prelude's JSON from the body; JSON itself never has one."""


@dataclass(frozen=True, slots=True)
class StreamingResponse:
    """An answer whose body is sent while it is made.

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
        """An HTTP response for function URLs with invoke mode RESPONSE_STREAM, and for REST APIs that stream."""
        prelude = {"statusCode": status, "headers": dict(headers or {}), "cookies": list(cookies)}
        return cls(body, HTTP_INTEGRATION, prelude)

    @classmethod
    def of(cls, answer: Any) -> StreamingResponse | None:
        """What a handler returned, if that is to be streamed."""
        if isinstance(answer, cls):
            return answer
        return cls(answer) if hasattr(answer, "__aiter__") else None

    @property
    def wire_type(self) -> str:
        """The `Content-Type` of the post."""
        return self.content_type if self.prelude is None else HTTP_INTEGRATION

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """The bytes to send, none of them empty; prelude and its end come just before the first of the body, or alone.

        So a body that fails before its first part is an ordinary failure, of which no client has seen a 200. The
        prelude and the NULs are parts of their own, as AWS's Node.js and Rust clients send them: cargo-lambda reads
        them so. The body is closed at the end, whatever the end is. Raises MarshalError, and what the body raises.
        """
        head = [] if self.prelude is None else [dumps_ascii(self.prelude), PRELUDE_END]
        async with AsyncExitStack() as ending:
            if isinstance(self.body, AsyncGenerator):
                ending.push_async_callback(self.body.aclose)
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
