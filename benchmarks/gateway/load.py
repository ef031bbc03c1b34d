"""A load generator that costs little: kept connections, one request each at a time, raw bytes.

`python -m benchmarks.gateway.load URL --connections 64 --seconds 5 [--rate 750]` prints JSON. Without a rate every
connection sends as fast as it is answered. With one, requests are due at fixed times whoever is slow, and latency
counts from when they were due: nothing is left out because the generator waited (coordinated omission).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

import uvloop


@dataclass
class Tally:
    """Latencies in seconds of good answers, and how many were not good."""

    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    statuses: dict[str, int] = field(default_factory=dict)

    def count(self, status: bytes, seconds: float) -> None:
        """One answer."""
        name = status.decode("latin-1")
        self.statuses[name] = self.statuses.get(name, 0) + 1
        if name == "200":
            self.latencies.append(seconds)
        else:
            self.failed += 1


class Lane(asyncio.Protocol):
    """One connection: answers must have a Content-Length."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    async def ask(self, request: bytes) -> bytes:
        """Send a request; return the status of the response."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        """Collect one answer."""
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._buffer.lower().find(b"content-length:", 0, head)
        length = int(self._buffer[at + 15 : self._buffer.find(b"\r\n", at)])
        if len(self._buffer) < head + 4 + length:
            return
        status, self._buffer = self._buffer[9:12], self._buffer[head + 4 + length :]
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits learns of it."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed"))

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()


async def run(url: str, *, connections: int, seconds: float, rate: float | None) -> Tally:
    """Load `url`."""
    parts = urlsplit(url)
    request = (
        f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer bench\r\n"
        "User-Agent: bench\r\nAccept: application/json\r\n\r\n"
    ).encode()
    loop = asyncio.get_running_loop()
    lanes = [(await loop.create_connection(Lane, parts.hostname, parts.port))[1] for _ in range(connections)]
    await lanes[0].ask(request)  # the authorizer's answer is cached from here on
    tally = Tally()
    work = _open_loop(lanes, request, tally, seconds, rate) if rate else _closed_loop(lanes, request, tally, seconds)
    await work
    for lane in lanes:
        lane.close()
    return tally


async def _closed_loop(lanes: list[Lane], request: bytes, tally: Tally, seconds: float) -> None:
    end = time.perf_counter() + seconds

    async def drive(lane: Lane) -> None:
        while (began := time.perf_counter()) < end:
            tally.count(await lane.ask(request), time.perf_counter() - began)

    await asyncio.gather(*(drive(lane) for lane in lanes))


async def _open_loop(lanes: list[Lane], request: bytes, tally: Tally, seconds: float, rate: float) -> None:
    begin = time.perf_counter()
    due = iter(begin + n / rate for n in range(int(rate * seconds)))

    async def drive(lane: Lane) -> None:
        for at in due:
            if (early := at - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            tally.count(await lane.ask(request), time.perf_counter() - at)

    await asyncio.gather(*(drive(lane) for lane in lanes))


def main() -> None:
    """Load a URL and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float)
    options = parser.parse_args()
    began, cpu = time.perf_counter(), time.process_time()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        tally = runner.run(
            run(options.url, connections=options.connections, seconds=options.seconds, rate=options.rate)
        )
    elapsed = time.perf_counter() - began
    found = sorted(tally.latencies) or [0.0]
    print(
        json.dumps(
            {
                "rate": len(tally.latencies) / elapsed,
                "p50_ms": found[len(found) // 2] * 1000,
                "p99_ms": found[min(len(found) - 1, int(len(found) * 0.99))] * 1000,
                "failed": tally.failed,
                "statuses": tally.statuses,
                "cpu_us": (time.process_time() - cpu) / max(1, len(tally.latencies)) * 1e6,
            }
        )
    )


if __name__ == "__main__":
    main()
