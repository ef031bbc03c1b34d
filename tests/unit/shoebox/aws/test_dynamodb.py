"""DynamoDB over plain HTTP against a scripted server: what it sends, what it tries again, what it raises."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from shoebox.aws.connections import Connections
from shoebox.aws.credentials import Credentials, fixed_credentials
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.aws.errors import AwsRefused, AwsUnreachable, ConnectionLost
from shoebox.aws.retry import RetryPolicy
from tests.scripted_server import Script, ScriptedServer, json_response, scripted_server

KEYS = Credentials("ASIAONE", "secret", "token")
QUICK = RetryPolicy(attempts=4, first_pause=0.0)
THROTTLED = json_response({"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException", "message": "slow"}, 400)
CANCELED = json_response(
    {
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "no",
        "CancellationReasons": [{"Code": "ConditionalCheckFailed"}],
    },
    400,
)


@asynccontextmanager
async def table_of(
    script: Script, keys: Callable[[], Credentials] = lambda: KEYS, **options: Any
) -> AsyncIterator[tuple[DynamoDBClient, ScriptedServer]]:
    """Open a client whose server answers by `script`."""

    async def now() -> Credentials:
        return keys()

    async with scripted_server(script) as server:
        connections = Connections(server.url)
        yield DynamoDBClient(connections, now, region="eu-west-1", **{"retry": QUICK, **options}), server
        connections.close()


@pytest.mark.parametrize(
    ("method", "operation"),
    [
        ("get_item", "GetItem"),
        ("batch_get_item", "BatchGetItem"),
        ("query", "Query"),
        ("update_item", "UpdateItem"),
        ("delete_item", "DeleteItem"),
    ],
)
async def test_an_operation_is_sent_as_it_is_asked(method: str, operation: str):
    """Its name in X-Amz-Target, the request as the body, and the response as it comes."""
    async with table_of(lambda n, _: json_response({"Item": {"pk": {"S": "x"}}})) as (table, server):
        assert await getattr(table, method)(TableName="t", Key={"pk": {"S": "x"}}) == {"Item": {"pk": {"S": "x"}}}
    (request,) = server.requests
    assert request.headers["x-amz-target"] == f"DynamoDB_20120810.{operation}"
    assert request.headers["x-amz-security-token"] == "token"
    assert "/eu-west-1/dynamodb/aws4_request" in request.headers["authorization"]
    assert orjson.loads(request.body) == {"TableName": "t", "Key": {"pk": {"S": "x"}}}


async def test_a_transaction_that_is_tried_again_is_the_same_one():
    """ "TransactWriteItems", idempotency: each call has a token of its own, each of its tries the same."""
    async with table_of(lambda n, _: None if n == 1 else json_response({})) as (table, server):
        for _ in range(2):
            await table.transact_write_items(TransactItems=[])
    tokens = [orjson.loads(request.body)["ClientRequestToken"] for request in server.requests]
    assert len(tokens) == 3
    assert tokens[0] == tokens[1] != tokens[2]


async def test_throttling_is_tried_again_and_then_said():
    """Four attempts, as the project's aiobotocore clients make."""
    async with table_of(lambda n, _: THROTTLED) as (table, server):
        with pytest.raises(AwsRefused) as caught:
            await table.query(TableName="t")
    assert len(server.requests) == 4
    error = caught.value
    assert (error.code, error.message, error.status, error.operation) == ("ThrottlingException", "slow", 400, "Query")


async def test_a_canceled_transaction_tells_its_reasons_at_once():
    """No SDK tries it again; who asks finds the reasons in the error."""
    async with table_of(lambda n, _: CANCELED) as (table, server):
        with pytest.raises(AwsRefused) as caught:
            await table.transact_write_items(TransactItems=[])
    assert len(server.requests) == 1
    assert (caught.value.code, caught.value.message) == ("TransactionCanceledException", "no")
    assert caught.value.content["CancellationReasons"] == [{"Code": "ConditionalCheckFailed"}]


async def test_nobody_there_is_a_lost_connection():
    """Which the API answers with 503."""
    async with scripted_server(lambda n, _: None) as server:
        pass

    table = DynamoDBClient(Connections(server.url), fixed_credentials(KEYS), region="r", retry=QUICK)
    with pytest.raises(ConnectionLost):
        await table.get_item(TableName="t")


@pytest.mark.parametrize(
    ("given", "options", "code"),
    [
        (b"", {"retry": RetryPolicy(attempts=1), "response_seconds": 0.01}, "Timeout"),
        (json_response(b"{"), {}, "InvalidResponse"),
    ],
    ids=["silence", "no JSON"],
)
async def test_a_response_that_cannot_be_used_is_none(given: bytes, options: dict[str, Any], code: str):
    """A server that says nothing, or nothing that can be read."""
    async with table_of(lambda n, _: given, **options) as (table, _):
        with pytest.raises(AwsUnreachable) as caught:
            await table.get_item(TableName="t")
    assert caught.value.code == code


async def test_renewed_credentials_are_used_from_the_next_call_on():
    """They may be renewed while the process lives."""
    keys = iter([KEYS, KEYS, Credentials("ASIATWO", "other", "newer")])
    async with table_of(lambda n, _: json_response({}), lambda: next(keys)) as (table, server):
        for _ in range(3):
            await table.get_item(TableName="t")
    assert [r.headers["x-amz-security-token"] for r in server.requests] == ["token", "token", "newer"]
    assert server.connections == 1


async def test_calls_at_once_do_not_wait_for_each_other():
    """Each has a connection."""
    async with table_of(lambda n, _: json_response({})) as (table, server):
        await asyncio.gather(*(table.get_item(TableName="t") for _ in range(5)))
    assert len(server.requests) == 5
