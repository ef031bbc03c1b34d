"""A streamed response: what the Runtime API takes, what reaches a slow or absent caller, and AWS's event frames."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from fleet_fakes import Bench, pool_bench, until

from fleet.environments.environment import Environment
from fleet.environments.invocation import RESPONSE_PAYLOAD, Call, InvokeResult
from fleet.environments.runtime_api import RuntimeApi
from fleet.invoke_stream import StreamReader, event_frame, frame
from fleet.metrics import Metrics

STREAMING = (b"lambda-runtime-function-response-mode", b"streaming")


class Post:
    """A streamed post under way: the test sends its parts one by one, and its trailers."""

    def __init__(self, bench: Bench, environment: Environment, request_id: str, *headers: tuple[bytes, bytes]) -> None:
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.headers = [STREAMING, *headers]
        self.trailers: list[tuple[bytes, bytes]] = []
        path = f"/.rt/api/{environment.identity}/2018-06-01/runtime/invocation/{request_id}/response"
        scope = {"method": "POST", "path": path, "headers": self.headers, "trailers": self.trailers}
        self.status = 0
        self.task = asyncio.create_task(RuntimeApi({"api": bench.pool})(scope, self._messages.get, self._send))

    def part(self, data: bytes) -> None:
        """Send a part."""
        self._messages.put_nowait({"type": "http.request", "body": data, "more_body": True})

    async def end(self) -> int:
        """Send the end; the answer's status."""
        self._messages.put_nowait({"type": "http.request", "body": b"", "more_body": False})
        return await self.answered()

    async def answered(self) -> int:
        """Return the response's status."""
        await asyncio.wait_for(self.task, 30)
        return self.status

    def hang_up(self) -> None:
        """Close the connection in the middle."""
        self._messages.put_nowait({"type": "http.disconnect"})

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)


class Streamed:
    """An invocation `r1` that runs in an environment, with the parts that its caller has got."""

    def __init__(self, bench: Bench, environment: Environment, reader: StreamReader) -> None:
        self.bench, self.environment, self.reader = bench, environment, reader
        self.got: list[bytes] = []
        self.result: asyncio.Task[InvokeResult] = asyncio.create_task(
            bench.pool.invoke(Call(b"{}", request_id="r1", sink=reader))
        )

    async def read(self) -> None:
        """Take parts until the end."""
        async for part in self.reader.parts():
            self.got.append(part)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Yield a pool with one slot per environment."""
    made = pool_bench(Metrics(tmp_path))
    async with made.pool:
        yield made


@pytest.fixture
async def streamed(bench: Bench) -> AsyncIterator[Streamed]:
    """`r1` with a caller who reads its parts."""
    waiting = Streamed(bench, None, StreamReader())  # type: ignore[arg-type]
    waiting.environment, _ = await bench.ready()
    await bench.next(waiting.environment)
    yield waiting
    waiting.result.cancel()


async def collected(bench: Bench) -> tuple[Environment, asyncio.Task[InvokeResult]]:
    """`r1` with a caller who wants it all at once."""
    task = bench.invoke("r1")
    environment, _ = await bench.ready()
    await bench.next(environment)
    return environment, task


async def test_parts_reach_the_caller_at_once(streamed: Streamed) -> None:
    """The first is there before the second is made; the result has no payload of its own."""
    post = Post(streamed.bench, streamed.environment, "r1")
    parts = streamed.reader.parts()
    post.part(b"one")
    assert await anext(parts) == b"one"
    post.part(b"two")
    assert await anext(parts) == b"two"
    assert await post.end() == 202
    assert (await streamed.result).payload == b""


async def test_a_slow_caller_slows_the_function(streamed: Streamed) -> None:
    """16 parts wait, the next is not even read; nothing is lost."""
    post = Post(streamed.bench, streamed.environment, "r1")
    for number in range(40):
        post.part(b"%d" % number)
    await until(lambda: post._messages.qsize() == 23)
    for _ in range(100):
        await asyncio.sleep(0)
    assert post._messages.qsize() == 23
    reading = asyncio.create_task(streamed.read())
    assert await post.end() == 202
    streamed.reader.end()
    await reading
    assert streamed.got == [b"%d" % number for number in range(40)]


async def test_a_caller_that_leaves_stops_nothing(streamed: Streamed) -> None:
    """As with Invoke: the function runs to its end, its parts are dropped."""
    post = Post(streamed.bench, streamed.environment, "r1")
    for _ in range(20):
        post.part(b"x")
    await until(lambda: post._messages.qsize() < 20)
    streamed.reader.leave()
    streamed.result.cancel()
    for _ in range(20):
        post.part(b"x")
    assert await post.end() == 202


async def test_a_failure_in_the_trailers(streamed: Streamed) -> None:
    """Trailers come after the body, in a list of their own."""
    post = Post(streamed.bench, streamed.environment, "r1")
    post.part(b"half")
    post.trailers += [
        (b"lambda-runtime-function-error-type", b"Function.ValueError"),
        (b"lambda-runtime-function-error-body", base64.b64encode(b'{"errorMessage":"lost"}')),
    ]
    assert await post.end() == 202
    assert await streamed.result == InvokeResult(
        b'{"errorMessage":"lost"}', "Unhandled", "r1", error_type="Function.ValueError"
    )


async def test_time_is_up_in_the_middle(streamed: Streamed) -> None:
    """410 to the runtime with the next part; the caller has the parts until then, and the failure."""
    post = Post(streamed.bench, streamed.environment, "r1")
    post.part(b"half")
    assert await anext(streamed.reader.parts()) == b"half"
    streamed.environment.expire("r1")
    post.part(b"late")
    assert await post.answered() == 410


async def test_a_runtime_that_hangs_up_in_the_middle(streamed: Streamed) -> None:
    """What is half there cannot be sent again: the invocation has failed."""
    post = Post(streamed.bench, streamed.environment, "r1")
    post.part(b"half")
    post.hang_up()
    result = await streamed.result
    assert (result.function_error, result.error_type) == ("Unhandled", "Runtime.TruncatedResponse")


@pytest.mark.parametrize(
    ("request_id", "nonce", "status"), [("r9", b"", 400), ("r1", b"old", 410)], ids=["unknown", "earlier attempt"]
)
async def test_streams_that_are_not_wanted(streamed: Streamed, request_id: str, nonce: bytes, status: int) -> None:
    """The same statuses as for an answer in one piece, before anything is read."""
    post = Post(streamed.bench, streamed.environment, request_id, (b"lambda-runtime-invocation-id", nonce))
    assert await post.answered() == status


@pytest.mark.parametrize("excess", [0, 1], ids=["at the limit", "above it"])
async def test_invoke_collects_a_stream(bench: Bench, excess: int) -> None:
    """6 MB for a caller who wants it at once ("Lambda quotas": payload, synchronous)."""
    environment, task = await collected(bench)
    post = Post(bench, environment, "r1")
    post.part(bytes(RESPONSE_PAYLOAD - 3))
    post.part(bytes(3 + excess))
    status = await (post.answered() if excess else post.end())
    result = await task
    assert status == (413 if excess else 202)
    assert result.error_type == ("Function.ResponseSizeTooLarge" if excess else None)
    assert len(result.payload) == RESPONSE_PAYLOAD or excess


async def test_a_stream_has_its_own_limit(streamed: Streamed, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 MB ("Lambda quotas": streamed response), here a little less."""
    monkeypatch.setattr(StreamReader, "limit", 10)
    post = Post(streamed.bench, streamed.environment, "r1")
    post.part(bytes(11))
    assert await post.answered() == 413
    assert (await streamed.result).error_type == "Function.ResponseSizeTooLarge"


# --- frames of AWS's event streams, taken apart by botocore's own decoder


@pytest.mark.parametrize("payload", [b"", b"{}", bytes(range(256)) * 1000], ids=["empty", "small", "large"])
def test_botocore_reads_what_we_write(payload: bytes) -> None:
    """Both checksums hold, headers and payload come back ("Amazon Event Stream Specification")."""
    buffer = EventStreamBuffer()
    buffer.add_data(event_frame("PayloadChunk", "application/octet-stream", payload) * 2)
    messages = list(buffer)
    assert [message.payload for message in messages] == [payload, payload]
    assert messages[0].headers == {
        ":event-type": "PayloadChunk",
        ":content-type": "application/octet-stream",
        ":message-type": "event",
    }


def test_lengths_are_bytes_and_not_characters() -> None:
    """A header may be any UTF-8."""
    buffer = EventStreamBuffer()
    buffer.add_data(frame({"naïve": "☃"}, b"x"))
    (message,) = buffer
    assert message.headers == {"naïve": "☃"}
