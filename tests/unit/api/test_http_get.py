"""Fetching a small document: bounded in time, size and trust, against a real server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from api.http_get import Exchange, FetchError, HttpGetter

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
PATIENCE = 30.0
TLS_RECORD = b"\x16\x03\x03\x40\x00"  # RFC 8446, 5.1: the head of a handshake's record of 16 KiB


@contextlib.asynccontextmanager
async def serving(answer: bytes | Answer, asked: bytes = b"\r\n\r\n") -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers every connection once a request ends with `asked`; its address and the requests it saw."""
    seen: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            seen.append(await reader.readuntil(asked))
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/keys/demo.json", seen


@pytest.fixture
async def getter() -> AsyncIterator[HttpGetter]:
    """A getter with more patience than a busy machine needs."""
    getter = HttpGetter(seconds=PATIENCE, max_bytes=100)
    yield getter
    getter.close()


@pytest.fixture
async def hasty() -> AsyncIterator[HttpGetter]:
    """A getter with a single thread, and too little patience to count on any answer."""
    getter = HttpGetter(seconds=0.5, max_bytes=100, at_once=1)
    yield getter
    getter.close()


def response(status: str, body: bytes = b"", *headers: str) -> bytes:
    """An HTTP response with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_a_document_is_fetched(getter: HttpGetter) -> None:
    """A plain GET, without credentials or cookies."""
    async with serving(response("200 OK", b"x" * 100)) as (url, seen):
        assert await getter.get(url) == b"x" * 100

    assert seen[0].startswith(b"GET /keys/demo.json HTTP/1.1\r\n")
    assert b"authorization" not in seen[0].lower()


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden"])
async def test_a_key_that_is_not_there_is_none(getter: HttpGetter, status: str) -> None:
    """S3 answers 404, or 403 to whoever may not list."""
    async with serving(response(status, b"<Error/>")) as (url, _):
        assert await getter.get(url) is None


@pytest.mark.parametrize("status", ["500 Error", "503 Slow Down", "204 No Content", "400 Bad Request"])
async def test_other_statuses_are_faults(getter: HttpGetter, status: str) -> None:
    """Whatever is neither there nor absent is a passing fault."""
    async with serving(response(status)) as (url, _):
        with pytest.raises(FetchError, match=status[:3]):
            await getter.get(url)


async def test_redirects_are_not_followed(getter: HttpGetter) -> None:
    """The address is the trust: a redirect leads nowhere."""
    async with (
        serving(response("200 OK", b"stolen")) as (other, seen),
        serving(response("302 Found", b"", f"Location: {other}")) as (url, _),
    ):
        with pytest.raises(FetchError, match="302"):
            await getter.get(url)
        assert seen == []


async def test_a_large_document_is_refused(getter: HttpGetter) -> None:
    """One byte above the limit, announced or not, is too much."""
    for answer in (response("200 OK", b"x" * 101), b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000):
        async with serving(answer) as (url, _):
            with pytest.raises(FetchError, match="more than 100 bytes"):
                await getter.get(url)


async def test_a_document_that_is_cut_off_is_refused(getter: HttpGetter) -> None:
    """Half a key document must not pass for a whole one."""
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}") as (url, _):
        with pytest.raises(FetchError, match="cut off"):
            await getter.get(url)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"\0" * 200])
async def test_another_protocol_is_a_fault(getter: HttpGetter, answer: bytes) -> None:
    """A server that speaks no HTTP is an error like any other."""
    async with serving(answer) as (url, _):
        with pytest.raises(FetchError):
            await getter.get(url)


async def test_nobody_there_is_a_fault(getter: HttpGetter) -> None:
    """A refused connection is told as such."""
    async with serving(b"") as (url, _):
        pass
    with pytest.raises(FetchError, match="ConnectionRefused"):
        await getter.get(url)


@pytest.mark.parametrize(
    ("scheme", "asked", "head"),
    [
        pytest.param("http", b"\r\n\r\n", b"", id="status"),
        pytest.param("http", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n", id="headers"),
        pytest.param("http", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n", id="body"),
        pytest.param("https", TLS_RECORD[:1], TLS_RECORD, id="TLS handshake"),
    ],
)
async def test_a_dripping_server_is_hung_up_on(hasty: HttpGetter, scheme: str, asked: bytes, head: bytes) -> None:
    """A byte now and then never is a socket’s time-out; the whole exchange has one, and frees its thread."""
    gone = asyncio.Event()

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        try:
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.02)
        finally:
            gone.set()

    async with serving(drip, asked) as (url, seen):
        while not seen:  # a busy machine may take longer to ask
            with pytest.raises(FetchError, match=r"0\.5 s"):
                await hasty.get(url.replace("http", scheme, 1))
        async with asyncio.timeout(PATIENCE):
            await gone.wait()
    async with serving(response("200 OK", b"{}")) as (url, _), asyncio.timeout(PATIENCE):
        assert await answered(hasty, url) == b"{}"


async def answered(hasty: HttpGetter, url: str) -> bytes | None:
    """What is there, as soon as it comes in time: never, where the only thread is not free."""
    while True:
        with contextlib.suppress(FetchError):
            return await hasty.get(url)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_who_hangs_up_before_the_connection_sends_nothing(scheme: str) -> None:
    """An exchange that was given up while it connected ends as soon as it has, and does not connect again."""
    async with serving(response("200 OK", b"{}"), TLS_RECORD[:1] if scheme == "https" else b"GET") as (url, seen):
        exchange = Exchange(url.replace("http", scheme, 1), seconds=PATIENCE, tls=ssl.create_default_context())
        exchange.hang_up()
        with pytest.raises(ConnectionAbortedError, match="hung up"):
            await asyncio.to_thread(exchange.run, 100)
    assert seen == []
