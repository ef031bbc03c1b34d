"""What a client may take of a server. Time passes by `tick`; what needs no socket has a transport that is a list."""

import asyncio
import re
import socket
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import uvicorn
from raw_http import GET, POST, connected, echo, serving
from uvicorn.server import ServerState

from fleet.http.asgi import ON_UNREAD, App, Receive, Scope, Send, json_response, respond
from fleet.http.limits import PROGRAMS, RequestLimits
from fleet.http.protocol import LimitedProtocol
from fleet.http.server import refuse

LIMITS = RequestLimits(max_connections=4)
HALF = b"GET /a HTTP/1.1\r\nHost: a\r\nX: "
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HUNDRED = POST + b"Content-Length: 100\r\n\r\n"


@dataclass
class Transport:
    """Keeps what is written; `unsent` is what the client has not taken."""

    written: bytearray = field(default_factory=bytearray)
    unsent: int = 0
    reading: bool = True
    ended: str = ""

    def write(self, data: bytes) -> None:
        """Keep it."""
        assert not self.ended
        self.written += data

    def write_eof(self) -> None:
        """Nothing more is written."""
        assert not self.ended

    def close(self) -> None:
        """End when all is sent."""
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        """End at once."""
        self.ended = "aborted"

    def is_closing(self) -> bool:
        """Whether it ended."""
        return bool(self.ended)

    def pause_reading(self) -> None:
        """Take nothing for now."""
        self.reading = False

    def resume_reading(self) -> None:
        """Take what comes."""
        self.reading = True

    def get_write_buffer_size(self) -> int:
        """Bytes that the client has not taken."""
        return self.unsent

    def get_extra_info(self, name: str) -> Any:
        """There is no socket to tell of."""
        return None

    @property
    def statuses(self) -> list[int]:
        """Statuses of the responses."""
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", self.written)]


class Gate:
    """An application that begins to read when `reads` is set, and answers when `answers` is."""

    def __init__(self) -> None:
        self.reads, self.answers, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self.reads.wait()
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
        await self.answers.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
        self.ended.set()


class Connection:
    """A connection to an application, without a socket."""

    def __init__(self, app: App = echo, limits: RequestLimits = LIMITS, state: ServerState | None = None) -> None:
        self.transport = Transport()
        config = uvicorn.Config(app, lifespan="off", ws="none", log_config=None)
        self.protocol = LimitedProtocol(
            config=config, server_state=state or ServerState(), app_state={}, limits=limits, refuse=refuse
        )
        self.protocol.connection_made(self.transport)

    async def send(self, *parts: bytes) -> None:
        """Hand over bytes, and let the application do what it can."""
        for part in parts:
            self.protocol.data_received(part)
        for _ in range(10):
            await asyncio.sleep(0)

    def wait(self, seconds: float) -> tuple[list[int], str]:
        """Let seconds pass; statuses of the responses so far, and how the connection ended."""
        for _ in range(round(seconds)):
            self.protocol.tick(1.0)
        return self.transport.statuses, self.transport.ended


async def test_a_head_must_be_complete_in_time():
    """However its bytes come: each one used to begin the time anew."""
    slow = Connection()
    await slow.send(HALF)
    for _ in range(10):
        await slow.send(b"x")
        assert slow.wait(1) == ([], "")
    assert slow.wait(1) == ([408], "")
    await slow.send(b"\r\n\r\n")
    assert slow.wait(2) == ([408], ""), "the client has time to read that"
    assert slow.wait(1) == ([408], "aborted")


async def test_the_second_head_of_a_connection_must_be_complete_in_time():
    """Its time begins with its first byte."""
    slow = Connection()
    await slow.send(GET)
    assert slow.wait(70) == ([200], "")
    await slow.send(HALF)
    assert slow.wait(10) == ([200], "")
    assert slow.wait(1) == ([200, 408], "")


@pytest.mark.parametrize("sent", [b"", b"\r\n"], ids=["nothing", "empty lines"])
async def test_a_connection_without_a_request_ends(sent: bytes):
    """Without a response: nothing was asked."""
    silent = Connection()
    for _ in range(10):
        await silent.send(sent)
        assert silent.wait(1) == ([], "")
    assert silent.wait(1) == ([], "closed")


async def test_an_idle_connection_ends_after_a_while():
    """Later than a new one: its client may have more to ask. Empty lines are no request."""
    idle = Connection()
    await idle.send(GET)
    for _ in range(75):
        await idle.send(b"\r\n")
        assert idle.wait(1) == ([200], "")
    assert idle.wait(1) == ([200], "closed")


async def test_a_body_must_come_in_time():
    """20 s, and one more for 10 KiB: a slow line may send much, a dripping one little."""
    gate = Gate()
    gate.reads.set()
    slow = Connection(gate)
    await slow.send(POST, b"Content-Length: 102400\r\n\r\n", b"x" * 51_200)
    assert slow.wait(20 + 5) == ([], "")
    assert slow.wait(1) == ([408], "")
    gate.answers.set()
    await slow.send()
    assert slow.wait(0) == ([408], ""), "the application's response comes too late"


async def test_a_response_may_take_its_time():
    """The function's limit is another one."""
    gate = Gate()
    gate.reads.set()
    asked = Connection(gate)
    await asked.send(HUNDRED, b"x" * 100)
    assert asked.wait(900) == ([], "")
    gate.answers.set()
    await asked.send()
    assert asked.wait(75) == ([200], "")


async def test_time_does_not_pass_while_the_server_takes_nothing():
    """An authorizer that is asked before the body is read costs the client nothing."""
    gate = Gate()
    held = Connection(gate)
    await held.send(POST, b"Content-Length: 102400\r\n\r\n", b"x" * 70_000)
    assert not held.transport.reading
    assert held.wait(900) == ([], "")
    gate.reads.set()
    await held.send()
    assert held.transport.reading
    assert held.wait(26) == ([], "")


async def test_a_client_that_waits_to_be_told_to_continue_is_not_late():
    """It may send nothing before that."""
    gate = Gate()
    held = Connection(gate)
    await held.send(POST, b"Expect: 100-continue\r\nContent-Length: 100\r\n\r\n")
    assert held.wait(900) == ([], "")
    gate.reads.set()
    await held.send()
    assert held.wait(20) == ([100], "")
    assert held.wait(1) == ([100, 408], "")


async def test_a_client_that_was_not_told_to_continue_needs_another_connection():
    """Its next request would be taken for the body that it kept."""
    refused = Connection()
    await refused.send(POST, b"Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n")
    assert refused.wait(0) == ([413], "closed")


async def test_what_comes_after_an_early_response_is_thrown_away():
    """For a moment, so that the client can read the response; if the rest comes, the connection goes on."""
    early = Connection()
    await early.send(POST, b"Content-Length: 1001\r\n\r\n", b"x" * 1000)
    assert early.wait(2) == ([413], "")
    await early.send(b"x", GET)
    assert early.wait(0) == ([413, 200], "")
    endless = Connection()
    await endless.send(POST, b"Content-Length: 100000\r\n\r\n", b"x" * 1000)
    for _ in range(2):
        await endless.send(b"x" * 1000)
        assert endless.wait(1) == ([413], "")
    assert endless.wait(1) == ([413], "closed")


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"GET /", b"x"),
        (HALF, b"x"),
        (b"GET /a HTTP/1.1\r\nHost: a\r\n", b"X: y\r\n"),
        (CHUNKED + b"1\r\nx\r\n0\r\nX: ", b"x"),
        (CHUNKED + b"1\r\nx\r\n0\r\n", b"X: y\r\n"),
        (CHUNKED + b"1;x=", b"x"),
    ],
    ids=["target", "value", "many headers", "trailer's value", "many trailers", "chunk extension"],
)
async def test_what_frames_a_request_may_have_64_kib(begin: bytes, more: bytes):
    """No more of it is kept, in whatever pieces it comes: httptools would collect it for ever."""
    gate = Gate()
    large = Connection(gate)
    piece = more * (1000 // len(more))
    await large.send(begin, *[piece] * 60)
    assert large.wait(0) == ([], "")
    await large.send(*[piece] * 10_000)
    assert large.wait(0) == ([431], "")


async def test_a_body_has_no_such_limit():
    """That is the application's."""
    gate = Gate()
    gate.reads.set()
    gate.answers.set()
    large = Connection(gate)
    await large.send(CHUNKED, *[b"3e8\r\n" + b"x" * 1000 + b"\r\n"] * 1000, b"0\r\n\r\n", GET)
    assert large.wait(0) == ([200, 200], "")


async def test_a_client_that_takes_nothing_of_its_response_loses_it():
    """Even if the connection is about to be closed. Who takes some of it goes on."""
    slow, stuck = Connection(), Connection()
    for connection in (slow, stuck):
        connection.transport.unsent = 1000
        await connection.send(GET)
    stuck.protocol.transport.close()
    for _ in range(60):
        slow.transport.unsent -= 1
        assert slow.wait(1) == ([200], "")
    assert stuck.wait(61) == ([200], "closed")
    assert stuck.wait(1) == ([200], "aborted")


async def test_our_own_programs_have_time():
    """A function streams its response for minutes, and stands in a debugger."""
    gate = Gate()
    gate.reads.set()
    streaming = Connection(gate, PROGRAMS)
    await streaming.send(CHUNKED, b"1\r\nx\r\n")
    streaming.transport.unsent = 1
    assert streaming.wait(900) == ([], "")


async def test_a_late_head_does_not_overtake_the_response_before_it():
    """A client that sends ahead gets what it asked for first, and no 408 in its place."""
    gate = Gate()
    gate.reads.set()
    ahead = Connection(gate)
    await ahead.send(GET, HALF)
    assert ahead.wait(60) == ([], "")
    gate.answers.set()
    await ahead.send()
    assert ahead.wait(0) == ([200], "closed")


async def test_a_malformed_body_does_not_break_into_a_response():
    """A response has begun when the body turns out to be malformed: there is nothing to add."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await receive()

    begun = Connection(app)
    await begun.send(CHUNKED)
    await begun.send(b"1\r\nxx\r\n")
    assert begun.wait(0) == ([200], "closed")


async def test_only_so_many_connections_are_open():
    """One more is told so, with 503; of many more not even that."""
    state = ServerState()
    opened = [Connection(state=state) for _ in range(9)]
    assert [connection.wait(0) for connection in opened[:4]] == [([], "")] * 4
    assert [connection.wait(0) for connection in opened[4:8]] == [([503], "")] * 4
    assert opened[8].wait(0) == ([], "aborted")
    for connection in opened:
        connection.protocol.connection_lost(None)
    again = Connection(state=state)
    await again.send(GET)
    assert again.wait(0) == ([200], "")


async def test_a_refusal_reaches_a_client_that_is_still_sending():
    """Closing the socket at once would reset the connection, and the client would see that alone."""
    async with serving(echo, limits=replace(LIMITS, max_head_bytes=1000)) as server, connected(server.port) as raw:
        raw.send(b"GET /a HTTP/1.1\r\nHost: a\r\nX: ")
        for _ in range(100):
            raw.send(b"x" * 10_000)
            await raw.drain()
        reply = await raw.reply()
        assert reply.status == 431
        assert reply.body == {"message": "The request's headers are too large."}
        assert reply.headers["cache-control"] == "no-store"


async def test_a_servers_time_passes_by_itself():
    """Nobody calls `tick` here: half a request is refused, one of many connections too."""
    async with (
        serving(echo, limits=replace(LIMITS, head_seconds=1, max_connections=2)) as server,
        connected(server.port) as first,
        connected(server.port) as second,
        connected(server.port) as third,
    ):
        assert (await third.reply()).status == 503
        first.send(HALF)
        second.send(GET)
        assert (await second.reply()).status == 200
        assert (await first.reply()).status == 408
        assert await first.closed() == b""


@pytest.mark.parametrize("read", [True, False])
async def test_an_application_learns_that_its_response_was_not_read(read: bool):
    """A client that dies before it has read everything resets the connection; one that has read it only closes."""
    unread, gone = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/wait":
            await receive()
            await receive()
            gone.set()
            return
        scope[ON_UNREAD] = unread.set
        await respond(send, json_response(200, {}))

    async with serving(app) as server:
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(GET)
        await asyncio.to_thread(client.recv, 1, 0 if read else socket.MSG_PEEK)
        while read and await asyncio.to_thread(client.recv, 1) not in (b"}", b""):  # to the end of the body
            pass
        client.close()
        if not read:
            await asyncio.wait_for(unread.wait(), 30)
            return
        async with connected(server.port) as other:  # comes after it, and is known to have been heard of
            other.send(GET.replace(b"/a", b"/wait"))
        await asyncio.wait_for(gone.wait(), 30)
    assert not unread.is_set()
