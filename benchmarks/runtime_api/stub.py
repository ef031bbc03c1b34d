"""The Runtime API as fast as Python can: a raw protocol on uvloop, one event again and again, no checks.

`python -m benchmarks.runtime_api.stub EVENT_FILE` prints its port. It responds to each line on stdin, `COUNT`, with one
line of JSON when so many invocations have been served: seconds, latencies in ms, and how many errors were posted.
Only the runtime's CPU is measured, so the stub must merely not be what everybody waits for: it needs about 30 us an
invocation, on a core of its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque
from pathlib import Path
from typing import cast

import uvloop

_ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"status":"OK"}\n'
_HEAD = (
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Deadline-Ms: %d\r\n"
    "Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-central-1:123456789012:function:bench\r\n"
    "Lambda-Runtime-Trace-Id: Root=1-5e1b4151-43a0913a12345678912345;Sampled=1\r\n"
    "Lambda-Runtime-Invocation-Id: 00000000000000000000000000000000\r\n"
    "Content-Length: %d\r\nLambda-Runtime-Aws-Request-Id: 00000000-0000-0000-0000-"
)


class Stub:
    """Hands out `count` invocations of one event to whoever asks, and takes the time."""

    def __init__(self, event: bytes) -> None:
        deadline = int((time.time() + 3600) * 1000)
        self._head = (_HEAD % (deadline, len(event))).encode()
        self._event = b"\r\n\r\n" + event
        self._idle: deque[StubProtocol] = deque()
        self._number = 0
        self._left = 0
        self._open = 0
        self._began = 0.0
        self._latencies: list[float] = []
        self._errors = 0
        self._done = asyncio.Event()

    @property
    def idle(self) -> int:
        """Slots that wait in `next`."""
        return len(self._idle)

    def start(self, count: int) -> None:
        """Give out `count` invocations."""
        self._left = self._open = count
        self._latencies, self._errors = [], 0
        self._done.clear()
        self._began = time.perf_counter()
        while self._left and self._idle:
            self._give(self._idle.popleft())

    async def result(self) -> dict[str, float]:
        """Wait until all are served."""
        await self._done.wait()
        sorted_ = sorted(self._latencies)
        return {
            "seconds": time.perf_counter() - self._began,
            "p50": sorted_[len(sorted_) // 2] * 1000,
            "p99": sorted_[len(sorted_) * 99 // 100] * 1000,
            "errors": self._errors,
        }

    def asked(self, slot: StubProtocol) -> None:
        """Take a slot's poll."""
        if self._left:
            self._give(slot)
        else:
            self._idle.append(slot)

    def served(self, seconds: float, *, error: bool) -> None:
        """Count an invocation that is over."""
        self._latencies.append(seconds)
        self._errors += error
        self._open -= 1
        if not self._open:
            self._done.set()

    def left(self, slot: StubProtocol) -> None:
        """Forget a slot that has gone."""
        if slot in self._idle:
            self._idle.remove(slot)

    def _give(self, slot: StubProtocol) -> None:
        self._left -= 1
        self._number += 1
        slot.give(self._head + b"%012d" % self._number + self._event)


class StubProtocol(asyncio.Protocol):
    """One connection: as little HTTP as the two runtimes speak."""

    def __init__(self, stub: Stub) -> None:
        self._stub = stub
        self._received = b""
        self._given_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._stub.left(self)

    def give(self, data: bytes) -> None:
        """Respond to `next`."""
        self._given_at = time.perf_counter()
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Take whole requests out of what has come."""
        self._received = self._received + data if self._received else data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            total = end + 4 + self._length(end)
            if len(self._received) < total:
                return
            request, self._received = self._received[: min(total, 200)], self._received[total:]
            self._respond(request)

    def _length(self, end: int) -> int:
        head = self._received[:end].lower()
        at = head.find(b"content-length:")
        return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0

    def _respond(self, request: bytes) -> None:
        if request.startswith(b"GET"):
            self._stub.asked(self)
            return
        self._transport.write(_ACCEPTED)
        seconds = time.perf_counter() - self._given_at
        self._stub.served(seconds, error=b"/error" in request.split(b"\r\n", 1)[0])


async def serve(event: bytes) -> None:
    """Serve until stdin ends."""
    stub = Stub(event)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: StubProtocol(stub), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        if line.strip() == b"idle":
            print(stub.idle, flush=True)
            continue
        stub.start(int(line))
        print(json.dumps(await stub.result()), flush=True)


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]).read_bytes()))
