"""What the provisioner creates, and that the emulator then behaves as stack.yaml says."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from botocore.exceptions import ClientError

from emulator.embedded import ROOT_CREDENTIALS
from emulator.provision import Change, ProvisionError, RoleSource, provision
from shoebox.aws.clients import Clients
from shoebox.aws.signing import Presigner
from shoebox.config import AwsSettings
from shoebox.stack.deployment import ResolvedStack, resolve
from shoebox.stack.model import Key, Notification, Queue, Stack, Table, Topic
from tests.emulator.conftest import GATEWAY_URL, ClientsFor, EmulatorAt, bind_to


async def eventually(look: Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
    """Return what `look` gives as soon as it gives something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := await look():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"nothing came within {seconds} s")


async def messages(sqs: Any, url: str) -> list[dict[str, Any]]:
    """Messages that can be received now."""
    answer = await sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["ApproximateReceiveCount"]
    )
    return list(answer.get("Messages", []))


def changed(resolved: ResolvedStack, **parts: dict[str, Any]) -> ResolvedStack:
    """Return the same deployment with other parts in its stack."""
    return resolve(resolved.stack.model_copy(update=parts), resolved.deployment)


# --- the report --------------------------------------------------------------------------------------------------


async def test_everything_is_created_once(own_stack: ResolvedStack, root_clients: Clients):
    """The first run creates all, the second finds nothing to do."""
    first = await provision(own_stack, root_clients)
    stack = own_stack.stack
    described = [*stack.queues, *stack.buckets, *stack.topics, *stack.tables, *stack.functions]
    assert [o.name for o in first.outcomes] == [f"{own_stack.deployment.prefix}-{name}" for name in described]
    assert first.outcomes == first.having(Change.CREATED)
    second = await provision(own_stack, root_clients)
    assert second.outcomes == second.having(Change.UNCHANGED)


async def test_the_report_tells_what_was_done(own_stack: ResolvedStack, root_clients: Clients):
    """One line of counts and one for each change; nothing about what was left alone."""
    created = str(await provision(own_stack, root_clients))
    assert "12 created, 0 updated, 0 unchanged." in created
    assert f"queue   {own_stack.deployment.prefix}-uploads " in created
    assert str(await provision(own_stack, root_clients)).count("\n") == 0


async def test_what_others_changed_is_put_right(own_stack: ResolvedStack, root_clients: Clients):
    """Every setting that was changed by hand comes back, and the report names it."""
    await provision(own_stack, root_clients)
    s3, sqs, iam = await root_clients.open("s3"), await root_clients.open("sqs"), await root_clients.open("iam")
    dynamodb = await root_clients.open("dynamodb")
    bucket, role = own_stack.name_of("bucket", "personal"), own_stack.name_of("function", "api")
    table = own_stack.name_of("table", "files")
    await s3.delete_bucket_cors(Bucket=bucket)
    await s3.delete_public_access_block(Bucket=bucket)
    await s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    await sqs.set_queue_attributes(
        QueueUrl=own_stack.queue_url("uploads"), Attributes={"VisibilityTimeout": "1", "RedrivePolicy": ""}
    )
    await iam.put_role_policy(RoleName=role, PolicyName="permissions", PolicyDocument=json.dumps(ALL))
    await iam.put_role_policy(RoleName=role, PolicyName="more", PolicyDocument=json.dumps(ALL))
    await iam.update_role(RoleName=role, MaxSessionDuration=3600)
    specification = {"AttributeName": "expires_at", "Enabled": True}  # as stack.yaml had it once
    await dynamodb.update_time_to_live(TableName=table, TimeToLiveSpecification=specification)

    report = await provision(own_stack, root_clients)

    assert {o.name.partition("-")[2]: set(o.settings) for o in report.having(Change.UPDATED)} == {
        "personal": {"public access", "cors", "notifications"},
        "uploads": {"VisibilityTimeout", "RedrivePolicy"},
        "api": {"session duration", "removed more", "permissions"},
        "files": {"ttl"},
    }
    again = await provision(own_stack, root_clients)
    assert again.outcomes == again.having(Change.UNCHANGED)


ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


async def test_a_changed_description_is_followed(own_stack: ResolvedStack, root_clients: Clients):
    """New queues, topics and indexes are made, and what is no longer described loses its settings."""
    await provision(own_stack, root_clients)
    stack = own_stack.stack
    queues = {**stack.queues, "printing": Queue(dead_letter="deletions-dead"), "uploads": Queue(visibility_timeout=360)}
    tables = {"files": Table(key=Key(hash="pk"), indexes={"by-size": Key(hash="size")}, ttl="gone_at")}
    personal = stack.buckets["personal"].model_copy(update={"cors": None, "abort_incomplete_multipart_days": None})
    functions = {**stack.functions, "api": stack.functions["api"].model_copy(update={"permissions": {}})}
    other = changed(
        own_stack,
        queues=queues,
        topics={"file-events": Topic(queues=["printing"])},
        tables=tables,
        buckets={**stack.buckets, "personal": personal},
        functions=functions,
    )

    report = await provision(other, root_clients)

    assert [o.name.partition("-")[2] for o in report.having(Change.CREATED)] == ["printing"]
    assert {o.name.partition("-")[2]: set(o.settings) for o in report.having(Change.UPDATED)} == {
        "uploads": {"RedrivePolicy"},
        "personal": {"cors", "lifecycle"},
        "file-events": {"queue printing"},
        "files": {"index by-owner", "index by-size", "ttl"},
        "api": {"removed permissions"},
    }
    silent = await provision(changed(other, topics={"file-events": Topic()}), root_clients)
    quiet = {outcome.kind: outcome.settings for outcome in silent.having(Change.UPDATED)}
    assert quiet == {"queue": ("Policy",), "topic": ("queue printing",)}
    back = await provision(own_stack, root_clients)
    assert {o.kind for o in back.having(Change.UPDATED)} == {"queue", "bucket", "table", "role"}


async def test_a_changed_key_is_a_problem_with_a_name(own_stack: ResolvedStack, root_clients: Clients):
    """DynamoDB cannot change a key, and dropping a table is not ours to decide."""
    await provision(own_stack, root_clients)
    other = changed(own_stack, tables={"files": Table(key=Key(hash="id"))})
    with pytest.raises(ProvisionError, match=r"table own\d+-files: its key differs"):
        await provision(other, root_clients)


@pytest.mark.only_on("embedded", reason="LocalStack enforces no role's policy")
async def test_a_refusal_names_the_resource_and_the_reason(provisioned: ResolvedStack, clients_for: ClientsFor):
    """Who provisions without the right to is told where it failed and why."""
    with pytest.raises(
        ProvisionError, match=r"(queue|table|role) shoebox-\S+: \w+: AccessDenied\w*: User: .* not authorized"
    ):
        await provision(provisioned, await clients_for("authorizer"))


async def test_an_unreachable_place_is_a_problem_too(resolved: ResolvedStack, unused_tcp_port: int):
    """No traceback of a network library, but the resource and the address."""
    settings = AwsSettings(endpoint_url=f"http://127.0.0.1:{unused_tcp_port}")
    async with Clients(settings, ROOT_CREDENTIALS) as clients:
        with pytest.raises(ProvisionError, match="Could not connect to the endpoint URL"):
            await provision(resolved, clients)


async def test_queues_that_are_each_others_dead_letters_are_refused(own_stack: ResolvedStack, root_clients: Clients):
    """A circle of dead-letter queues has no first one to create."""
    circle = {"one": Queue(dead_letter="two"), "two": Queue(dead_letter="one")}
    with pytest.raises(ProvisionError, match="each other's dead-letter queues"):
        await provision(changed(own_stack, queues={**own_stack.stack.queues, **circle}), root_clients)


# --- buckets -----------------------------------------------------------------------------------------------------


async def test_an_upload_by_a_roles_url_reaches_the_queue(
    own_stack: ResolvedStack, root_clients: Clients, emulator: EmulatorAt, http: aiohttp.ClientSession
):
    """The api's presigned PUT, sent as a page does, becomes a message with bucket, key and size."""
    await provision(own_stack, root_clients)
    bucket, sqs = own_stack.name_of("bucket", "personal"), await root_clients.open("sqs")
    keys = (await RoleSource(own_stack, root_clients)("api")).keys
    presigner = Presigner(keys, region="us-east-1", endpoint_url=emulator.url)
    sent = {"content-type": "image/jpeg"}
    key = "originals/demo/me/f1"
    url = presigner.url("PUT", bucket, key, at=datetime.now(UTC), expires=60, headers=sent)
    put = await http.put(url, data=b"photo", headers={**sent, "Origin": GATEWAY_URL, "Sec-Fetch-Mode": "cors"})
    assert put.status == 200
    assert put.headers["Access-Control-Allow-Origin"] == GATEWAY_URL

    async def records() -> list[Any]:
        bodies = [json.loads(m["Body"]) for m in await messages(sqs, own_stack.queue_url("uploads"))]
        return [record for body in bodies for record in body.get("Records", [])]

    (record,) = await eventually(records)
    assert record["s3"]["bucket"]["name"] == bucket
    assert (record["s3"]["object"]["key"], record["s3"]["object"]["size"]) == (key, 5)


async def test_other_prefixes_send_no_events(own_stack: ResolvedStack, root_clients: Clients):
    """A rendition that the worker writes does not come back to it as an upload."""
    await provision(own_stack, root_clients)
    s3, sqs = await root_clients.open("s3"), await root_clients.open("sqs")
    bucket = own_stack.name_of("bucket", "personal")
    for key in ("renditions/demo/me/f1/320.jpg", "originals/demo/me/f1"):
        await s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    seen: list[str] = []

    async def original_came() -> bool:
        bodies = [json.loads(m["Body"]) for m in await messages(sqs, own_stack.queue_url("uploads"))]
        seen.extend(r["s3"]["object"]["key"] for body in bodies for r in body.get("Records", []))
        return "originals/demo/me/f1" in seen

    await eventually(original_came)
    assert seen == ["originals/demo/me/f1"]


@pytest.mark.only_on("embedded", reason="LocalStack enforces no queue's policy")
async def test_only_the_described_bucket_may_send_to_the_queue(own_stack: ResolvedStack, root_clients: Clients):
    """The queue's policy names one bucket; S3 refuses to connect another."""
    await provision(own_stack, root_clients)
    s3 = await root_clients.open("s3")
    other, queue = f"{own_stack.deployment.prefix}-stranger", own_stack.arn_of("queue", "uploads")
    await s3.create_bucket(Bucket=other)
    configuration = {"QueueConfigurations": [{"QueueArn": queue, "Events": ["s3:ObjectCreated:*"]}]}
    with pytest.raises(s3.exceptions.ClientError, match="Unable to validate the following destination"):
        await s3.put_bucket_notification_configuration(Bucket=other, NotificationConfiguration=configuration)


def invoking_cleanup(resolved: ResolvedStack) -> ResolvedStack:
    """Return the stack, but S3 invokes `cleanup` for each original."""
    notification = Notification(events=["s3:ObjectCreated:*"], prefix="originals/", function="cleanup")
    personal = resolved.stack.buckets["personal"].model_copy(update={"notifications": [notification]})
    return changed(resolved, buckets={**resolved.stack.buckets, "personal": personal})


async def test_a_bucket_that_notifies_a_function_has_a_queue_for_it(own_stack: ResolvedStack, root_clients: Clients):
    """Queue and role are made once, under names that say so; S3's events come to the queue, and not to `uploads`."""
    resolved = invoking_cleanup(own_stack)
    first = await provision(resolved, root_clients)
    again = await provision(resolved, root_clients)

    name = f"{own_stack.deployment.prefix}-s3-to-cleanup"
    assert [o.kind for o in first.having(Change.CREATED) if o.name == name] == ["queue", "role"]
    assert again.outcomes == again.having(Change.UNCHANGED)
    s3, sqs = await root_clients.open("s3"), await root_clients.open("sqs")
    await s3.put_object(Bucket=resolved.name_of("bucket", "personal"), Key="originals/a/b/c", Body=b"x")
    url = (await sqs.get_queue_url(QueueName=name))["QueueUrl"]
    keys: list[str] = []

    async def came() -> bool:
        bodies = [json.loads(m["Body"]) for m in await messages(sqs, url)]
        keys.extend(r["s3"]["object"]["key"] for body in bodies for r in body.get("Records", []))
        return bool(keys)

    await eventually(came)
    assert keys == ["originals/a/b/c"]
    assert await messages(sqs, resolved.queue_url("uploads")) == []


@pytest.mark.only_on("embedded", reason="LocalStack enforces no role's policy")
async def test_only_s3s_own_role_may_take_from_that_queue(
    own_stack: ResolvedStack, root_clients: Clients, emulator: EmulatorAt
):
    """The function's role has no right to it, as on AWS, where there is no such queue."""
    resolved = invoking_cleanup(own_stack)
    await provision(resolved, root_clients)
    source = RoleSource(resolved, root_clients)

    url = own_stack.queue_url("uploads").replace("uploads", "s3-to-cleanup")

    async def received(role: str) -> list[dict[str, Any]]:
        async with Clients(emulator.aws, (await source(role)).keys) as clients:
            return await messages(await clients.open("sqs"), url)

    (test_event,) = await received("s3-to-cleanup")
    assert json.loads(test_event["Body"])["Event"] == "s3:TestEvent"
    with pytest.raises(ClientError, match="AccessDenied"):
        await received("cleanup")


async def test_the_galleries_origin_may_upload_and_no_other(
    provisioned: ResolvedStack, emulator: EmulatorAt, http: aiohttp.ClientSession
):
    """CORS lets in the gateway's own pages, with the headers of an upload."""
    address = f"{emulator.url}/{provisioned.name_of('bucket', 'personal')}/originals/a/b/c"
    asks = {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type,x-amz-checksum-sha256",
    }
    ours = await http.options(address, headers=asks | {"Origin": GATEWAY_URL})
    foreign = await http.options(address, headers=asks | {"Origin": "http://evil.example"})
    assert (ours.status, ours.headers["Access-Control-Allow-Origin"]) == (200, GATEWAY_URL)
    assert (foreign.status, foreign.headers.get("Access-Control-Allow-Origin")) == (403, None)


@pytest.mark.only_on("embedded", reason="LocalStack enforces no bucket's policy")
async def test_anyone_reads_the_public_keys_and_nothing_else(
    provisioned: ResolvedStack, root_clients: Clients, emulator: EmulatorAt, http: aiohttp.ClientSession
):
    """Only `keys/` of the public bucket is open; listing and writing are not, nor is anything personal."""
    s3 = await root_clients.open("s3")
    public, personal = provisioned.name_of("bucket", "public"), provisioned.name_of("bucket", "personal")
    for bucket, key in ((public, "keys/anyone.json"), (public, "other"), (personal, "originals/keys/anyone.json")):
        await s3.put_object(Bucket=bucket, Key=key, Body=b"{}")

    async def status(method: str, path: str) -> int:
        async with http.request(method, f"{emulator.url}/{path}") as answer:
            return answer.status

    assert await status("GET", f"{public}/keys/anyone.json") == 200
    refused = [
        await status("GET", f"{public}/other"),
        await status("GET", public),
        await status("PUT", f"{public}/keys/mine.json"),
        await status("DELETE", f"{public}/keys/anyone.json"),
        await status("GET", f"{personal}/originals/keys/anyone.json"),
        await status("GET", personal),
    ]
    assert refused == [403] * 6


async def test_buckets_are_closed_encrypted_and_tidied(provisioned: ResolvedStack, root_clients: Clients):
    """The settings that no request shows are there."""
    s3 = await root_clients.open("s3")
    name = provisioned.name_of("bucket", "personal")
    block = await s3.get_public_access_block(Bucket=name)
    owner = await s3.get_bucket_ownership_controls(Bucket=name)
    encryption = await s3.get_bucket_encryption(Bucket=name)
    lifecycle = await s3.get_bucket_lifecycle_configuration(Bucket=name)
    assert set(block["PublicAccessBlockConfiguration"].values()) == {True}
    assert owner["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    rule = encryption["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert lifecycle["Rules"][0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}


# --- queues, topics, tables --------------------------------------------------------------------------------------


async def test_a_message_that_fails_eight_times_is_put_aside(own_stack: ResolvedStack, root_clients: Clients):
    """The eighth receive is the last one; then the message waits in the dead-letter queue."""
    await provision(own_stack, root_clients)
    sqs = await root_clients.open("sqs")
    url, dead = own_stack.queue_url("deletions"), own_stack.queue_url("deletions-dead")
    await sqs.send_message(QueueUrl=url, MessageBody="poison")
    counts = []
    for _ in range(8):
        (message,) = await messages(sqs, url)
        counts.append(message["Attributes"]["ApproximateReceiveCount"])
        await sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    assert counts == ["1", "2", "3", "4", "5", "6", "7", "8"]
    assert await messages(sqs, url) == []
    (aside,) = await eventually(lambda: messages(sqs, dead))
    assert aside["Body"] == "poison"


async def test_queues_have_their_times(provisioned: ResolvedStack, root_clients: Clients):
    """Visibility, retention and encryption are what stack.yaml says."""
    sqs = await root_clients.open("sqs")
    answer = await sqs.get_queue_attributes(QueueUrl=provisioned.queue_url("uploads"), AttributeNames=["All"])
    attributes = answer["Attributes"]
    assert (attributes["VisibilityTimeout"], attributes["MessageRetentionPeriod"]) == ("360", str(4 * 86_400))
    assert attributes["SqsManagedSseEnabled"] == "true"


async def test_a_subscribed_queue_gets_the_bare_message(own_stack: ResolvedStack, root_clients: Clients):
    """Raw delivery: the queue's message is the event itself, not SNS's envelope."""
    queues = {**own_stack.stack.queues, "shop": Queue()}
    resolved = changed(own_stack, queues=queues, topics={"file-events": Topic(queues=["shop"])})
    await provision(resolved, root_clients)
    sns, sqs = await root_clients.open("sns"), await root_clients.open("sqs")
    await sns.publish(TopicArn=resolved.arn_of("topic", "file-events"), Message='{"event": "file.ready"}')
    (message,) = await eventually(lambda: messages(sqs, resolved.queue_url("shop")))
    assert message["Body"] == '{"event": "file.ready"}'


async def test_a_table_has_its_keys_and_index_and_no_ttl(provisioned: ResolvedStack, root_clients: Clients):
    """Paid per request, the index with all attributes; nothing but clean-up deletes items."""
    dynamodb = await root_clients.open("dynamodb")
    name = provisioned.name_of("table", "files")
    table = (await dynamodb.describe_table(TableName=name))["Table"]
    ttl = (await dynamodb.describe_time_to_live(TableName=name))["TimeToLiveDescription"]
    (index,) = table["GlobalSecondaryIndexes"]
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert (index["IndexName"], index["Projection"]) == ("by-owner", {"ProjectionType": "ALL"})
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert ttl["TimeToLiveStatus"] == "DISABLED"


async def test_another_region_is_named_to_s3(root_clients: Clients, emulator: EmulatorAt, stack: Stack):
    """Outside us-east-1 a bucket needs its location said."""
    resolved = bind_to(emulator, stack, prefix="faraway")
    there = resolve(stack, resolved.deployment.model_copy(update={"region": "eu-central-1"}))
    settings = emulator.aws.model_copy(update={"region": "eu-central-1"})
    async with Clients(settings, ROOT_CREDENTIALS) as clients:
        await provision(there, clients)
        location = await (await clients.open("s3")).get_bucket_location(Bucket="faraway-personal")
        assert location["LocationConstraint"] == "eu-central-1"
        again = await provision(there, clients)
    assert again.outcomes == again.having(Change.UNCHANGED)
