"""The limiter as a proxy, in front of a server that another process could be."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from yarl import URL

from emulator.limiter.proxy import limiting_proxy
from emulator.limiter.usage import read_data_use
from fleet.http.asgi import App, Receive, Response, Scope, Send, read_body, respond
from fleet.http.ports import LOOPBACK, listen
from fleet.http.server import Server
from fleet.limits.quotas import Quotas, S3Quotas
from fleet.limits.use import DataUse

MIB = 1 << 20
Client = aiohttp.ClientSession


@asynccontextmanager
async def proxied(app: App, quotas: Quotas | None = None) -> AsyncIterator[tuple[Client, str]]:
    """Provide a client, and the address of the limiter in front of `app`."""
    async with AsyncExitStack() as opened:
        server = await opened.enter_async_context(Server(app, listen(0, "this test")))
        url = await opened.enter_async_context(limiting_proxy(f"http://{LOOPBACK}:{server.port}", quotas or Quotas()))
        yield await opened.enter_async_context(Client(auto_decompress=False)), url


class Echo:
    """Keeps the last request, and answers what it is told."""

    scope: Scope
    body = b""
    response = Response(200)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        self.scope, self.body = scope, await read_body(scope, receive, 10**8)
        await respond(send, self.response)

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Of the last request."""
        return dict(self.scope["headers"])


async def test_a_request_arrives_as_it_was_sent():
    """The path is not decoded, the Host is the client's: both are signed."""
    echo = Echo()
    async with proxied(echo) as (client, url):
        path = "/photos/a%2Fb%20c?prefix=%2F&X-Amz-Signature=s%2Bs"
        headers = {"X-Amz-Date": "20260101T000000Z", "Authorization": "AWS4-HMAC-SHA256 …".replace("…", "x")}
        await client.put(URL(url + path, encoded=True), data=b"bytes", headers=headers)
        assert echo.scope["raw_path"] + b"?" + echo.scope["query_string"] == path.encode()
        assert echo.headers[b"host"] == url.removeprefix("http://").encode()
        assert echo.headers[b"x-amz-date"] == b"20260101T000000Z"
        assert (echo.headers[b"content-length"], echo.body) == (b"5", b"bytes")
        assert b"transfer-encoding" not in echo.headers


async def test_nothing_is_added_to_a_request():
    """A header that the client did not send could be missing from its signature."""
    echo = Echo()
    async with proxied(echo) as (client, url):
        without = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
        await client.get(f"{url}/photos/a", skip_auto_headers=without)
        assert echo.headers.keys() == {b"host"}


async def test_an_answer_comes_back_as_it_was_sent():
    """Status, headers and compressed bytes; a redirect is the client's to follow."""
    echo = Echo()
    zipped = gzip.compress(b"a text")
    echo.response = Response(302, zipped, [(b"content-encoding", b"gzip"), (b"location", b"/away"), (b"x-a", b"b")])
    async with proxied(echo) as (client, url), client.get(f"{url}/photos/a", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["X-A"], answer.headers["Location"]) == (302, "b", "/away")
        assert await answer.read() == zipped
        assert answer.headers["Content-Length"] == str(len(zipped))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_requests_without_a_body_have_none(method: str):
    """No length, no chunks."""
    echo = Echo()
    async with proxied(echo) as (client, url):
        async with client.request(method, f"{url}/photos/a") as answer:
            assert answer.status == 200
        assert echo.scope["method"] == method
        assert b"content-length" not in echo.headers


async def test_bodies_stream_both_ways():
    """The server answers the first part of a body before it has the last: neither is collected."""
    first_seen, last_may_come = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        first_seen.set()
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": True})
        await send({"type": "http.response.body"})

    async def body() -> AsyncIterator[bytes]:
        yield b"x" * MIB
        await last_may_come.wait()
        yield b"y" * MIB

    async with proxied(app) as (client, url), client.put(f"{url}/photos/a", data=body()) as answer:
        await first_seen.wait()
        assert await answer.content.readexactly(MIB) == b"x" * MIB
        last_may_come.set()
        assert await answer.read() == b"y" * MIB


async def test_a_client_that_goes_away_ends_its_request():
    """A long poll that nobody waits for must not take a message."""
    asked, gone = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(scope, receive, 100)
        asked.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async with proxied(app) as (client, url):
        poll = asyncio.create_task(client.post(url, data=b"ReceiveMessage"))
        await asked.wait()
        poll.cancel()
        await asyncio.wait_for(gone.wait(), 30)


async def test_an_emulator_that_is_away_is_unavailable():
    """503: SDKs try again, as they do with AWS."""
    with listen(0, "this test") as held:
        port = held.getsockname()[1]
    async with limiting_proxy(f"http://{LOOPBACK}:{port}", Quotas()) as url, Client() as client:
        answer = await client.get(f"{url}/photos/a")
        assert answer.status == 503
        assert "does not respond" in await answer.text()


async def test_limits_are_kept_and_told():
    """The proxy is the same limiter."""
    async with proxied(Echo(), Quotas(s3=S3Quotas(prefix_writes=0.001))) as (client, url):
        statuses = [(await client.put(f"{url}/photos/a/b", data=b"x" * MIB)).status for _ in range(3)]
        assert statuses == [200, 503, 503]
        throttled = {
            use.subject: use.throttled for use in (await read_data_use(url)).uses if use.limit == "s3.prefix_writes"
        }
        assert throttled == {"photos/a/": 2}


async def test_nobody_tells_no_uses():
    """A scrape does not fail because an emulator is away."""
    with listen(0, "this test") as held:
        port = held.getsockname()[1]
    assert await read_data_use(f"http://{LOOPBACK}:{port}") == DataUse()
