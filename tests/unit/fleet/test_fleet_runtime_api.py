import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fleet_fakes import Bench, pool_bench, until

from fleet.environments.environment import Environment
from fleet.environments.invocation import RESPONSE_PAYLOAD
from fleet.environments.runtime_api import RuntimeApi
from fleet.metrics import Metrics


class Exchange:
    """One request to the API and its answer; `go` closes the client's connection."""

    def __init__(
        self, api: RuntimeApi, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        pairs = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
        self._body: bytes | None = body
        self._gone = asyncio.Event()
        self.watched = asyncio.Event()  # the server listens for the end of the connection
        self.status = 0
        self.body = b""
        self.headers: dict[str, str] = {}
        self.task = asyncio.create_task(
            api({"method": method, "path": path, "headers": pairs}, self._receive, self._send)
        )

    def go(self) -> None:
        """Close the connection."""
        self._gone.set()

    async def answered(self) -> "Exchange":
        """Wait for the answer."""
        await asyncio.wait_for(self.task, 30)
        return self

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        self.watched.set()
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message["body"]


class Client:
    """Speaks for one environment, as a runtime does."""

    def __init__(self, bench: Bench, environment: Environment) -> None:
        self.bench = bench
        self.environment = environment
        self._api = RuntimeApi({"api": bench.pool})

    def request(self, method: str, operation: str, body: bytes = b"", **headers: str) -> Exchange:
        """Begin a request."""
        path = f"/.rt/api/{self.environment.identity}/2018-06-01/runtime/{operation}"
        return Exchange(
            self._api, method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )

    async def next(self) -> Exchange:
        """Ask for an invocation, and get one."""
        return await self.request("GET", "invocation/next").answered()

    async def post(self, operation: str, body: bytes = b"{}", **headers: str) -> int:
        """Post, and tell the status."""
        return (await self.request("POST", operation, body, **headers).answered()).status


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """Yield a pool with two slots per environment, and one invocation `r1` that waits for the first."""
    bench = pool_bench(Metrics(tmp_path), slots=2)
    async with bench.pool:
        first = bench.invoke("r1")
        environment, _ = await bench.ready()
        yield Client(bench, environment)
        first.cancel()


async def test_next_gives_the_event_with_lambdas_headers(client: Client):
    """Payload and every header of the contract."""
    answer = await client.next()
    assert (answer.status, answer.body) == (200, b"{}")
    assert answer.headers["lambda-runtime-aws-request-id"] == "r1"
    assert answer.headers["lambda-runtime-invoked-function-arn"] == "arn"
    assert int(answer.headers["lambda-runtime-deadline-ms"]) > 0
    assert answer.headers["lambda-runtime-invocation-id"]
    assert "lambda-runtime-trace-id" in answer.headers


async def test_answers_are_accepted_once(client: Client):
    """202, then 400: the id is not known any more; so is one that never was."""
    answer = await client.next()
    nonce = answer.headers["lambda-runtime-invocation-id"]
    assert await client.post("invocation/r1/response", b'"ok"', lambda_runtime_invocation_id=nonce) == 202
    assert await client.post("invocation/r1/response") == 400
    assert await client.post("invocation/r9/error") == 400


async def test_an_answer_of_an_earlier_attempt_is_too_late(client: Client):
    """410: another attempt with the same request id runs now."""
    await client.next()
    assert await client.post("invocation/r1/response", lambda_runtime_invocation_id="old") == 410
    client.environment.expire("r1")
    assert await client.post("invocation/r1/response") == 410


async def test_an_answer_that_is_too_large_fails_the_invocation(client: Client):
    """413 for the runtime, an error for the caller."""
    await client.next()
    again = client.bench.invoke("r2")
    await client.next()
    assert await client.post("invocation/r2/response", b"x" * (RESPONSE_PAYLOAD + 1)) == 413
    assert orjson.loads((await again).payload)["errorType"] == "Function.ResponseSizeTooLarge"


async def test_an_init_error_after_ready_is_refused(client: Client):
    """403."""
    await client.next()
    assert await client.post("init/error") == 403


async def test_an_init_error_ends_the_start(client: Client):
    """202 once; then nothing more is given."""
    assert await client.post("init/error", b'{"errorType":"X"}') == 202
    refused = await client.request("GET", "invocation/next").answered()
    assert refused.status in (403, 404)  # 404 when its process has ended already


@pytest.mark.parametrize(
    ("method", "operation"),
    [("POST", "invocation/next"), ("GET", "invocation/r1/response"), ("GET", "restore/next"), ("GET", "")],
)
async def test_other_operations_are_not_found(client: Client, method: str, operation: str):
    """404."""
    assert (await client.request(method, operation).answered()).status == 404


async def test_an_unknown_environment_gets_nothing(client: Client):
    """Nobody takes invocations by guessing."""
    client.environment = Environment("other", 1, 0.0)
    assert (await client.request("GET", "invocation/next").answered()).status == 404


async def test_a_poller_that_vanishes_while_it_waits_gets_nothing(client: Client):
    """The next invocation goes to the slot that is there."""
    await client.next()
    vanishing = client.request("GET", "invocation/next")
    await until(lambda: client.environment.free == 1)
    vanishing.go()
    await vanishing.answered()
    assert (vanishing.status, client.environment.free) == (0, 0)
    second = client.bench.invoke("r2")
    answer = await client.next()
    assert answer.headers["lambda-runtime-aws-request-id"] == "r2"
    second.cancel()


async def test_an_invocation_handed_to_a_poller_that_has_just_vanished_is_offered_again(client: Client):
    """Connection and decision cross: nothing was sent, so nothing is lost."""
    await client.next()
    vanishing = client.request("GET", "invocation/next")
    await vanishing.watched.wait()
    second = client.bench.invoke("r2")
    vanishing.go()
    await vanishing.answered()
    assert vanishing.status == 0
    answer = await client.next()
    assert answer.headers["lambda-runtime-aws-request-id"] == "r2"
    second.cancel()
