"""S3 over plain HTTP: what is retried, what is not, what is never read; against a real server with faults on demand."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from shoebox.aws.connections import Connections, Response
from shoebox.aws.credentials import Credentials, fixed_credentials
from shoebox.aws.errors import AwsRefused, ConnectionLost
from shoebox.aws.retry import RetryPolicy
from shoebox.aws.s3 import S3Client, _refusal

KEYS = fixed_credentials(Credentials("AK", "secret"))
QUICK = RetryPolicy(attempts=4, first_pause=0.001)
STORED = "Mon, 23 Nov 2026 10:00:00 GMT"


class Store:
    """A stand-in for S3 that answers with `faults` first, and remembers what it was asked."""

    def __init__(self) -> None:
        self.faults: list[int | str] = []
        self.requests: list[web.Request] = []
        self.objects: dict[str, bytes] = {"/photos/a/b": b"bytes"}

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request."""
        self.requests.append(request)
        fault = self.faults.pop(0) if self.faults else None
        if fault == "drop":
            assert request.transport is not None
            request.transport.close()
        if isinstance(fault, int):
            return web.Response(status=fault, text=f"<Error><Code>C{fault}</Code></Error>")
        if request.method == "PUT":
            self.objects[request.path] = await request.read()
            return web.Response()
        if request.path not in self.objects:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        return web.Response(body=self.objects[request.path], headers={"last-modified": STORED})


@pytest.fixture
def store() -> Store:
    """Return the server's state."""
    return Store()


@pytest.fixture
async def s3(store: Store) -> AsyncIterator[S3Client]:
    """Open a client of the server."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", store.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    connections = Connections(f"http://127.0.0.1:{port}")
    yield S3Client(connections, KEYS, region="us-east-1", bucket="photos", retry=QUICK)
    connections.close()
    await runner.cleanup()


async def test_what_is_put_can_be_got(s3: S3Client, store: Store) -> None:
    """Bytes, size and time come back; exactly the given headers are sent and signed."""
    await s3.put("x/ü y", b"photo", {"content-type": "image/jpeg"})

    assert store.objects["/photos/x/ü y"] == b"photo"
    assert store.requests[0].headers["content-type"] == "image/jpeg"
    assert store.requests[0].query["X-Amz-SignedHeaders"] == "content-type;host"
    assert await s3.get("a/b", max_bytes=5) == (b"bytes", 5, datetime(2026, 11, 23, 10, tzinfo=UTC), "")


@pytest.mark.parametrize("size", [5, 10_000_000], ids=["small", "large"])
async def test_more_than_allowed_is_not_given(s3: S3Client, store: Store, size: int) -> None:
    """Its size is known from the header alone; of a large one no more than the first bytes are read."""
    store.objects["/photos/a/b"] = bytes(size)
    assert await s3.get("a/b", max_bytes=size - 1) == (None, size, datetime(2026, 11, 23, 10, tzinfo=UTC), "")
    assert (await s3.get("a/b", max_bytes=size))[0] == bytes(size)


@pytest.mark.parametrize("faults", [[503], [500, "drop"], ["drop", 503, 502]])
async def test_passing_faults_are_tried_again(s3: S3Client, store: Store, faults: list[int | str]) -> None:
    """5xx and lost connections: up to three times more."""
    store.faults = faults.copy()

    assert (await s3.get("a/b", max_bytes=5))[0] == b"bytes"
    assert len(store.requests) == len(faults) + 1


@pytest.mark.parametrize(("status", "tries"), [(403, 1), (400, 1), (503, 4)])
async def test_what_does_not_pass_is_raised(s3: S3Client, store: Store, status: int, tries: int) -> None:
    """A refusal at once, a fault that stays after four tries; with S3's code, and without the signed address."""
    store.faults = [status] * 4

    with pytest.raises(AwsRefused) as raised:
        await s3.put("a/b", b"x", {})

    assert (raised.value.code, raised.value.status, len(store.requests)) == (f"C{status}", status, tries)
    assert "X-Amz" not in str(raised.value)


async def test_nobody_there_is_raised() -> None:
    """No server at all: after its attempts, which the message's retry then deals with."""
    s3 = S3Client(Connections("http://127.0.0.1:9"), KEYS, region="us-east-1", bucket="photos", retry=QUICK)
    with pytest.raises(ConnectionLost, match="cannot connect"):
        await s3.get("a/b", max_bytes=5)


@given(st.binary(max_size=200))
def test_any_error_body_gives_a_code(body: bytes) -> None:
    """What is no XML of S3's is an unknown error, not another one."""
    assert isinstance(_refusal("GetObject", Response(503, {}, body)).code, str)
