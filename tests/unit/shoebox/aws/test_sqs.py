"""Visibility timeouts over plain HTTP: the request is SQS's, and no response of SQS fails the batch."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from shoebox.aws.connections import Connections
from shoebox.aws.credentials import Credentials, fixed_credentials
from shoebox.aws.errors import AwsUnreachable
from shoebox.aws.sqs import VisibilityClient, queue_url
from shoebox.config import AwsSettings, ConfigError
from tests.scripted_server import Script, ScriptedServer, json_response, scripted_server

ARN = "arn:aws:sqs:eu-west-1:000000000000:uploads"


@asynccontextmanager
async def visibility_of(script: Script) -> AsyncIterator[tuple[VisibilityClient, ScriptedServer]]:
    """Open a client whose server answers by `script`."""
    keys = fixed_credentials(Credentials("ASIAONE", "secret", "token"))
    async with scripted_server(script) as server:
        connections = Connections(server.url)
        yield VisibilityClient(connections, keys, AwsSettings(region="eu-west-1", endpoint_url=server.url)), server
        connections.close()


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        (None, "https://sqs.eu-west-1.amazonaws.com/000000000000/uploads"),
        ("http://127.0.0.1:4566", "http://127.0.0.1:4566/000000000000/uploads"),
    ],
)
def test_the_queue_is_named_by_its_arn(endpoint: str | None, url: str) -> None:
    """A function may have several queues: which one a message is from, its record says."""
    assert queue_url(ARN, AwsSettings(region="eu-west-1", endpoint_url=endpoint)) == url


async def test_messages_are_changed_ten_a_call() -> None:
    """Twelve receipts are two calls; each message gets its own timeout."""
    async with visibility_of(lambda *_: json_response(b"{}")) as (visibility, server):
        assert await visibility.change(ARN, {f"r{n}": n for n in range(12)}) == 12

    assert [request.headers["x-amz-target"] for request in server.requests] == [
        "AmazonSQS.ChangeMessageVisibilityBatch"
    ] * 2
    bodies = [orjson.loads(request.body) for request in server.requests]
    assert bodies[0]["QueueUrl"].endswith("/000000000000/uploads")
    assert sorted(len(body["Entries"]) for body in bodies) == [2, 10]  # the calls are made at once
    assert all(len({entry["Id"] for entry in body["Entries"]}) == len(body["Entries"]) for body in bodies)
    entries = [entry for body in bodies for entry in body["Entries"]]
    assert {e["ReceiptHandle"]: e["VisibilityTimeout"] for e in entries} == {f"r{n}": n for n in range(12)}


async def test_what_sqs_refuses_is_not_counted() -> None:
    """An expired receipt, or a queue that answers with an error: the message then comes after its timeout."""
    failed = orjson.dumps({"Successful": [{"Id": "0"}], "Failed": [{"Id": "1", "Code": "ReceiptHandleIsInvalid"}]})
    async with visibility_of(lambda *_: json_response(failed)) as (visibility, _):
        assert await visibility.change(ARN, {"a": 0, "b": 20}) == 1
    async with visibility_of(lambda *_: json_response(b"{}", 503)) as (visibility, server):
        assert await visibility.change(ARN, {"a": 0, "b": 20}) == 0
        assert len(server.requests) == 1  # no second attempt: the invocation is about to end


@pytest.mark.parametrize("error", [ConfigError("no keys"), AwsUnreachable("NoCredentialsError", "", retryable=False)])
async def test_without_keys_nothing_is_changed(error: Exception) -> None:
    """What the credentials raise is logged: the batch's response is worth more than the seconds."""

    async def no_keys() -> Credentials:
        raise error

    connections = Connections("http://127.0.0.1:1")
    visibility = VisibilityClient(connections, no_keys, AwsSettings(region="eu-west-1"))
    assert await visibility.change(ARN, {"a": 0, "b": 20}) == 0
    connections.close()
