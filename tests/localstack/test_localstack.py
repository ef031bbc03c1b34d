"""LocalStack's own container: closed, checked, and gone for a while in the middle of the work."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError

from emulator.embedded import ROOT_CREDENTIALS
from shoebox.aws.clients import Clients
from shoebox.config import AwsSettings
from shoebox.files.model import State
from shoebox_cli.localstack import localstack_at
from shoebox_client.records import Outcome
from standalone.stack import StandaloneSettings, StandaloneStack
from tests.e2e.live_stack import ROOT, SHORT_VISIBILITY, LocalLiveStack, StoredPhotos, changed_stack, photo, until
from tests.localstack.container import ENGINE, LocalStackContainer, localstack
from tests.localstack.project import free_ports

PHOTOS = 40


@pytest.fixture(scope="module")
def container(localstack_image: str) -> Iterator[LocalStackContainer]:
    """Provide a LocalStack of this module's own, whose port outlives a restart."""
    with localstack(localstack_image, free_ports(1)[0]) as running:
        yield running


@asynccontextmanager
async def stack_on(container: LocalStackContainer, folder: Path) -> AsyncIterator[LocalLiveStack]:
    """Provide a stack whose messages come back soon, with its functions as processes here."""
    settings = StandaloneSettings(
        stack_file=changed_stack(folder, *SHORT_VISIBILITY),
        task_root=ROOT,
        data_dir=None,
        gateway_port=0,
        control_port=0,
        endpoint_url=container.get_url(),
    )
    systems: list[LocalLiveStack] = []

    async def publish(local: StandaloneStack) -> None:
        systems.append(LocalLiveStack("", local.resolved, local.clients, local=local))
        systems[-1].key = systems[0].key
        await systems[-1].publish_key()

    async with StandaloneStack.start(settings, publish) as local:
        systems[0].gateway_url = local.fleet.gateway_url
        yield systems[0]


def test_the_container_is_nobody_special(container: LocalStackContainer) -> None:
    """It runs without rights, published on 127.0.0.1 alone, with signatures checked and nothing that phones out."""
    [facts] = json.loads(ENGINE.run("inspect", container.get_wrapped_container().id).stdout)
    variables = dict(line.split("=", 1) for line in facts["Config"]["Env"])

    assert facts["Config"]["User"] not in ("", "root", "0")
    assert [b["HostIp"] for bs in facts["NetworkSettings"]["Ports"].values() for b in bs] == ["127.0.0.1"]
    assert variables["S3_SKIP_SIGNATURE_VALIDATION"] == "0"
    assert variables["DISABLE_EVENTS"] == "1"
    assert "LOCALSTACK_AUTH_TOKEN" not in variables


async def test_a_transaction_that_fails_leaves_everything_and_none_copies_the_table(
    container: LocalStackContainer,
) -> None:
    """Of a put, an update, a delete and a false condition nothing stays; and beside 3,000 items it takes no longer."""
    async with Clients(AwsSettings(region="us-east-1", endpoint_url=container.get_url()), ROOT_CREDENTIALS) as clients:
        dynamodb = await clients.open("dynamodb")
        key: Any = {"AttributeName": "pk", "KeyType": "HASH"}
        await dynamodb.create_table(
            TableName="t",
            KeySchema=[key],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        for name in ("updated", "deleted", "checked"):
            await dynamodb.put_item(TableName="t", Item={"pk": {"S": name}, "n": {"N": "1"}})
        await dynamodb.create_table(
            TableName="ranged",
            KeySchema=[key, {"AttributeName": "sk", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
            BillingMode="PAY_PER_REQUEST",
        )
        await dynamodb.put_item(TableName="ranged", Item={"pk": {"S": "a"}, "sk": {"S": "1"}})
        before = [item for name in ("t", "ranged") for item in (await dynamodb.scan(TableName=name))["Items"]]
        with pytest.raises(ClientError, match="TransactionCanceled"):
            await dynamodb.transact_write_items(TransactItems=failing_transaction())
        after = [item for name in ("t", "ranged") for item in (await dynamodb.scan(TableName=name))["Items"]]

        alone = await seconds_of_transactions(dynamodb)
        for start in range(0, 3000, 25):
            puts = [{"PutRequest": {"Item": {"pk": {"S": f"filler-{n}"}}}} for n in range(start, start + 25)]
            await dynamodb.batch_write_item(RequestItems={"t": puts})
        crowded = await seconds_of_transactions(dynamodb)

    assert sorted(after, key=str) == sorted(before, key=str)
    assert crowded < 4 * alone, f"{alone:.3f} s alone, {crowded:.3f} s beside 3,000 items"


async def test_bodies_are_on_disk(container: LocalStackContainer) -> None:
    """A hundred megabytes in objects below 512 KB cost no memory, and come back whole, in part and copied."""
    async with Clients(AwsSettings(region="us-east-1", endpoint_url=container.get_url()), ROOT_CREDENTIALS) as clients:
        s3 = await clients.open("s3")
        await s3.create_bucket(Bucket="bodies")
        body = random.Random(1).randbytes(400_000)
        await s3.put_object(Bucket="bodies", Key="first", Body=body)
        before = used_memory(container.get_url())
        for n in range(250):
            await s3.put_object(Bucket="bodies", Key=str(n % 200), Body=body)
        grown = used_memory(container.get_url()) - before
        await s3.copy_object(Bucket="bodies", Key="copy", CopySource={"Bucket": "bodies", "Key": "first"})
        whole = await (await s3.get_object(Bucket="bodies", Key="copy"))["Body"].read()
        part = await (await s3.get_object(Bucket="bodies", Key="199", Range="bytes=70000-140000"))["Body"].read()
        await s3.put_object(Bucket="bodies", Key="first", Body=b"shorter")
        shorter = await (await s3.get_object(Bucket="bodies", Key="first"))["Body"].read()

    assert grown < 30_000_000
    assert whole == body
    assert part == body[70_000:140_001]
    assert shorter == b"shorter"


def used_memory(url: str) -> int:
    """Bytes that LocalStack says it uses."""
    state = localstack_at(url)
    assert state
    return state.used


async def test_out_of_memory_is_told_and_uploads_are_refused_before(localstack_image: str) -> None:
    """Killed at its limit, LocalStack's next run knows why; near the limit presigned PUTs get 507, functions' pass."""
    port = free_ports(1)[0]
    identity = docker("run", "--detach", *memory("120m"), "--publish", f"127.0.0.1:{port}:4566", localstack_image)
    try:
        assert docker("wait", identity) == "137"
        assert "LocalStack ran out of memory" in ENGINE.run("logs", identity).stderr
        docker("update", *memory("1g"), identity)
        docker("start", identity)
        url = f"http://127.0.0.1:{port}"

        async def healthy() -> bool:
            return docker("inspect", "--format", "{{.State.Health.Status}}", identity) == "healthy"

        await until(healthy, 60)
        state = localstack_at(url)
        async with Clients(AwsSettings(region="us-east-1", endpoint_url=url), ROOT_CREDENTIALS) as clients:
            s3 = await clients.open("s3")
            await s3.create_bucket(Bucket="full")
            link = await s3.generate_presigned_url("put_object", Params={"Bucket": "full", "Key": "upload"})
            docker("update", *memory(str(int(used_memory(url) / 0.94))), identity)
            async with (
                aiohttp.ClientSession() as http,
                http.put(link, data=b"photo", skip_auto_headers=["content-type"]) as answer,
            ):
                refused = (answer.status, "<Code>InsufficientStorage</Code>" in await answer.text())
            await s3.put_object(Bucket="full", Key="rendition", Body=b"rendition")
            kept = [each["Key"] for each in (await s3.list_objects_v2(Bucket="full"))["Contents"]]
        full = localstack_at(url)
    finally:
        docker("rm", "--force", "--volumes", identity)

    assert state
    assert full
    assert "ran out of memory" in (state.loss() or "")
    assert state.warning() is None
    assert "refuses uploads" in (full.warning() or "")
    assert refused == (507, True)
    assert kept == ["rendition"]


def docker(*arguments: str) -> str:
    """Run `docker`, which must succeed; what it printed."""
    ended = ENGINE.run(*arguments, seconds=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def memory(limit: str) -> tuple[str, ...]:
    """Options of `docker run` and `update` for a limit without swap."""
    return ("--memory", limit, "--memory-swap", limit)


def failing_transaction() -> list[Any]:
    """Every kind of write, and a condition that is false."""
    return [
        {"Put": {"TableName": "t", "Item": {"pk": {"S": "new"}}}},
        {
            "Update": {
                "TableName": "t",
                "Key": {"pk": {"S": "updated"}},
                "UpdateExpression": "SET n = :n",
                "ExpressionAttributeValues": {":n": {"N": "2"}},
            }
        },
        {"Delete": {"TableName": "t", "Key": {"pk": {"S": "deleted"}}}},
        {"Put": {"TableName": "ranged", "Item": {"pk": {"S": "a"}, "sk": {"S": "2"}}}},
        {"Delete": {"TableName": "ranged", "Key": {"pk": {"S": "a"}, "sk": {"S": "1"}}}},
        {
            "ConditionCheck": {
                "TableName": "t",
                "Key": {"pk": {"S": "checked"}},
                "ConditionExpression": "attribute_not_exists(pk)",
            }
        },
    ]


async def seconds_of_transactions(dynamodb: Any, count: int = 20) -> float:
    """How long so many small transactions take, one after the other."""
    began = time.perf_counter()
    for n in range(count):
        await dynamodb.transact_write_items(
            TransactItems=[{"Put": {"TableName": "t", "Item": {"pk": {"S": f"timed-{n}"}}}}]
        )
    return time.perf_counter() - began


async def test_localstack_held_in_mid_batch_loses_nothing(container: LocalStackContainer, tmp_path: Path) -> None:
    """LocalStack answers nobody for longer than a batch may take, and kept everything: every photo becomes READY."""
    async with stack_on(container, tmp_path) as live:
        events = await live.subscribe()
        photos = await StoredPhotos.store(live, PHOTOS)
        await photos.until_ready(3, 60)
        before = live.mapping("ingest")
        container.get_wrapped_container().pause()
        try:
            await asyncio.sleep(4)  # twice what the function may take: whatever was at work is over
        finally:
            container.get_wrapped_container().unpause()
        ready = (await photos.states())[State.READY]
        await photos.until_ready(seconds=90)

        assert before.batches > 0, "no batch was at work when LocalStack stopped"
        assert ready < PHOTOS, "it stopped too late to prove anything"
        told = await events.until(PHOTOS)
        assert len({event["event_id"] for event in told}) == PHOTOS
        assert await live.waiting("uploads-dead") == (0, 0)


async def test_localstack_killed_comes_back_whole(container: LocalStackContainer, tmp_path: Path) -> None:
    """Killed, LocalStack has forgotten all; the stack makes it again, takes new credentials, and goes on."""
    async with stack_on(container, tmp_path) as live:
        [first] = await live.upload(photo(tmp_path, "before.jpg", seed=1))
        environments = {pool: p.statistics().started for pool, p in live.local.fleet.pools.items()}
        made_before = live.local.report
        container.get_wrapped_container().kill()
        container.get_wrapped_container().start()

        async def made_again() -> bool:
            return live.local.report is not made_before

        await until(made_again, 60)
        [second] = await live.upload(photo(tmp_path, "after.jpg", seed=2))

        assert (first.outcome, second.outcome) == (Outcome.READY, Outcome.READY)
        started = {pool: p.statistics().started for pool, p in live.local.fleet.pools.items()}
        assert all(started[name] > environments[name] for name in ("api", "ingest"))
        assert len(await live.objects("originals/")) == 1
