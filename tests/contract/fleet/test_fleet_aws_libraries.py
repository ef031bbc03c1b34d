"""Libraries that were written for AWS's own runtime, unchanged: the same tests pass under it and under ours.

docs/reference/runtime.md, "Handlers written for AWS's runtime", has the table.
"""

import asyncio
import json
import socket
import time
from typing import Any

import aiohttp
import pytest
from fleet_bench import FleetOf, Running, function, stack_of, until

from emulator.embedded import ROOT_CREDENTIALS, Emulator
from fleet.credentials import RoleCredentials
from shoebox.aws.clients import Clients
from shoebox.stack.deployment import ResolvedStack

PICTURE = bytes(range(256))
IMAGE = {"Content-Type": "image/png", "Accept": "image/png"}


async def as_root(function: str) -> RoleCredentials:
    """Credentials that may do anything."""
    return RoleCredentials(ROOT_CREDENTIALS, time.time() + 3600)


def web(kind: str, handler: str) -> ResolvedStack:
    """Return an API of one flavour with one function behind it."""
    gateway: dict[str, Any] = {
        "kind": kind,
        "authorizer": {"function": "web-fn", "identity": "Authorization"},
        "routes": [{"path": "/{proxy+}", "function": "web-fn", "authorize": False}],
    }
    if kind == "rest":
        gateway["binary_media_types"] = ["image/*"]
    return stack_of({"web-fn": function(handler)}, gateway=gateway)


async def result(running: Running, name: str, event: Any) -> Any:
    """Return a function's response."""
    return json.loads((await running.fleet.invoke(name, json.dumps(event).encode())).payload)


def sqs(*bodies: str) -> dict[str, Any]:
    """Return an event with a message for each body; the ids are the bodies."""
    return {"Records": [{"messageId": body, "body": body, "eventSource": "aws:sqs"} for body in bodies]}


@pytest.mark.parametrize("kind", ["rest", "http"])
async def test_mangum(fleet_of: FleetOf, http: aiohttp.ClientSession, kind: str):
    """FastAPI behind both flavours of API: lifespan, query, cookies both ways, bodies that are no text."""
    async with fleet_of(web(kind, "mangum_handlers.handler")) as running:
        url = running.fleet.gateway_url
        for _ in range(2):
            headers = {"Cookie": "c=3; d=4"}
            async with http.get(f"{url}/photos/a%20b/c?tag=x%26y", headers=headers) as answer:
                shown = await answer.json()
                assert answer.headers.getall("set-cookie") == ["a=1; Path=/; SameSite=lax", "b=2; Path=/; SameSite=lax"]
        async with http.put(f"{url}/pictures", data=PICTURE, headers=IMAGE) as answer:
            assert (await answer.read(), answer.content_type) == (PICTURE[::-1], "image/png")
        await until(lambda: running.printed("web-fn").count("application ends") == 3)
    assert shown == {
        "name": "a b/c",
        "tag": "x&y",
        "cookies": {"c": "3", "d": "4"},
        "state": "yes",
        "function": "tests-web-fn",
        "main": True,
    }


@pytest.mark.parametrize("kind", ["rest", "http"])
async def test_powertools_event_handler(fleet_of: FleetOf, http: aiohttp.ClientSession, kind: str):
    """Routes of Powertools' own, one of them asynchronous, and its 404."""
    async with fleet_of(web(kind, f"powertools_handlers.api_{kind}")) as running:
        url = running.fleet.gateway_url
        async with http.get(f"{url}/photos/cat") as answer:
            assert (answer.status, await answer.json()) == (200, {"name": "cat"})
        if kind == "http":
            async with http.get(f"{url}/waits") as answer:
                assert await answer.json() == {"waited": "yes"}
        async with http.get(f"{url}/nothing") as answer:
            assert (answer.status, await answer.json()) == (404, {"statusCode": 404, "message": "Not found"})


async def test_powertools_batch(fleet_of: FleetOf):
    """What failed is reported and nothing else; synchronous, asynchronous, decorated, and again in the same process."""
    names = ("batch", "batch_async", "batch_decorated")
    functions = {f"{name.replace('_', '-')}-fn": function(f"powertools_handlers.{name}") for name in names}
    async with fleet_of(stack_of(functions)) as running:
        for name in functions:
            for _ in range(2):
                answer = await result(running, name, sqs("a", "bad", "b"))
                assert answer == {"batchItemFailures": [{"itemIdentifier": "bad"}]}, name
            assert (await result(running, name, sqs("bad")))["errorType"] == "BatchProcessingError"
        assert [pool.started for pool in running.fleet.statistics().pools] == [1, 1, 1]


async def test_powertools_idempotency(fleet_of: FleetOf, emulator: Emulator, root_clients: Clients):
    """On a table of the emulator: one run an order, none while one runs, another after a failure."""
    table = f"idempotency-{time.time_ns()}"
    dynamodb = await root_clients.open("dynamodb")
    await dynamodb.create_table(
        TableName=table,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    variables = {"IDEMPOTENCY_TABLE": table}
    stack = stack_of({"order-fn": function("powertools_handlers.order")}, emulator.url)
    async with fleet_of(stack, as_root, variables) as running:
        assert await result(running, "order-fn", {"order": 1}) == {"runs": 1}
        assert await result(running, "order-fn", {"order": 1}) == {"runs": 1}
        assert await result(running, "order-fn", {"order": 2, "again": True}) == {"runs": 2, "again": "in progress"}
        failed = await result(running, "order-fn", {"order": 3, "fails": True})
        assert failed["errorType"] == "ValueError"
        assert await result(running, "order-fn", {"order": 3}) == {"runs": 4}
    items = (await dynamodb.scan(TableName=table))["Items"]
    assert [item["status"]["S"] for item in items] == ["COMPLETED"] * 3


async def test_powertools_tracer_logger_and_metrics(fleet_of: FleetOf):
    """Subsegments of the invocation's trace reach X-Ray's daemon; log lines and metrics are printed as JSON."""
    daemon = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    daemon.bind(("127.0.0.1", 0))
    daemon.setblocking(False)
    variables = {"AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{daemon.getsockname()[1]}"}
    trace = "Root=1-5e1b4151-5ac6c58f3f1e5d5b6a7c8d9e;Parent=53995c3f42cd8ad8;Sampled=1"
    event = {"id": "correlation-1", "photo": "cat"}
    async with fleet_of(stack_of({"seen-fn": function("powertools_handlers.observed")}), environment=variables) as run:
        answer = await run.fleet.invoke("seen-fn", json.dumps(event).encode(), trace_id=trace)
        assert json.loads(answer.payload) == {"photo": "cat"}
        failed = await result(run, "seen-fn", {**event, "fails": True})
        async with asyncio.timeout(60):
            received = [await asyncio.get_running_loop().sock_recv(daemon, 65536) for _ in range(2)]
        await until(lambda: any("rendered" in line for line in run.printed("seen-fn")))
        lines = [json.loads(line) for line in run.printed("seen-fn") if line.startswith("{")]
    daemon.close()
    assert failed["errorMessage"] == "as asked"
    rendered, handled = (json.loads(packet.split(b"\n")[1]) for packet in received)
    assert {rendered["trace_id"], handled["trace_id"]} == {trace[5:40]}
    assert (handled["name"], handled["parent_id"]) == ("## observed", "53995c3f42cd8ad8")
    assert (rendered["parent_id"], rendered["annotations"]) == (handled["id"], {"name": "cat"})
    said = next(line for line in lines if line.get("message") == "rendering")
    assert (said["function_request_id"], said["correlation_id"]) == (answer.request_id, "correlation-1")
    assert (said["function_name"], said["cold_start"], said["photo"]) == ("tests-seen-fn", True, "cat")
    assert any(line.get("rendered") == [1.0] and "_aws" in line for line in lines)
