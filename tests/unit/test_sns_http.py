"""SNS over plain HTTP: the form is botocore's, and so are the errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials
from botocore.exceptions import ClientError, HTTPClientError
from botocore.serialize import create_serializer

from shoebox.aws.connections import Connections
from shoebox.aws.credentials import Credentials
from shoebox.aws.json_service import Patience
from shoebox.aws.query_service import FORM
from shoebox.aws.sigv4 import Signer
from shoebox.aws.sns import SnsHttp
from tests.scripted_server import Script, ScriptedServer, answer, scripted_server

KEYS = Credentials("ASIAONE", "secret", "token")
TOPIC = "arn:aws:sns:eu-west-1:000000000000:file-events"
NAMESPACE = "http://sns.amazonaws.com/doc/2010-03-31/"
ENTRIES = [
    {
        "Id": str(n),
        "Message": f'{{"name": "Grüße & {n}=+"}}',
        "MessageAttributes": {
            "event": {"DataType": "String", "StringValue": "file.ready"},
            "tenant": {"DataType": "String", "StringValue": "démo"},
        },
    }
    for n in range(2)
]
PUBLISHED = (
    f'<PublishBatchResponse xmlns="{NAMESPACE}"><PublishBatchResult>'
    "<Successful><member><Id>0</Id><MessageId>m</MessageId></member></Successful>"
    "<Failed><member><Id>1</Id><Code>InternalError</Code><SenderFault>false</SenderFault></member></Failed>"
    "</PublishBatchResult></PublishBatchResponse>"
).encode()


def refused(code: str, status: int) -> bytes:
    """An error as SNS gives it."""
    error = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>because</Message></Error>"
    return answer(f'<ErrorResponse xmlns="{NAMESPACE}">{error}</ErrorResponse>'.encode(), status)


@asynccontextmanager
async def sns_of(script: Script) -> AsyncIterator[tuple[SnsHttp, ScriptedServer]]:
    """A client whose server answers by `script`."""

    async def keys() -> Credentials:
        return KEYS

    async with scripted_server(script) as server:
        connections = Connections(server.url)
        patience = Patience(attempts=4, first_pause=0.0)
        yield SnsHttp(connections, keys, region="eu-west-1", patience=patience), server
        connections.close()


async def test_the_form_is_botocores():
    """Name by name and value by value, as the reference client writes it."""
    async with sns_of(lambda n, _: answer(PUBLISHED)) as (sns, server):
        await sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=ENTRIES)
    model = botocore.session.get_session().get_service_model("sns")
    theirs = create_serializer("query").serialize_to_request(
        {"TopicArn": TOPIC, "PublishBatchRequestEntries": ENTRIES}, model.operation_model("PublishBatch")
    )
    (request,) = server.requests
    assert dict(parse_qsl(request.body.decode(), keep_blank_values=True)) == theirs["body"]
    assert request.headers["content-type"] == theirs["headers"]["Content-Type"]
    assert "x-amz-target" not in request.headers


def test_a_signature_without_a_target_is_botocores():
    """The headers that are there are signed, and no other."""
    request = AWSRequest("POST", "https://sns.example/", {"Content-Type": FORM}, b"Action=X")
    theirs = BotoCredentials(KEYS.access_key_id, KEYS.secret_access_key, KEYS.session_token)
    SigV4Auth(theirs, "sns", "r").add_auth(request)
    signer = Signer(KEYS, region="r", service="sns", host="sns.example", content_type=FORM)
    head = signer.head("", b"Action=X", _seconds(request.headers["X-Amz-Date"]))
    ours = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
    assert ours["Authorization"] == request.headers["Authorization"]


def _seconds(stamp: str) -> float:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()


async def test_what_was_taken_and_what_failed_is_told():
    """Each entry by its id, as botocore gives it."""
    async with sns_of(lambda n, _: answer(PUBLISHED)) as (sns, _):
        found = await sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=ENTRIES)
    assert found["Successful"] == [{"Id": "0", "MessageId": "m"}]
    assert [entry["Id"] for entry in found["Failed"]] == ["1"]


@pytest.mark.parametrize(("code", "status", "tries"), [("AuthorizationError", 403, 1), ("Throttling", 400, 4)])
async def test_a_refusal_is_botocores_client_error(code: str, status: int, tries: int):
    """Throttling is tried again, four times in all."""
    async with sns_of(lambda n, _: refused(code, status)) as (sns, server):
        with pytest.raises(ClientError) as caught:
            await sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=ENTRIES)
    assert (caught.value.response["Error"], len(server.requests)) == ({"Code": code, "Message": "because"}, tries)


@pytest.mark.parametrize(("given", "error"), [(answer(b"<html>", 502), ClientError), (answer(b"{}"), HTTPClientError)])
async def test_what_is_no_xml_is_an_error(given: bytes, error: type[Exception]):
    """A proxy's page, or another protocol."""
    async with sns_of(lambda n, _: given) as (sns, _):
        with pytest.raises(error):
            await sns.publish_batch(TopicArn=TOPIC, PublishBatchRequestEntries=ENTRIES)
