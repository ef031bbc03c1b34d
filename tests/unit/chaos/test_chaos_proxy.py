"""The chaos suite's proxy: what it loses was carried out, what it passes is as it came."""

from collections.abc import AsyncIterator
from random import Random

import aiohttp
import pytest

from tests.chaos.proxy import Fault, Proxy, Request
from tests.scripted_server import ScriptedServer, json_response, scripted_server

BY_ROLE = {"authorization": "AWS4-HMAC-SHA256 Credential=ASIA1/20260101/us-east-1/dynamodb/aws4_request"}
UPDATE = BY_ROLE | {"x-amz-target": "DynamoDB_20120810.UpdateItem"}


def is_update(request: Request) -> bool:
    """Whether it is an UpdateItem."""
    return request.action == "UpdateItem"


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """Something that answers every request with its number."""
    async with scripted_server(lambda number, _: json_response({"number": number})) as server:
        yield server


@pytest.fixture
async def proxy(server: ScriptedServer) -> AsyncIterator[Proxy]:
    """Start a proxy before it."""
    async with Proxy(int(server.url.rpartition(":")[2]), Random(1)).running() as proxy:
        yield proxy


async def post(proxy: Proxy, headers: dict[str, str]) -> bytes:
    """POST through the proxy; the answer's body."""
    async with aiohttp.ClientSession() as session, session.post(proxy.url, data=b"body", headers=headers) as response:
        return await response.read()


async def test_requests_pass_unchanged(proxy: Proxy, server: ScriptedServer) -> None:
    """Without a fault the proxy is not noticed."""
    assert await post(proxy, UPDATE) == b'{"number":1}'
    assert server.requests[0].body == b"body"
    assert server.requests[0].headers.items() >= UPDATE.items()


async def test_a_lost_answer_was_carried_out(proxy: Proxy, server: ScriptedServer) -> None:
    """The request reaches the server, and the client gets a reset instead of the answer."""
    fault = Fault("lose", is_update)
    async with proxy.injecting(fault):
        with pytest.raises(aiohttp.ClientError):
            await post(proxy, UPDATE)

    assert len(server.requests) == fault.count == 1


async def test_a_copy_is_carried_out_again(proxy: Proxy, server: ScriptedServer) -> None:
    """The client gets the first answer; the server sees the request twice."""
    async with proxy.injecting(Fault("copy", is_update)):
        assert await post(proxy, UPDATE) == b'{"number":1}'
        while sum("x-amz-target" in request.headers for request in server.requests) < 2:
            await post(proxy, BY_ROLE)  # until it has come; a copy that never comes ends in the test's timeout


@pytest.mark.parametrize("headers", [BY_ROLE, {"x-amz-target": UPDATE["x-amz-target"]}])
async def test_other_requests_are_left_alone(proxy: Proxy, headers: dict[str, str]) -> None:
    """Neither other operations nor what no function has signed meet the fault."""
    fault = Fault("lose", is_update)
    async with proxy.injecting(fault):
        await post(proxy, headers)

    assert fault.count == 0


async def test_an_outage_answers_nobody(proxy: Proxy, server: ScriptedServer) -> None:
    """While it is away every connection ends."""
    proxy.away = True
    with pytest.raises(aiohttp.ClientError):
        await post(proxy, UPDATE)

    assert not server.requests
