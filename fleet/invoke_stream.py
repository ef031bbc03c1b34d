"""An invocation whose answer is sent on while it is made: Lambda's InvokeWithResponseStream.

Rules: AWS Lambda API reference, "InvokeWithResponseStream": events PayloadChunk, and InvokeComplete at the end, with
`ErrorCode` and `ErrorDetails` if the function failed, in the middle or as a whole. AWS does not say what ErrorCode is;
here it is the error's type as the runtime or Lambda names it (`Function.ValueError`, `Sandbox.Timedout`), else
`Unhandled`.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Protocol

import orjson

from fleet.environments.invocation import InvokeResult, Sink
from fleet.environments.response_stream import StreamReader
from fleet.event_frames import CONTENT_TYPE, event_frame
from fleet.functions import VERSION
from fleet.http.asgi import Headers, Receive, Send

_HEADERS: Headers = [(b"content-type", CONTENT_TYPE.encode()), (b"x-amz-executed-version", VERSION.encode())]


class Run(Protocol):
    """Runs the invocation; a streamed answer goes to `sink`."""

    def __call__(self, *, sink: Sink) -> Awaitable[InvokeResult]:
        """The result, when it is over."""


async def send_stream(run: Run, receive: Receive, send: Send) -> None:
    """Answer with the events of one invocation. Raises, before anything is sent, what `run` refuses with.

    A caller that goes away does not stop the invocation, as with Invoke: the rest of its answer is dropped.
    """
    reader = StreamReader()
    invocation = asyncio.ensure_future(run(sink=reader))
    invocation.add_done_callback(lambda _: reader.end())
    gone = asyncio.create_task(_when_gone(receive, reader.leave, invocation.cancel))
    try:
        await _send_events(reader, invocation, send)
    finally:
        gone.cancel()
        invocation.cancel()


async def _send_events(reader: StreamReader, invocation: asyncio.Future[InvokeResult], send: Send) -> None:
    begun = False
    async for part in reader.parts():
        if not begun:
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            begun = True
        await _send_part(send, part)
    await asyncio.wait({invocation})
    if invocation.cancelled():
        return  # the caller has gone
    result = invocation.result()
    if not begun:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        if not result.function_error and result.payload:
            await _send_part(send, result.payload)
    await send({"type": "http.response.body", "body": _complete(result), "more_body": False})


async def _send_part(send: Send, part: bytes) -> None:
    chunk = event_frame("PayloadChunk", "application/octet-stream", part)
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


def _complete(result: InvokeResult) -> bytes:
    details = {}
    if result.function_error:
        code = result.error_type or result.function_error
        details = {"ErrorCode": code, "ErrorDetails": result.payload.decode("utf-8", "replace")}
    if result.log is not None:
        details["LogResult"] = base64.b64encode(result.log).decode()
    return event_frame("InvokeComplete", "application/json", orjson.dumps(details))


async def _when_gone(receive: Receive, *calls: Callable[[], object]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    for call in calls:
        call()
