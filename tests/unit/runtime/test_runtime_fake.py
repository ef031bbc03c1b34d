"""The fake Runtime API keeps AWS's rules; AWS's own client is run against it in tests/contract/runtime."""

import asyncio

import pytest

from workers.runtime.client import RuntimeClient
from workers.runtime.errors import Failure, UnexpectedStatus
from workers.runtime.protocol import Endpoint, Messages
from workers.runtime.testing import MAX_PAYLOAD_BYTES, FakeRuntimeApi
from workers.runtime.transport import Connection


class Runtime:
    """A runtime that does what the test says, right or wrong."""

    def __init__(self, api: FakeRuntimeApi) -> None:
        self.endpoint = Endpoint.parse(api.address)
        self.connection = Connection(self.endpoint.host, self.endpoint.port)

    async def send(self, method: str, path: str, body: bytes = b"") -> int:
        """Send an arbitrary request; return the status."""
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        return (await self.connection.request(head.encode() + body)).status

    async def next(self) -> str:
        """Return the request id of the next invocation."""
        response = await self.connection.request(Messages(self.endpoint).next)
        return response.headers["lambda-runtime-aws-request-id"]


BASE = "/2018-06-01/runtime"


async def test_a_response_is_taken_once(api: FakeRuntimeApi) -> None:
    """The second response, and one for an unknown id, are refused with 400."""
    runtime, pending = Runtime(api), api.invoke()
    path = f"{BASE}/invocation/{await runtime.next()}/response"
    assert await runtime.send("POST", path, b"1") == 202
    assert await runtime.send("POST", path, b"2") == 400
    assert await runtime.send("POST", f"{BASE}/invocation/unknown/error") == 400
    assert (await pending).json() == 1


async def test_sizes_and_times(api: FakeRuntimeApi) -> None:
    """413 above Lambda's limit, 410 after the time-out."""
    runtime, large, late = Runtime(api), api.invoke(), api.invoke()
    path = f"{BASE}/invocation/{await runtime.next()}/response"
    assert await runtime.send("POST", path, bytes(MAX_PAYLOAD_BYTES + 1)) == 413
    assert (await large).kind == "error"
    late.timed_out = True
    assert await runtime.send("POST", f"{BASE}/invocation/{await runtime.next()}/response") == 410


async def test_init_error_only_before_the_first_next(api: FakeRuntimeApi) -> None:
    """Once ready, a function cannot fail to start."""
    runtime = Runtime(api)
    assert await runtime.send("POST", f"{BASE}/init/error", b"{}") == 202
    assert await runtime.send("POST", f"{BASE}/init/error", b"{}") == 403
    assert (await api.init_error).body == b"{}"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("POST", f"{BASE}/invocation/next"), ("GET", f"{BASE}/init/error"), ("GET", f"/x{BASE}/next")],
)
async def test_other_paths_do_not_exist(api: FakeRuntimeApi, method: str, path: str) -> None:
    """A wrong path or method is no invocation."""
    assert await Runtime(api).send(method, path) in (400, 404)
    assert not api.ready.is_set()


async def test_an_invocation_survives_the_runtime_that_left(api: FakeRuntimeApi) -> None:
    """The oldest runtime gets the next invocation, unless it went away."""
    first, second = Runtime(api), Runtime(api)
    asking = asyncio.create_task(first.next())
    await api.wait_idle(1)
    others = asyncio.create_task(second.next())
    await api.wait_idle(2)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    pending = api.invoke()
    assert await others == pending.request_id


async def test_a_refusal_is_an_error_of_next(api: FakeRuntimeApi) -> None:
    """The client names status and text of a refused `next`."""
    api.refusals.append(503)
    client = RuntimeClient(Endpoint.parse(api.address))
    with pytest.raises(UnexpectedStatus, match="next returned 503") as caught:
        await client.next()
    assert caught.value.status == 503
    await client.fail_init(Failure("Runtime.X", "x"))
    client.close()
    assert (await api.init_error).json()["errorType"] == "Runtime.X"
