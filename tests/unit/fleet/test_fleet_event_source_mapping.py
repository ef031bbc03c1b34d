"""What becomes of a trigger of stack.yaml: the mapping's limits, at every scale of the quotas."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fleet.credentials import CredentialsCache, RoleCredentials
from fleet.environments.invocation import InvokeResult
from fleet.functions import Functions
from fleet.limits.quotas import load_quotas
from fleet.metrics import Metrics
from fleet.queues.event_source import EventSourceMapping
from fleet.queues.mappings import Mappings
from fleet.settings import FleetSettings
from shoebox.aws.credentials import Credentials
from shoebox.stack.deployment import Deployment, ResolvedStack, resolve
from shoebox.stack.model import Stack, StackError
from tests.scripted_server import ScriptedServer, json_response, scripted_server

WORKER = {"handler": "a.b", "memory": 128, "timeout": 5, "slots": 4, "permissions": {"queue/work": ["consume"]}}
GIVEN = {"MessageId": "m1", "ReceiptHandle": "h1", "Body": "b", "MD5OfBody": "x"}


def stack_of(url: str, triggers: dict[str, dict[str, Any]]) -> ResolvedStack:
    """Return functions with these triggers of one queue."""
    described = {
        "name": "tests",
        "queues": {"work": {"visibility_timeout": 30}},
        "functions": {name: {**WORKER, "queue": {"name": "work", **t}} for name, t in triggers.items()},
        "gateway": {"authorizer": {"function": next(iter(triggers)), "identity": "X"}, "routes": []},
    }
    deployment = Deployment(endpoint_url=url, s3_url=url, s3_public_url=url, sqs_url=url, gateway_url=url)
    return resolve(Stack.model_validate(described), deployment)


async def role(function: str) -> RoleCredentials:
    """Return credentials that nobody checks."""
    return RoleCredentials(Credentials("AK", "secret", "token"), 1e12)


class Invoker:
    """Runs functions that succeed."""

    async def invoke(self, function: str, payload: bytes) -> InvokeResult:
        """Return an empty result."""
        return InvokeResult(b"null")


@asynccontextmanager
async def mappings_of(
    tmp_path: Path,
    triggers: dict[str, dict[str, Any]],
    *,
    url: str = "http://127.0.0.1:9",
    hosts: int = 100,
    **settings: Any,
) -> AsyncIterator[tuple[Mappings, list[EventSourceMapping]]]:
    """Make the mappings of a stack, not entered; joined functions have `hosts` slots."""
    stack = stack_of(url, triggers)
    chosen = FleetSettings(tmp_path / "logs", tmp_path / "metrics", tmp_path, **settings)
    pools: Any = {name: SimpleNamespace(ready_slots=hosts) for name in triggers}
    mappings = Mappings(stack, chosen, CredentialsCache(role), Metrics(tmp_path / "metrics"), Invoker(), pools)
    async with AsyncExitStack() as opening:
        made = []
        for function in Functions.of_stack(stack):
            trigger = stack.stack.functions[function.key].queue
            assert trigger is not None
            made.append(await mappings.make(opening, function, trigger))
        yield mappings, made


# Trigger, settings, and batches at once at the start; the machine has 8 environments of 4 slots, unless said otherwise.
BATCHES = [
    pytest.param({}, {}, 5, id="AWS's five"),
    pytest.param({"maximum_concurrency": 4}, {}, 4, id="maximum concurrency"),
    pytest.param({"provisioned": {}}, {}, 20, id="two provisioned pollers"),
    pytest.param({}, {"max_environments": 1}, 4, id="one environment's slots"),
    pytest.param({"maximum_concurrency": 100}, {"quotas": load_quotas("aws/100")}, 1, id="aws/100"),
    pytest.param({"provisioned": {"minimum": 200}}, {"quotas": load_quotas("aws/100")}, 20, id="provisioned in it"),
    pytest.param({}, {"quotas": load_quotas("off")}, 32, id="no quotas, all slots"),
    pytest.param({"maximum_concurrency": 6}, {"quotas": load_quotas("off")}, 6, id="no quotas, maximum concurrency"),
    pytest.param({}, {"joined": frozenset({"worker"}), "max_environments": 1}, 5, id="joined: five"),
    pytest.param({"maximum_concurrency": 9}, {"joined": frozenset({"worker"})}, 9, id="joined: as described"),
    pytest.param({"maximum_concurrency": 9}, {"joined": frozenset({"worker"}), "hosts": 2}, 2, id="joined: two slots"),
    pytest.param({}, {"joined": frozenset({"worker"}), "hosts": 0}, 0, id="joined: no host"),
]


@pytest.mark.parametrize(("trigger", "settings", "batches"), BATCHES)
async def test_a_trigger_gets_the_scale_that_it_describes(
    tmp_path: Path, trigger: dict[str, Any], settings: dict[str, Any], batches: int
):
    """ "Configuring scaling behavior for SQS event source mappings", within what the machine can run."""
    async with mappings_of(tmp_path, {"worker": trigger}, **settings) as (_, (mapping,)):
        assert mapping.statistics().limit == batches


async def test_every_limit_has_its_use(tmp_path: Path):
    """Concurrency of each function, messages in flight of each queue, which two mappings share."""
    async with mappings_of(tmp_path, {"one-fn": {}, "two-fn": {"maximum_concurrency": 4}}) as (mappings, _):
        uses = {(use.limit, use.subject): use.maximum for use in mappings.uses(0.0)}
    assert uses == {
        ("lambda.mapping_concurrency", "one-fn"): 1250,
        ("lambda.mapping_concurrency", "two-fn"): 4,
        ("sqs.in_flight", "work"): 120_000,
    }


async def test_a_filter_that_cannot_be_used_is_named_with_its_place(tmp_path: Path):
    """As an error of stack.yaml."""
    trigger = {"filters": [{"body": {"a": [{"wildcard": "*"}]}}]}
    with pytest.raises(StackError, match=r"functions\.worker\.queue\.filters: body\.a: .* no operator wildcard"):
        async with mappings_of(tmp_path, {"worker": trigger}):
            pass


def scripted(server: ScriptedServer, gone: asyncio.Event) -> bytes:
    """SQS with one message."""
    operation = server.requests[-1].headers["x-amz-target"].removeprefix("AmazonSQS.")
    match operation:
        case "GetQueueAttributes":
            return json_response({"Attributes": {"VisibilityTimeout": "30"}})
        case "ReceiveMessage":
            first = sum("ReceiveMessage" in r.headers["x-amz-target"] for r in server.requests) == 1
            return json_response({"Messages": [GIVEN]}) if first else b""
    gone.set()
    return json_response({"Successful": []})


async def test_a_mapping_does_the_whole_way(tmp_path: Path):
    """Attribute, receive, function, delete; and the messages in flight are counted."""
    gone = asyncio.Event()
    servers: list[ScriptedServer] = []
    async with scripted_server(lambda n, _: scripted(servers[0], gone)) as server:
        servers.append(server)
        async with mappings_of(tmp_path, {"worker": {}}, url=server.url) as (mappings, (mapping,)):
            async with mapping:
                await asyncio.wait_for(gone.wait(), 30)
            (_, in_flight) = mappings.uses(0.0)
    operations = [request.headers["x-amz-target"].removeprefix("AmazonSQS.") for request in server.requests]
    assert operations[:2] == ["GetQueueAttributes", "ReceiveMessage"]
    assert "DeleteMessageBatch" in operations
    assert (in_flight.used, in_flight.peak) == (0, 1)
    assert mapping.statistics().deleted == 1
