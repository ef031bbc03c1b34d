"""InvokeWithResponseStream on a real fleet, read by AWS's own clients ("Response streaming for Lambda functions")."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import boto3
import pytest
from aiobotocore.session import get_session
from botocore.config import Config
from botocore.exceptions import ClientError
from fleet_bench import FleetOf, Running, function, stack_of

from fleet.settings import SHOEBOX_RUNTIME

pytestmark = pytest.mark.parametrize("runtime", [SHOEBOX_RUNTIME], ids=["shoebox"])

ACCESS = {"region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
ONCE = Config(retries={"total_max_attempts": 1})


def streaming(name: str, **changes: Any) -> dict[str, Any]:
    """Describe a function of streaming_handlers.py."""
    return function(f"streaming_handlers.{name}", **changes)


async def events_of(running: Running, name: str, event: Any) -> AsyncIterator[dict[str, Any]]:
    """Yield the events of one invocation, by aiobotocore, as they come."""
    async with get_session().create_client(
        "lambda", endpoint_url=running.fleet.runtime_url, config=ONCE, **ACCESS
    ) as client:
        answer = await client.invoke_with_response_stream(FunctionName=f"tests-{name}", Payload=json.dumps(event))
        assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
        async for message in answer["EventStream"]:
            yield message


async def test_boto3_reads_the_stream(fleet_of: FleetOf):
    """Chunks, which need not be the function's parts, and the end, with the log; botocore checks every checksum."""
    async with fleet_of(stack_of({"parts-fn": streaming("parts")})) as running:
        client = boto3.client("lambda", endpoint_url=running.fleet.runtime_url, config=ONCE, **ACCESS)

        def invoke(**arguments: str) -> list[dict[str, Any]]:
            answer = client.invoke_with_response_stream(
                FunctionName="tests-parts-fn", Payload=b'{"parts": 3, "bytes": 5}', **arguments
            )
            assert answer["ResponseStreamContentType"] == "application/vnd.amazon.eventstream"
            return list(answer["EventStream"])

        *chunks, last = await asyncio.to_thread(invoke)
        logged = (await asyncio.to_thread(invoke, LogType="Tail"))[-1]["InvokeComplete"]["LogResult"]
    assert b"".join(chunk["PayloadChunk"]["Payload"] for chunk in chunks) == b"".join(bytes([n]) * 5 for n in range(3))
    assert last == {"InvokeComplete": {}}
    start, end, report = base64.b64decode(logged).decode().splitlines()
    assert (start.split()[0], end.split()[0], report.split()[0]) == ("START", "END", "REPORT")


async def test_parts_arrive_while_the_function_runs(fleet_of: FleetOf):
    """The first part is here before the function can go on."""
    async with fleet_of(stack_of({"halting-fn": streaming("halting", slots=2)})) as running:
        events = events_of(running, "halting-fn", "wait")
        assert (await anext(events))["PayloadChunk"]["Payload"] == b"first"
        await running.fleet.invoke("halting-fn", b'"open"')
        assert [event async for event in events] == [{"PayloadChunk": {"Payload": b"second"}}, {"InvokeComplete": {}}]


async def test_many_megabytes(fleet_of: FleetOf):
    """24 MB, four times what Invoke returns."""
    async with fleet_of(stack_of({"parts-fn": streaming("parts")})) as running:
        received = [event async for event in events_of(running, "parts-fn", {"parts": 96, "bytes": 256 * 1024})]
    sizes = [len(event["PayloadChunk"]["Payload"]) for event in received[:-1]]
    assert sum(sizes) == 24 * 1024 * 1024
    assert received[-1] == {"InvokeComplete": {}}


@pytest.mark.parametrize(("how", "chunks"), [("half", [b"half"]), ("at once", [])], ids=["half-way", "at once"])
async def test_a_function_that_fails(fleet_of: FleetOf, how: str, chunks: list[bytes]):
    """200 all the same: the error is in the last event."""
    async with fleet_of(stack_of({"breaks-fn": streaming("breaks")})) as running:
        *parts, last = [event async for event in events_of(running, "breaks-fn", how)]
    assert [part["PayloadChunk"]["Payload"] for part in parts] == chunks
    assert last["InvokeComplete"]["ErrorCode"] == "Function.ValueError"
    details = json.loads(last["InvokeComplete"]["ErrorDetails"])
    assert (details["errorType"], details["errorMessage"]) == ("ValueError", "lost")


async def test_a_function_that_outlasts_its_time(fleet_of: FleetOf):
    """Our runtime cancels it before Lambda would, and says so."""
    async with fleet_of(stack_of({"endless-fn": streaming("endless", timeout=3)})) as running:
        first, last = [event async for event in events_of(running, "endless-fn", None)]
    assert first["PayloadChunk"]["Payload"] == b"begun"
    assert last["InvokeComplete"]["ErrorCode"] == "Runtime.DeadlineExceeded"


async def test_a_function_that_does_not_stream(fleet_of: FleetOf):
    """Its whole answer is one chunk; DryRun runs nothing; unknown functions are refused as by Invoke."""
    async with fleet_of(stack_of({"echo-fn": function("echo")})) as running:
        *parts, last = [event async for event in events_of(running, "echo-fn", {"a": 1})]
        assert [json.loads(part["PayloadChunk"]["Payload"])["event"] for part in parts] == [{"a": 1}]
        assert last == {"InvokeComplete": {}}
        started = running.fleet.statistics().pools[0].started
        client = boto3.client("lambda", endpoint_url=running.fleet.runtime_url, config=ONCE, **ACCESS)
        answer = await asyncio.to_thread(
            lambda: client.invoke_with_response_stream(FunctionName="tests-echo-fn", InvocationType="DryRun")
        )
        assert answer["StatusCode"] == 204
        assert running.fleet.statistics().pools[0].started == started
        with pytest.raises(ClientError) as refused:
            await anext(events_of(running, "no-fn", {}))
    assert refused.value.response["Error"]["Code"] == "ResourceNotFoundException"


async def test_invoke_collects_a_stream(fleet_of: FleetOf):
    """Up to 6 MB; the prelude of an HTTP response is part of the payload; a failure half-way is the function's."""
    stack = stack_of({"page-fn": streaming("page"), "parts-fn": streaming("parts"), "breaks-fn": streaming("breaks")})
    async with fleet_of(stack) as running:
        page = await running.fleet.invoke("page-fn", b"{}")
        large = await running.fleet.invoke("parts-fn", b'{"parts": 7, "bytes": 1048576}')
        broken = await running.fleet.invoke("breaks-fn", b'"half"')
    prelude, _, body = page.payload.partition(bytes(8))
    assert (json.loads(prelude)["statusCode"], body) == (201, b"<p>hi")
    assert json.loads(large.payload)["errorType"] == "Function.ResponseSizeTooLarge"
    assert (broken.function_error, json.loads(broken.payload)["errorMessage"]) == ("Unhandled", "lost")


async def test_a_caller_that_leaves_stops_nothing(fleet_of: FleetOf, http: aiohttp.ClientSession):
    """The function runs to its end, and its slot serves the next invocation."""
    async with fleet_of(stack_of({"parts-fn": streaming("parts")})) as running:
        url = f"{running.fleet.runtime_url}/2021-11-15/functions/tests-parts-fn/response-streaming-invocations"
        async with http.post(url, json={"parts": 200, "bytes": 262144}) as answer:
            await answer.content.readany()
            answer.close()
        again = await running.fleet.invoke("parts-fn", b'{"parts": 1, "bytes": 2}')
        assert again.payload == b"\0\0"
        assert running.fleet.statistics().pools[0].started <= 2
