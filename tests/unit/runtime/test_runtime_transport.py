"""One connection: kept, lost, made again."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from workers.runtime.errors import ConnectionLost, MalformedResponse, PollAbandoned
from workers.runtime.transport import Connection

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[Connection]:
    """Run a server that handles each connection with `serve`, and a client of it."""
    tasks: list[asyncio.Task[None]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    connection = Connection(*listening.sockets[0].getsockname())
    yield connection
    connection.close()
    listening.close()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_connection_serves_many_requests() -> None:
    """Keep-alive is what makes the runtime fast."""
    accepted = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        while await reader.read(100):
            writer.write(OK)

    async with server(serve) as connection:
        bodies = [(await connection.request(b"x")).body for _ in range(5)]
    assert bodies == [b"ok"] * 5
    assert accepted == 1


async def test_connection_close_makes_the_next_request_connect_anew() -> None:
    """A server that closes after its response is no fault."""
    accepted = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        await reader.read(100)
        writer.write(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    async with server(serve) as connection:
        assert (await connection.request(b"x")).body == b"ok"
        assert (await connection.request(b"x")).body == b"ok"
    assert accepted == 2


async def test_body_that_ends_with_the_connection() -> None:
    """A response without length is whole when the connection ends."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    async with server(serve) as connection:
        assert (await connection.request(b"x")).body == b"all of it"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200", OK[:-1]])
async def test_connection_lost_inside_a_response(sent: bytes) -> None:
    """Half a response is none."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(sent)

    async with server(serve) as connection:
        with pytest.raises(ConnectionLost):
            await connection.request(b"x")


async def test_nonsense_from_the_server() -> None:
    """What is no HTTP fails the request, and the connection is not used again."""
    accepted = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        await reader.read(100)
        writer.write(b"220 smtp.example.org\r\n\r\n" if accepted == 1 else OK)
        await reader.read(100)

    async with server(serve) as connection:
        with pytest.raises(MalformedResponse):
            await connection.request(b"x")
        assert (await connection.request(b"x")).body == b"ok"


async def test_nobody_listens() -> None:
    """A refused connection names the address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectionLost, match=f"cannot connect to 127.0.0.1:{port}"):
        await Connection("127.0.0.1", port).open()


async def test_a_cancelled_request_takes_its_connection_along() -> None:
    """Its late response must never be taken for the next request's."""
    asked = asyncio.Event()
    accepted = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        accepted += 1
        await reader.read(100)
        asked.set()
        if accepted > 1:
            writer.write(OK)
        await reader.read(100)

    async with server(serve) as connection:
        first = asyncio.create_task(connection.request(b"x"))
        await asked.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert (await connection.request(b"x")).body == b"ok"
    assert accepted == 2


async def test_abandoned_polls() -> None:
    """A waiting poll ends, later ones are refused, posts still go."""
    asked = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            asked.set()
            if data == b"post":
                writer.write(OK)

    async with server(serve) as connection:
        waiting = asyncio.create_task(connection.poll(b"poll"))
        await asked.wait()
        connection.abandon()
        with pytest.raises(PollAbandoned):
            await waiting
        with pytest.raises(PollAbandoned):
            await connection.poll(b"poll")
        assert (await connection.request(b"post")).body == b"ok"


async def test_connections_may_share_one_receive_buffer() -> None:
    """What arrives on one never shows up on another."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            for part in (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data), data[:3], data[3:]):
                writer.write(part)
                await writer.drain()

    async with server(serve) as first:
        shared = bytearray(16)
        connections = [Connection(first._host, first._port, shared) for _ in range(8)]
        asked = [b"request %d" % number for number in range(8)]
        for _ in range(5):
            responses = await asyncio.gather(*(c.request(a) for c, a in zip(connections, asked, strict=True)))
            assert [response.body for response in responses] == asked
        for connection in connections:
            connection.close()


@pytest.mark.parametrize(
    ("status", "goes_on"), [(200, True), (202, True), (410, False), (413, False)], ids=lambda value: str(value)
)
async def test_a_response_before_the_end_of_an_upload(status: int, goes_on: bool) -> None:
    """A good one says nothing about the rest; a refusal ends the upload, whose response still counts."""
    responded = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"head")
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        await writer.drain()
        responded.set()
        await reader.read()

    async with server(serve) as connection:
        upload = await connection.upload(b"head")
        await responded.wait()
        while not upload._response.done():  # noqa: ASYNC110  # until the bytes are read
            await asyncio.sleep(0)
        assert await upload.write(b"part") is goes_on
        assert (await upload.finish(b"end")).status == status


async def test_nothing_follows_the_end_of_an_upload() -> None:
    """What a leaked handler still makes must not come after the last byte."""
    received = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"end")
        writer.write(OK)
        received.set_result(await reader.read())

    async with server(serve) as connection:
        upload = await connection.upload(b"head")
        assert await upload.write(b"part")
        finishing = asyncio.create_task(upload.finish(b"end"))
        await asyncio.sleep(0)
        assert not await upload.write(b"late")
        assert (await finishing).body == b"ok"
        assert await received == b""
