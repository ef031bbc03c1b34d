import asyncio
import base64
import json
import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import psutil
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from fleet_bench import FleetOf, Running, function, stack_of, until

from fleet.credentials import RoleCredentials
from fleet.settings import AWSLAMBDARIC, RuntimeCommand
from shoebox.aws.credentials import Credentials


def client(running: Running):
    """boto3's own Lambda client, pointed at the fleet."""
    config = Config(retries={"total_max_attempts": 1})
    return boto3.client(
        "lambda",
        "us-east-1",
        endpoint_url=running.fleet.runtime_url,
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=config,
    )


async def called(running: Running, **arguments: Any) -> tuple[Any, Any]:
    """`Invoke` by boto3, off the loop; the payload is read."""
    api = client(running)
    answer = await asyncio.to_thread(lambda: api.invoke(**arguments))
    return answer, json.loads(await asyncio.to_thread(answer["Payload"].read) or b"null")


def tail(answer: Any) -> str:
    """Return the log in a response of boto3's."""
    return base64.b64decode(answer["LogResult"]).decode()


async def test_boto3_invokes_a_function(fleet_of: FleetOf):
    """Payload in and out, version, request id, client context."""
    async with fleet_of(stack_of({"echo-fn": function("echo")})) as running:
        answer, payload = await called(
            running,
            FunctionName="tests-echo-fn",
            Payload=b'{"a": [1, "\xc3\xbc"]}',
            ClientContext="eyJjdXN0b20iOiB7IngiOiAiMSJ9fQ==",
        )
    assert (answer["StatusCode"], answer["ExecutedVersion"], answer.get("FunctionError")) == (200, "$LATEST", None)
    assert payload["event"] == {"a": [1, "ü"]}
    assert payload["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert payload["arn"] == "arn:aws:lambda:us-east-1:000000000000:function:tests-echo-fn"
    assert payload["client"] == {"x": "1"}
    assert int(payload["memory"]) == 128
    assert 5_000 < payload["remaining"] <= 10_000


async def test_an_error_of_the_function_is_in_the_answer(fleet_of: FleetOf):
    """200, FunctionError Unhandled, and Lambda's shape of the error."""
    async with fleet_of(stack_of({"fail-fn": function("fail")})) as running:
        answer, payload = await called(running, FunctionName="tests-fail-fn", Payload=b"{}")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert (payload["errorType"], payload["errorMessage"]) == ("ValueError", "as asked")


async def test_event_is_accepted_and_runs_later(fleet_of: FleetOf):
    """202 at once; the function prints in the background."""
    async with fleet_of(stack_of({"say-fn": function("say")})) as running:
        answer, _ = await called(running, FunctionName="tests-say-fn", InvocationType="Event", Payload=b'"hello"')
        assert answer["StatusCode"] == 202
        await until(lambda: "said hello" in running.printed("say-fn"))


async def test_log_tail(fleet_of: FleetOf):
    """Invoke's LogType: this invocation's lines between START and END, a REPORT, and at most 4 KB of them."""
    functions = {"say-fn": function("say"), "nap-fn": function("nap", timeout=1), "die-fn": function("die")}
    async with fleet_of(stack_of(functions)) as running:
        name = "tests-say-fn"
        first, _ = await called(running, FunctionName=name, Payload=b'"one"', LogType="Tail")
        second, _ = await called(running, FunctionName=name, Payload=b'"two"', LogType="Tail")
        long = json.dumps("x" * 5000).encode()
        third, _ = await called(running, FunctionName=name, Payload=long, LogType="Tail")
        without, _ = await called(running, FunctionName=name, Payload=b'"four"')
        event, _ = await called(running, FunctionName=name, Payload=b'"5"', InvocationType="Event", LogType="Tail")
        late, _ = await called(running, FunctionName="tests-nap-fn", Payload=b'{"seconds": 600}', LogType="Tail")
        dead, _ = await called(running, FunctionName="tests-die-fn", Payload=b"{}", LogType="Tail")
        with pytest.raises(ClientError, match="Unknown log type"):
            await called(running, FunctionName=name, Payload=b"{}", LogType="Head")
    report = r"Duration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB(\tMax Memory Used: \d+ MB)?"
    init = r"\tInit Duration: \d+\.\d\d ms"
    for answer, said, end in (
        (first, "said one\n", init),
        (second, "said two\n", ""),
        (late, r"\S+Z {id} Task timed out after 1\.\d\d seconds\n\n", init + r"\tStatus: timeout"),
        (
            dead,
            "RequestId: {id} Error: Runtime exited with error: signal: killed\nRuntime.ExitError\n",
            init + r"\tStatus: error\tError Type: Runtime.ExitError",
        ),
    ):
        lines = f"START RequestId: {{id}} Version: [$]LATEST\n{said}END RequestId: {{id}}\nREPORT RequestId: {{id}}\t"
        expected = lines.replace("{id}", answer["ResponseMetadata"]["RequestId"]) + report + end + "\t\n"
        assert re.fullmatch(expected, tail(answer)), tail(answer)
    assert len(tail(third)) == 4096
    assert tail(third).startswith("xxx")
    assert re.search("x\nEND RequestId: .*\nREPORT RequestId: .*\t\n$", tail(third))
    assert "LogResult" not in without | event


async def test_log_tail_where_several_run(fleet_of: FleetOf):
    """Of an environment with several slots only the lines that name the invocation are surely its own."""
    async with fleet_of(stack_of({"note-fn": function("warn", slots=3)})) as running:
        answers = [
            called(running, FunctionName="tests-note-fn", Payload=json.dumps(n).encode(), LogType="Tail")
            for n in range(3)
        ]
        tails = [tail(answer) for answer, _ in await asyncio.gather(*answers)]
    for number, text in enumerate(tails):
        assert re.findall(r"warned \d", text) == [f"warned {number}"]
        assert "whose line" not in text
        assert "Init Duration" not in text


async def test_dry_run_runs_nothing(fleet_of: FleetOf):
    """204, and no environment is started."""
    async with fleet_of(stack_of({"echo-fn": function("echo")})) as running:
        answer, _ = await called(running, FunctionName="tests-echo-fn", InvocationType="DryRun")
        assert answer["StatusCode"] == 204
        assert running.fleet.statistics().pools[0].started == 0


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        ({"FunctionName": "tests-nobody"}, "ResourceNotFoundException", 404),
        ({"FunctionName": "tests-echo-fn", "Payload": b"{"}, "InvalidRequestContentException", 400),
        (
            {"FunctionName": "tests-echo-fn", "Payload": b'"' + b"x" * 6 * 1024 * 1024 + b'"'},
            "RequestTooLargeException",
            413,
        ),
        ({"FunctionName": "tests-off-fn", "Payload": b"{}"}, "TooManyRequestsException", 429),
    ],
)
async def test_refusals_are_the_exceptions_that_boto3_knows(
    fleet_of: FleetOf, arguments: dict[str, Any], code: str, status: int
):
    """Status, code and, when throttled, the reason."""
    functions = {"echo-fn": function("echo"), "off-fn": function("echo", reserved_concurrency=0)}
    async with fleet_of(stack_of(functions)) as running:
        api = client(running)
        with pytest.raises(ClientError) as refused:
            await asyncio.to_thread(lambda: api.invoke(**arguments))
    response = refused.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    if status == 429:
        assert response["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"


async def test_an_environment_sees_lambdas_variables_and_not_the_fleets(
    fleet_of: FleetOf, monkeypatch: pytest.MonkeyPatch
):
    """Reserved names, its role's credentials, its own settings, and none of our secrets."""
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    stack = stack_of({"env-fn": function("environment", environment={"OWN": "1"})})
    async with fleet_of(stack) as running:
        seen = json.loads((await running.fleet.invoke("env-fn", b"{}")).payload)
    assert seen["OWN"] == "1"
    assert seen["AWS_ACCESS_KEY_ID"] == "AKenv-fn"
    assert seen["AWS_LAMBDA_FUNCTION_NAME"] == "tests-env-fn"
    assert seen["TZ"] == ":UTC"
    assert "GITHUB_TOKEN" not in seen


async def test_an_init_error_reaches_the_caller(fleet_of: FleetOf):
    """What the module raised, and the next call tries again."""
    async with fleet_of(stack_of({"broken-fn": function("broken.handler")})) as running:
        for started in (1, 2):
            result = await running.fleet.invoke("broken-fn", b"{}")
            assert json.loads(result.payload)["errorMessage"] == "no settings"
            assert running.fleet.statistics().pools[0].started == started


@pytest.mark.parametrize("handler", ["nap", "sleep_on"])
async def test_time_is_up(fleet_of: FleetOf, runtime: RuntimeCommand, handler: str):
    """The caller hears of it in Lambda's words, the process is gone, and the next invocation gets a new one."""
    if handler == "sleep_on" and runtime is AWSLAMBDARIC:
        handler = "nap"  # AWS's client runs no coroutines
    async with fleet_of(stack_of({"sleep-fn": function(handler, timeout=2)})) as running:
        first = json.loads((await running.fleet.invoke("sleep-fn", b'{"seconds": 0}')).payload)
        result = await asyncio.wait_for(running.fleet.invoke("sleep-fn", b'{"seconds": 600}'), 60)
        assert result.function_error == "Unhandled"
        assert json.loads(result.payload) == {
            "errorType": "Sandbox.Timedout",
            "errorMessage": f"RequestId: {result.request_id} Error: Task timed out after 2.00 seconds",
        }
        again = json.loads((await running.fleet.invoke("sleep-fn", b'{"seconds": 0}')).payload)
        assert again != first
        await until(lambda: not psutil.pid_exists(first))
        assert running.fleet.statistics().pools[0].started == 2


async def test_a_crash_is_told_and_healed(fleet_of: FleetOf):
    """Runtime.ExitError for what ran; the next invocation runs in a new process."""
    async with fleet_of(stack_of({"die-fn": function("die"), "echo-fn": function("echo")})) as running:
        result = await running.fleet.invoke("die-fn", b"{}")
        assert json.loads(result.payload)["errorType"] == "Runtime.ExitError"
        first = json.loads((await running.fleet.invoke("echo-fn", b"{}")).payload)["pid"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: not running.fleet.pools["echo-fn"].statistics().environments["ready"])
        second = json.loads((await running.fleet.invoke("echo-fn", b"{}")).payload)["pid"]
        assert second != first


async def test_an_answer_above_the_limit_is_an_error(fleet_of: FleetOf):
    """6 MB and 100 bytes are the most."""
    async with fleet_of(stack_of({"large-fn": function("large")})) as running:
        result = await running.fleet.invoke("large-fn", b"{}")
        assert json.loads(result.payload)["errorType"] == "Function.ResponseSizeTooLarge"


async def test_slots_run_at_once_in_one_environment(fleet_of: FleetOf, tmp_path: Path):
    """Four invocations that wait for each other all end, in one start."""
    folder = tmp_path / "begun"
    folder.mkdir()
    async with fleet_of(stack_of({"meet-fn": function("meet", slots=4, timeout=60)})) as running:

        async def meet(begun: int) -> bytes:
            event = {"folder": str(folder), "begun": begun}
            return (await running.fleet.invoke("meet-fn", json.dumps(event).encode())).payload

        assert await meet(1) == b'"met"'
        assert await asyncio.gather(*(meet(1 + 4) for _ in range(4))) == [b'"met"'] * 4
        assert running.fleet.statistics().pools[0].started == 1


async def test_classic_environments_start_for_invocations_at_once(fleet_of: FleetOf):
    """Two invocations, two processes; both are kept for the next ones."""
    async with fleet_of(stack_of({"sleep-fn": function("sleep")})) as running:
        await asyncio.gather(*(running.fleet.invoke("sleep-fn", b'{"seconds": 0.3}') for _ in range(2)))
        await running.fleet.invoke("sleep-fn", b'{"seconds": 0}')
        assert running.fleet.statistics().pools[0].started == 2


async def test_idle_environments_end(fleet_of: FleetOf):
    """After the settable time the process is gone; the next call starts another."""
    async with fleet_of(stack_of({"echo-fn": function("echo")}), idle_seconds=0.1) as running:
        pid = json.loads((await running.fleet.invoke("echo-fn", b"{}")).payload)["pid"]
        await until(lambda: not any(running.fleet.statistics().pools[0].environments.values()))
        assert not psutil.pid_exists(pid)
        await running.fleet.invoke("echo-fn", b"{}")


async def test_an_environment_is_replaced_before_its_credentials_end(fleet_of: FleetOf):
    """Short leases: the next invocation gets fresh keys."""
    issued: list[str] = []

    async def two_seconds(name: str) -> RoleCredentials:
        issued.append(f"AK{len(issued)}")
        return RoleCredentials(Credentials(issued[-1], "s", "t"), time.time() + 2)

    async with fleet_of(stack_of({"env-fn": function("environment")}), two_seconds) as running:
        seen = set()
        async with asyncio.timeout(60):
            while len(seen) < 2:
                seen.add(json.loads((await running.fleet.invoke("env-fn", b"{}")).payload)["AWS_ACCESS_KEY_ID"])
                await asyncio.sleep(0.05)
        assert seen <= set(issued)


async def test_no_process_is_left_when_the_fleet_ends(fleet_of: FleetOf):
    """Environments and what they started are gone, also those in the middle of an invocation."""
    others = psutil.Process().children(recursive=True)
    async with fleet_of(
        stack_of({"sleep-fn": function("sleep", timeout=900), "echo-fn": function("echo", slots=3)})
    ) as running:
        await running.fleet.invoke("echo-fn", b"{}")
        hanging = asyncio.create_task(running.fleet.invoke("sleep-fn", b'{"seconds": 600}'))
        await until(lambda: running.fleet.pools["sleep-fn"].statistics().running)
        children = psutil.Process().children(recursive=True)
        environments = [
            child
            for child in children
            if child not in others
            and any("workers.runtime" in word or "awslambdaric" in word for word in child.cmdline())
        ]
        assert len(environments) >= 2
    assert json.loads((await hanging).payload)["errorType"] == "Runtime.ExitError"
    _, alive = await asyncio.to_thread(psutil.wait_procs, environments, timeout=30)
    assert [p for p in alive if p.status() != psutil.STATUS_ZOMBIE] == []


async def test_logs_metrics_and_health_are_there(fleet_of: FleetOf, http: aiohttp.ClientSession, tmp_path: Path):
    """A function's lines in its file, what happened in /metrics, the state in /healthz."""
    async with fleet_of(stack_of({"say-fn": function("say")})) as running:
        await running.fleet.invoke("say-fn", b'"hello"')
        await until(lambda: b"said hello\n" in (tmp_path / "logs" / "say-fn.log").read_bytes())
        async with http.get(running.fleet.runtime_url + "/metrics") as answer:
            metrics = await answer.text()
        async with http.get(running.fleet.runtime_url + "/healthz") as answer:
            health = await answer.json()
    assert 'fleet_invocations_total{function="say-fn",outcome="success"} 1.0' in metrics
    assert 'fleet_environments{function="say-fn",state="ready"} 1.0' in metrics
    assert 'fleet_cold_start_seconds_count{function="say-fn"} 1.0' in metrics
    assert health["status"] == "ok"
    assert health["pools"][0]["function"] == "say-fn"


async def test_a_web_page_cannot_invoke(fleet_of: FleetOf, http: aiohttp.ClientSession):
    """A browser names the page's origin, or a name of the page's own that leads here (DNS rebinding)."""
    async with fleet_of(stack_of({"echo-fn": function("echo")})) as running:
        url = running.fleet.runtime_url + "/2015-03-31/functions/tests-echo-fn/invocations"
        async with http.post(url, data=b"{}", headers={"Origin": "http://evil.example"}) as answer:
            assert answer.status == 403
        for path in ("/metrics", "/quotas", "/healthz", "/.rt/echo-fn/x/2018-06-01/runtime/invocation/next"):
            async with http.get(running.fleet.runtime_url + path, headers={"Host": "evil.example"}) as answer:
                assert answer.status == 403, path
