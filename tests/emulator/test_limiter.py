"""AWS's limits in front of the real embedded emulator, met by real SDKs, which check CRC-32, class and signature."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest
from aiobotocore.session import get_session
from botocore.config import Config
from botocore.exceptions import ClientError
from yarl import URL

from emulator.embedded import ROOT_CREDENTIALS, Emulator
from emulator.limiter.proxy import limiting_proxy
from emulator.limiter.usage import read_data_use
from emulator.provision import RoleSource, provision
from fleet.limits.quotas import DynamoDBQuotas, Quotas, S3Quotas, load_quotas
from fleet.limits.use import DataUse
from shoebox.aws.clients import Clients
from shoebox.aws.credentials import Credentials
from shoebox.aws.signing import Presigner
from shoebox.stack.model import Stack
from standalone.stack import StandaloneSettings, StandaloneStack
from tests.emulator.conftest import bind_to

pytestmark = pytest.mark.only_on("embedded", reason="the limiter is ours; no emulator keeps limits")

TINY = 0.001  # a second: what was taken once is not there again in a test's time
TIGHT = Quotas(
    dynamodb=DynamoDBQuotas(partition_writes=TINY, partition_reads=TINY),
    s3=S3Quotas(prefix_writes=TINY, prefix_reads=TINY),
)
ONCE = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
TABLE, BUCKET = "shoebox-files", "shoebox-personal"
ARN = f"arn:aws:dynamodb:us-east-1:000000000000:table/{TABLE}"


@pytest.fixture(scope="module")
def tight() -> Iterator[Emulator]:
    """Provide an emulator of which each key and prefix takes one request, and then none for a thousand seconds."""
    with asyncio.Runner() as runner:
        emulator = Emulator(quotas=TIGHT)
        runner.run(emulator.__aenter__())
        yield emulator
        runner.run(emulator.stop())


@pytest.fixture(scope="module")
def keys(tight: Emulator, stack: Stack) -> Credentials:
    """Create the stack in spite of the limits; return keys that may do anything with it, but are checked."""
    return asyncio.run(prepare(tight, stack))


async def prepare(emulator: Emulator, stack: Stack) -> Credentials:
    """Create the stack, and a role beside it: no function may write batches."""
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    allowed = {"Effect": "Allow", "Action": ["dynamodb:*", "s3:*"], "Resource": "*"}
    async with Clients(emulator.aws, ROOT_CREDENTIALS) as clients:
        await provision(bind_to(emulator, stack), clients)
        iam, sts = await clients.open("iam"), await clients.open("sts")
        role = await iam.create_role(RoleName="tester", AssumeRolePolicyDocument=document(trust))
        await iam.put_role_policy(RoleName="tester", PolicyName="all", PolicyDocument=document(allowed))
        session = await sts.assume_role(RoleArn=role["Role"]["Arn"], RoleSessionName="tester")
        found = session["Credentials"]
        return Credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])


def document(statement: dict[str, Any]) -> str:
    """Return a policy of one statement."""
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@asynccontextmanager
async def clients_at(url: str, keys: Credentials, *services: str) -> AsyncIterator[list[Any]]:
    """Clients that try once, with signatures that are checked."""
    async with AsyncExitStack() as opened:
        yield [
            await opened.enter_async_context(
                get_session().create_client(
                    service,
                    region_name="us-east-1",
                    endpoint_url=url,
                    aws_access_key_id=keys.access_key_id,
                    aws_secret_access_key=keys.secret_access_key,
                    aws_session_token=keys.session_token,
                    config=ONCE,
                )
            )
            for service in services
        ]


@pytest.fixture
async def dynamodb(tight: Emulator, keys: Credentials) -> AsyncIterator[Any]:
    """Provide a client of DynamoDB."""
    async with clients_at(tight.url, keys, "dynamodb") as (client,):
        yield client


@pytest.fixture
async def s3(tight: Emulator, keys: Credentials) -> AsyncIterator[Any]:
    """Provide a client of S3."""
    async with clients_at(tight.url, keys, "s3") as (client,):
        yield client


def key(pk: str) -> dict[str, Any]:
    """Return a key in DynamoDB's JSON."""
    return {"pk": {"S": pk}}


def item(pk: str, owner: str) -> dict[str, Any]:
    """Return an item that the index has."""
    return {**key(pk), "owner_shard": {"S": owner}, "listed": {"S": pk}}


async def test_a_hot_key_is_throttled_and_others_are_not(dynamodb: Any):
    """The client raises the class of AWS's model, and has the reason and the resource."""
    await dynamodb.put_item(TableName=TABLE, Item=key("hot"))
    with pytest.raises(dynamodb.exceptions.ThrottlingException) as caught:
        await dynamodb.put_item(TableName=TABLE, Item=key("hot"))
    reasons = caught.value.response["throttlingReasons"]
    assert reasons == [{"reason": "TableWriteKeyRangeThroughputExceeded", "resource": ARN}]
    await dynamodb.put_item(TableName=TABLE, Item=key("cold"))


def test_the_other_sdk_sees_the_same(tight: Emulator, keys: Credentials):
    """boto3, with its own HTTP client and its own check of the CRC-32."""
    client: Any = boto3.client(
        "dynamodb",
        region_name="us-east-1",
        endpoint_url=tight.url,
        aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key,
        aws_session_token=keys.session_token,
        config=ONCE,
    )
    client.get_item(TableName=TABLE, Key=key("boto3"))
    with pytest.raises(client.exceptions.ThrottlingException, match="Throughput exceeds the current capacity"):
        client.get_item(TableName=TABLE, Key=key("boto3"))


async def test_a_hot_index_key_throttles_writes_of_the_table(dynamodb: Any):
    """Back-pressure: other items of the same owner are refused, other owners' are not."""
    await dynamodb.put_item(TableName=TABLE, Item=item("gsi1", "anna"))
    with pytest.raises(dynamodb.exceptions.ThrottlingException) as caught:
        await dynamodb.put_item(TableName=TABLE, Item=item("gsi2", "anna"))
    assert caught.value.response["throttlingReasons"] == [
        {"reason": "IndexWriteKeyRangeThroughputExceeded", "resource": f"{ARN}/index/by-owner"}
    ]
    await dynamodb.put_item(TableName=TABLE, Item=item("gsi3", "bob"))


async def test_an_update_is_throttled_by_its_index_too(dynamodb: Any):
    """If it sets the index's key to one that is hot."""
    await dynamodb.put_item(TableName=TABLE, Item=item("update1", "dora"))
    with pytest.raises(dynamodb.exceptions.ThrottlingException) as caught:
        await dynamodb.update_item(
            TableName=TABLE,
            Key=key("update2"),
            UpdateExpression="SET owner_shard = :owner, listed = :listed",
            ExpressionAttributeValues={":owner": {"S": "dora"}, ":listed": {"S": "update2"}},
        )
    assert caught.value.response["throttlingReasons"][0]["reason"] == "IndexWriteKeyRangeThroughputExceeded"


async def test_a_batch_write_comes_back_in_part(dynamodb: Any):
    """The emulator takes the smaller batch though the larger one was signed; what was not written is told."""
    await dynamodb.put_item(TableName=TABLE, Item=key("batch1"))
    entries = [{"PutRequest": {"Item": key(pk)}} for pk in ("batch1", "batch2")]
    answer = await dynamodb.batch_write_item(RequestItems={TABLE: entries})
    assert answer["UnprocessedItems"] == {TABLE: entries[:1]}
    assert "Item" in await dynamodb.get_item(TableName=TABLE, Key=key("batch2"))
    with pytest.raises(dynamodb.exceptions.ThrottlingException):
        await dynamodb.batch_write_item(RequestItems={TABLE: entries})


async def test_a_batch_get_comes_back_in_part(dynamodb: Any):
    """The keys that were not read are told."""
    await dynamodb.get_item(TableName=TABLE, Key=key("read1"))
    answer = await dynamodb.batch_get_item(RequestItems={TABLE: {"Keys": [key("read1"), key("read2")]}})
    assert answer["UnprocessedKeys"] == {TABLE: {"Keys": [key("read1")]}}


async def test_a_transaction_is_canceled_with_its_reasons(dynamodb: Any):
    """Nothing of it is written."""
    await dynamodb.put_item(TableName=TABLE, Item=key("transact1"))
    actions = [{"Put": {"TableName": TABLE, "Item": key(pk)}} for pk in ("transact1", "transact2")]
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as caught:
        await dynamodb.transact_write_items(TransactItems=actions)
    assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == ["ThrottlingError", "None"]
    assert "Item" not in await dynamodb.get_item(TableName=TABLE, Key=key("transact2"))


async def test_an_item_above_400_kb_is_refused(dynamodb: Any):
    """Before any limit is touched: the key is still free."""
    with pytest.raises(ClientError, match="Item size has exceeded the maximum allowed size"):
        await dynamodb.put_item(TableName=TABLE, Item={**key("large"), "text": {"S": "x" * 400 * 1024}})
    await dynamodb.put_item(TableName=TABLE, Item=key("large"))


async def test_s3_says_slow_down_to_a_presigned_put(tight: Emulator, keys: Credentials, http: aiohttp.ClientSession):
    """Though the body is already on its way; the connection stays good."""
    presigner = Presigner(keys, region="us-east-1", endpoint_url=tight.url)
    body = bytes(5_000_000)

    async def put(name: str) -> tuple[int, str]:
        url = presigner.url("PUT", BUCKET, name, at=datetime.now(UTC), expires=60)
        async with http.put(URL(url, encoded=True), data=body) as answer:
            return answer.status, await answer.text()

    assert await put("presigned/a") == (200, "")
    for _ in range(3):
        status, text = await put("presigned/b")
        assert status == 503
        assert "<Code>SlowDown</Code><Message>Please reduce your request rate.</Message>" in text


async def test_the_sdk_sees_slow_down(s3: Any):
    """A client that announces its body waits for the answer, and finds the next connection good."""
    await s3.put_object(Bucket=BUCKET, Key="sdk/a", Body=b"bytes")
    await s3.get_object(Bucket=BUCKET, Key="sdk/a")
    for call in (s3.put_object, s3.get_object, s3.put_object, s3.head_object):
        with pytest.raises(ClientError) as caught:
            await call(Bucket=BUCKET, Key="sdk/a", **({"Body": bytes(100_000)} if call == s3.put_object else {}))
        error = caught.value.response
        assert error["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert error["Error"]["Code"] == ("503" if call == s3.head_object else "SlowDown")


async def test_uses_tell_the_refusals(tight: Emulator, dynamodb: Any):
    """At an address that is no bucket's; each limit with its peak."""
    await dynamodb.get_item(TableName=TABLE, Key=key("use"))
    with pytest.raises(dynamodb.exceptions.ThrottlingException):
        await dynamodb.get_item(TableName=TABLE, Key=key("use"))
    uses = {(use.limit, use.subject): use for use in (await tight.data_use()).uses}
    partition = uses["dynamodb.partition_reads", TABLE]
    assert partition.throttled >= 1
    assert (partition.peak, partition.maximum) == (0.5, TINY)
    assert uses["dynamodb.table_reads", TABLE].maximum == 12_000


async def test_a_page_cannot_ask_for_uses(tight: Emulator, http: aiohttp.ClientSession):
    """As for everything else that is not signed by a role."""
    async with http.get(f"{tight.url}/_shoebox/limits", headers={"Origin": "http://evil.example"}) as answer:
        assert answer.status == 403


TINY_STACK = """
name: tiny
tables: {things: {key: {hash: pk}}}
functions:
  hello: {handler: hello.handler, memory: 128, timeout: 5, permissions: {table/things: [write]}}
gateway:
  authorizer: {function: hello, identity: Authorization}
  routes: []
  responses: {}
"""


def settings(folder: Path, **more: Any) -> StandaloneSettings:
    """Return a stack that starts no function by itself, on free ports, with the tight quotas."""
    (folder / "stack.yaml").write_text(TINY_STACK)
    values = {"data_dir": None, "emulator_port": 0, "gateway_port": 0, "control_port": 0, "runtime_port": 0}
    return StandaloneSettings(stack_file=folder / "stack.yaml", task_root=folder, **{**values, "quotas": TIGHT, **more})


async def throttles(local: StandaloneStack) -> bool:
    """Whether a function that writes one key twice is throttled where it reaches DynamoDB."""
    keys = (await RoleSource(local.resolved, local.clients)("hello")).keys
    table, url = local.resolved.name_of("table", "things"), local.resolved.deployment.endpoint_url
    async with clients_at(str(url), keys, "dynamodb") as (client,):
        await client.put_item(TableName=table, Item=key("hot"))
        try:
            await client.put_item(TableName=table, Item=key("hot"))
        except client.exceptions.ThrottlingException:
            return True
        return False


async def test_a_stack_keeps_the_quotas_that_it_is_started_with(tmp_path: Path):
    """In its own emulator: functions and clients reach one address, and both are limited."""
    async with StandaloneStack.start(settings(tmp_path)) as local:
        assert local.resolved.deployment.endpoint_url == local.endpoint_url
        assert await throttles(local)
    async with StandaloneStack.start(settings(tmp_path, quotas=load_quotas("off"))) as local:
        assert not await throttles(local)


async def test_functions_on_an_emulator_of_others_are_limited(tmp_path: Path):
    """They get the limiter's address where they can reach it; URLs that clients get are the emulator's own."""
    async with Emulator(quotas=load_quotas("off")) as other:
        async with StandaloneStack.start(settings(tmp_path, endpoint_url=other.url, prefix="limited")) as local:
            deployment = local.resolved.deployment
            assert (deployment.s3_url, deployment.s3_public_url, deployment.sqs_url) == (
                deployment.endpoint_url,
                other.url,
                other.url,
            )
            assert deployment.endpoint_url != other.url
            assert await throttles(local)
        joined = {"endpoint_url": other.url, "joined": frozenset({"hello"}), "host": "127.0.0.2"}
        async with StandaloneStack.start(settings(tmp_path, prefix="joined", **joined)) as local:
            assert local.resolved.deployment.endpoint_url == other.url
        known = "http://fleet.example:9003"
        async with StandaloneStack.start(settings(tmp_path, prefix="known", limiter_url=known, **joined)) as local:
            assert local.resolved.deployment.endpoint_url == known


async def test_the_limiter_stands_in_front_of_any_emulator(stack: Stack):
    """A proxy in front of one that has none: signatures hold, also of a batch that passes in part."""
    async with Emulator(quotas=load_quotas("off")) as plain, limiting_proxy(plain.url, TIGHT) as url:
        keys = await prepare(plain, stack)
        async with clients_at(plain.url, keys, "dynamodb") as (direct,):
            for _ in range(5):
                await direct.put_item(TableName=TABLE, Item=key("hot"))
        assert await plain.data_use() == DataUse()
        async with clients_at(url, keys, "dynamodb", "s3") as (dynamodb, s3):
            await dynamodb.put_item(TableName=TABLE, Item=key("hot"))
            with pytest.raises(dynamodb.exceptions.ThrottlingException):
                await dynamodb.put_item(TableName=TABLE, Item=key("hot"))
            entries = [{"PutRequest": {"Item": key(pk)}} for pk in ("hot", "fresh")]
            answer = await dynamodb.batch_write_item(RequestItems={TABLE: entries})
            assert answer["UnprocessedItems"] == {TABLE: entries[:1]}
            await s3.put_object(Bucket=BUCKET, Key="originals/a b/ü", Body=b"bytes")
            with pytest.raises(ClientError, match="SlowDown"):
                await s3.put_object(Bucket=BUCKET, Key="originals/a b/ü", Body=b"bytes")
            found = await s3.get_object(Bucket=BUCKET, Key="originals/a b/ü")
            assert await found["Body"].read() == b"bytes"
        assert {use.subject for use in (await read_data_use(url)).uses} >= {TABLE, f"{BUCKET}/originals/"}
