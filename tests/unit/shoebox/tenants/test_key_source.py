"""Fetching the tenants' key documents: bounded in time, size and trust, against a real server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from shoebox.errors import Unavailable
from shoebox.tenants.key_source import HttpKeySource, MemoryKeySource

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
TIMEOUT = 30.0
TLS_RECORD = b"\x16\x03\x03\x40\x00"  # RFC 8446, 5.1: the head of a handshake's record of 16 KiB


@contextlib.asynccontextmanager
async def serving(answer: bytes | Answer, asked: bytes = b"\r\n\r\n") -> AsyncIterator[tuple[str, list[bytes]]]:
    """Answer every connection once a request ends with `asked`; give the address, and the requests so far."""
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
        yield f"http://127.0.0.1:{port}/keys", seen


async def fetch(url: str, *, seconds: float = TIMEOUT) -> bytes | None:
    """Fetch the tenant demo's document, in more time than a busy machine needs."""
    documents = HttpKeySource(url, seconds=seconds, max_bytes=100)
    try:
        return await documents.fetch("demo")
    finally:
        documents.close()


def response(status: str, body: bytes = b"", *headers: str) -> bytes:
    """Return an HTTP response with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_a_document_is_fetched() -> None:
    """A plain GET, without credentials or cookies."""
    async with serving(response("200 OK", b"x" * 100)) as (url, seen):
        assert await fetch(url) == b"x" * 100

    assert seen[0].startswith(b"GET /keys/demo.json HTTP/1.1\r\n")
    assert b"authorization" not in seen[0].lower()


@pytest.mark.parametrize("status", ["404 Not Found", "403 Forbidden"])
async def test_a_key_that_is_not_there_is_none(status: str) -> None:
    """S3 answers 404, or 403 to whoever may not list."""
    async with serving(response(status, b"<Error/>")) as (url, _):
        assert await fetch(url) is None


@pytest.mark.parametrize("status", ["500 Error", "503 Slow Down", "204 No Content", "400 Bad Request"])
async def test_other_statuses_are_faults(status: str) -> None:
    """Whatever is neither there nor absent is a passing fault."""
    async with serving(response(status)) as (url, _):
        with pytest.raises(Unavailable, match=status[:3]):
            await fetch(url)


async def test_redirects_are_not_followed() -> None:
    """The address is the trust: a redirect leads nowhere."""
    async with (
        serving(response("200 OK", b"stolen")) as (other, seen),
        serving(response("302 Found", b"", f"Location: {other}")) as (url, _),
    ):
        with pytest.raises(Unavailable, match="302"):
            await fetch(url)
        assert seen == []


async def test_a_large_document_is_refused() -> None:
    """One byte above the limit, announced or not, is too much, and so is a head that never ends."""
    for answer, reason in (
        (response("200 OK", b"x" * 101), "a body of 101 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 5000, "more than 100 bytes"),
        (b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1_000_000, "more than 100 bytes"),
    ):
        async with serving(answer) as (url, _):
            with pytest.raises(Unavailable, match=reason):
                await fetch(url)


async def test_a_document_that_is_cut_off_is_refused() -> None:
    """Half a key document must not pass for a whole one."""
    async with serving(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}") as (url, _):
        with pytest.raises(Unavailable, match="the connection was closed"):
            await fetch(url)


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"\0" * 200])
async def test_another_protocol_is_a_fault(answer: bytes) -> None:
    """A server that speaks no HTTP is an error like any other."""
    async with serving(answer) as (url, _):
        with pytest.raises(Unavailable):
            await fetch(url)


async def test_nobody_there_is_a_fault() -> None:
    """A refused connection is told as such."""
    async with serving(b"") as (url, _):
        pass
    with pytest.raises(Unavailable, match="cannot connect"):
        await fetch(url)


@pytest.mark.parametrize(
    ("scheme", "asked", "head"),
    [
        pytest.param("http", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n", id="headers"),
        pytest.param("http", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n", id="body"),
        pytest.param("https", TLS_RECORD[:1], TLS_RECORD, id="TLS handshake"),
    ],
)
async def test_a_dripping_server_is_hung_up_on(scheme: str, asked: bytes, head: bytes) -> None:
    """A byte now and then never is a socket's time-out; the whole exchange has one, and frees its connection."""
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
        documents = HttpKeySource(url.replace("http", scheme, 1), seconds=0.5, max_connections=1)
        while not seen:  # a busy machine may take longer to ask
            with pytest.raises(Unavailable, match=r"0\.5 s"):
                await documents.fetch("demo")
        async with asyncio.timeout(TIMEOUT):
            await gone.wait()
        with pytest.raises(Unavailable, match=r"0\.5 s"):  # it has the only connection again
            await documents.fetch("other")
        documents.close()


async def test_who_waits_for_a_connection_waits_no_longer_than_for_a_document() -> None:
    """Strangers who name many tenants cannot hold up requests for longer than one slow response would."""
    asked, finish = asyncio.Event(), asyncio.Event()

    async def silent(writer: asyncio.StreamWriter) -> None:
        asked.set()
        await finish.wait()

    async with serving(silent) as (url, seen):
        documents = HttpKeySource(url, seconds=0.5, max_connections=1)
        results = await asyncio.gather(*(documents.fetch(f"t{n}") for n in range(5)), return_exceptions=True)
        finish.set()
        documents.close()
    assert [str(result) for result in results] == ["no response within 0.5 s"] * 5
    assert len(seen) <= 2


async def test_keys_in_memory_can_be_down() -> None:
    """A test says when, and with what."""
    source = MemoryKeySource({"demo": b"{}"})
    assert (await source.fetch("demo"), await source.fetch("other")) == (b"{}", None)
    source.error = Unavailable("down")
    with pytest.raises(Unavailable, match="down"):
        await source.fetch("demo")
