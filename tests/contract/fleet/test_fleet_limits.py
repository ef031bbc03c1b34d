"""Limits on a fleet with real environments, as any AWS SDK and `shoebox quotas` see them."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from fleet_bench import FleetOf, Running, function, stack_of, until

from emulator.embedded import ROOT_CREDENTIALS, Emulator
from fleet.credentials import RoleCredentials
from fleet.limits.quotas import LambdaQuotas, Quotas
from shoebox.aws.clients import Clients


def client(running: Running) -> Any:
    """boto3's client for the fleet's control port, which tries nothing twice."""
    return boto3.client(
        "lambda",
        endpoint_url=running.fleet.runtime_url,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )


def reason_of(api: Any, name: str) -> str | None:
    """Why boto3's Invoke is refused; None when it is not."""
    try:
        api.invoke(FunctionName=name, Payload=b"{}")
    except ClientError as error:
        return str(error.response["Reason"])
    return None


def quotas(**changes: float) -> Quotas:
    """AWS's, with these changes for functions."""
    return Quotas(functions=LambdaQuotas(unreserved_least=1, **changes))


@pytest.mark.parametrize(
    ("changes", "reserved", "reason"),
    [
        ({"concurrency": 1}, None, "ConcurrentInvocationLimitExceeded"),
        ({"concurrency": 10}, 1, "ReservedFunctionConcurrentInvocationLimitExceeded"),
        ({"concurrency": 10, "scaling_environments": 1}, None, "FunctionInvocationRateLimitExceeded"),
    ],
)
async def test_what_runs_already_holds_others_off(
    fleet_of: FleetOf, tmp_path: Path, changes: dict[str, float], reserved: int | None, reason: str
):
    """While one invocation runs the next is refused with AWS's reason; afterwards it is not."""
    stack = stack_of({"meet-fn": function("meet", timeout=900, reserved_concurrency=reserved)})
    folder = tmp_path / "begun"
    folder.mkdir()
    async with fleet_of(stack, quotas=quotas(**changes)) as running:
        api = client(running)
        event = json.dumps({"folder": str(folder), "begun": 2}).encode()
        running_now = asyncio.create_task(running.fleet.invoke("meet-fn", event))
        await until(lambda: running.fleet.statistics().pools[0].running)
        assert await asyncio.to_thread(reason_of, api, "tests-meet-fn") == reason
        (folder / "enough").touch()
        assert (await running_now).payload == b'"met"'
        assert await asyncio.to_thread(reason_of, api, "tests-meet-fn") is None


async def test_ten_requests_a_second_for_each_unit_of_concurrency(fleet_of: FleetOf, monkeypatch: pytest.MonkeyPatch):
    """A function that is done at once is held by the rate, not by its concurrency."""
    second = time.monotonic()
    stack = stack_of({"echo-fn": function("echo", reserved_concurrency=1)})
    async with fleet_of(stack, quotas=quotas(concurrency=10)) as running:
        monkeypatch.setattr(running.fleet.pools["echo-fn"], "_clock", lambda: second)  # however long it takes
        api = client(running)
        reasons = await asyncio.to_thread(lambda: [reason_of(api, "tests-echo-fn") for _ in range(12)])
    assert reasons == [None] * 10 + ["ReservedFunctionInvocationRateLimitExceeded"] * 2


async def test_quotas_and_metrics_tell_the_same(fleet_of: FleetOf, http: aiohttp.ClientSession):
    """Each limit with use, peak and refusals, at the control port."""
    stack = stack_of({"off-fn": function("echo", reserved_concurrency=0), "echo-fn": function("echo")})
    async with fleet_of(stack, quotas=quotas(concurrency=10)) as running:
        await running.fleet.invoke("echo-fn", b"{}")
        await asyncio.to_thread(reason_of, client(running), "tests-off-fn")
        async with http.get(f"{running.fleet.runtime_url}/quotas") as answer:
            limits = {(use["limit"], use["subject"]): use for use in (await answer.json())["limits"]}
        async with http.get(f"{running.fleet.runtime_url}/metrics") as answer:
            metrics = await answer.text()
    assert limits["lambda.concurrency", "account"]["peak"] == 1
    assert limits["lambda.concurrency", "account"]["most"] == 10
    assert limits["lambda.reserved_concurrency", "off-fn"]["throttled"] == 1
    assert 'fleet_limit_most{limit="lambda.concurrency",subject="account"} 10.0' in metrics
    assert 'fleet_limit_throttled{limit="lambda.reserved_concurrency",subject="off-fn"} 1.0' in metrics
    reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert f'fleet_throttles_total{{function="off-fn",reason="{reason}"}} 1.0' in metrics


async def test_an_event_that_is_given_up_ends_in_its_destination(
    fleet_of: FleetOf, emulator: Emulator, root_clients: Clients
):
    """A failing function, no retries: AWS's invocation record lies in the queue, sent with the function's role."""
    sqs = await root_clients.open("sqs")
    url = (await sqs.create_queue(QueueName="tests-dead"))["QueueUrl"]
    stack = stack_of(
        {"fail-fn": function("fail", asynchronous={"retries": 0, "on_failure": "dead"})},
        emulator.url,
        queues={"dead": {}},
    )

    async def as_root(name: str) -> RoleCredentials:
        return RoleCredentials(ROOT_CREDENTIALS, 2**40)

    async with fleet_of(stack, credentials=as_root) as running:
        await asyncio.to_thread(
            lambda: client(running).invoke(FunctionName="tests-fail-fn", InvocationType="Event", Payload=b'{"n": 1}')
        )
        received = await sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)
    record = json.loads(received["Messages"][0]["Body"])
    assert record["requestPayload"] == {"n": 1}
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["functionArn"].endswith(":tests-fail-fn:$LATEST")
    assert record["responseContext"]["functionError"] == "Unhandled"
