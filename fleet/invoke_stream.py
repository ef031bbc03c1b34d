"""An invocation whose response is sent on while it is made: Lambda's InvokeWithResponseStream.

Rules: AWS Lambda API reference, "InvokeWithResponseStream": events PayloadChunk, and InvokeComplete at the end, with
`ErrorCode` and `ErrorDetails` if the function failed, in the middle or as a whole. AWS does not say what ErrorCode is;
here it is the error's type as the runtime or Lambda names it (`Function.ValueError`, `Sandbox.Timedout`), else
`Unhandled`. "Response streaming for Lambda functions": a response has 200 MB at most.
"""

from __future__ import annotations

import asyncio
import base64
import struct
import zlib
from asyncio import Event
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import orjson

from fleet.environments.invocation import STREAM_PAYLOAD, InvokeResult, Sink
from fleet.functions import VERSION
from fleet.http.asgi import Receive, Send, wait_for_disconnect

_CONTENT_TYPE = b"application/vnd.amazon.eventstream"
_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", _CONTENT_TYPE), (b"x-amz-executed-version", VERSION.encode())],
}
_MAX_PARTS = 16  # that wait for the caller


class StreamReader:
    """The sink of a caller that reads the response while it is made.

    A caller that reads slowly slows the function; one that has left does not.
    """

    limit = STREAM_PAYLOAD

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._came, self._room = Event(), Event()
        self._left = self._over = False

    async def put(self, part: bytes) -> None:
        """Hand over a part, and wait while the caller is `_MAX_PARTS` behind."""
        while len(self._parts) >= _MAX_PARTS and not (self._left or self._over):
            self._room.clear()
            await self._room.wait()
        if not self._left:
            self._parts.append(part)
            self._came.set()

    def end(self) -> None:
        """Note that the invocation is over: the caller gets what there is, and then the end."""
        self._over = True
        self._came.set()
        self._room.set()

    def leave(self) -> None:
        """Note that the caller reads no more."""
        self._left = True
        self._parts.clear()
        self._room.set()

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the parts until the end."""
        while True:
            while self._parts:
                yield self._parts.popleft()
                self._room.set()
            if self._over:
                return
            self._came.clear()
            await self._came.wait()


async def send_stream(run: Callable[[Sink], Awaitable[InvokeResult]], receive: Receive, send: Send) -> None:
    """Respond with the events of one invocation; `run` makes it, with the sink of its response.

    Raises whatever `run` raises, before anything is sent. A caller that disconnects does not stop the invocation, as
    with Invoke: the rest of the response is dropped.
    """
    reader = StreamReader()
    invocation = asyncio.ensure_future(run(reader))
    invocation.add_done_callback(lambda _: reader.end())

    async def stop_when_disconnected() -> None:
        await wait_for_disconnect(receive)
        reader.leave()
        invocation.cancel()

    watch = asyncio.create_task(stop_when_disconnected())
    try:
        await _send_events(reader, invocation, send)
    finally:
        watch.cancel()
        invocation.cancel()


async def _send_events(reader: StreamReader, invocation: asyncio.Future[InvokeResult], send: Send) -> None:
    begun = False
    async for part in reader.parts():
        if not begun:
            await send(_START)
            begun = True
        await _send_part(send, part)
    await asyncio.wait({invocation})
    if invocation.cancelled():
        return  # the caller has disconnected
    result = invocation.result()
    if not begun:
        await send(_START)
        if not result.function_error and result.payload:  # the function has responded in one piece
            await _send_part(send, result.payload)
    details = {}
    if result.function_error:
        details["ErrorCode"] = result.error_type or result.function_error
        details["ErrorDetails"] = result.payload.decode("utf-8", "replace")
    if result.log is not None:
        details["LogResult"] = base64.b64encode(result.log).decode()
    complete = event_frame("InvokeComplete", "application/json", orjson.dumps(details))
    await send({"type": "http.response.body", "body": complete, "more_body": False})


async def _send_part(send: Send, part: bytes) -> None:
    chunk = event_frame("PayloadChunk", "application/octet-stream", part)
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


_STRING = 7  # the type of a header's value
_OVERHEAD = 16  # prelude with its CRC, and the CRC at the end


def event_frame(event: str, content_type: str, payload: bytes) -> bytes:
    """Return the frame of one event of a type that the service's model names."""
    return frame({":event-type": event, ":content-type": content_type, ":message-type": "event"}, payload)


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Return a frame of `application/vnd.amazon.eventstream`, in which AWS sends streams of events over HTTP.

    A frame: total length, length of the headers, CRC-32 of these two; headers; payload; CRC-32 of all before. Numbers
    are big-endian. A header: length of the name, name, type 7 (string), length of the value, value (Amazon Transcribe,
    "Event stream encoding"; Smithy, "Amazon Event Stream Specification").
    """
    encoded = b"".join(_frame_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack("!II", _OVERHEAD + len(encoded) + len(payload), len(encoded))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + encoded + payload
    return message + struct.pack("!I", zlib.crc32(message))


def _frame_header(name: bytes, value: bytes) -> bytes:
    return struct.pack(f"!B{len(name)}sBH{len(value)}s", len(name), name, _STRING, len(value), value)
