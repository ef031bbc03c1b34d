"""Least privilege, enforced: each function can do what stack.yaml grants it, and nothing else.

Every call below is a real one, with the credentials of the function's role, so a missing permission looks here as it
looks in AWS. A permission that is added to stack.yaml without a call in `CALLS` fails `test_every_action_has_a_call`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.embedded import ROOT_CREDENTIALS
from emulator.provision import RoleSource, provision
from emulator.provision.roles import ensure_roles
from shoebox.aws.clients import Clients
from shoebox.stack.deployment import ResolvedStack, resolve
from shoebox.stack.model import Stack, load_stack
from shoebox.stack.policies import Grant, statements
from tests.emulator.conftest import STACK_FILE, ClientsFor, EmulatorAt, bind_to

pytestmark = pytest.mark.only_on("embedded", reason="LocalStack stores policies and enforces none")
DENIED = {"AccessDenied", "AccessDeniedException", "AuthorizationError", "403"}
STACK = load_stack(STACK_FILE)
KEY = {"pk": {"S": "F#demo#me#f1"}}
GONE = "gone-or-never-there"


@dataclass(frozen=True)
class Target:
    """What a permission names: a resource of the stack and, in a bucket, a key."""

    resolved: ResolvedStack
    name: str
    key: str = ""

    @property
    def url(self) -> str:
        """URL of the queue."""
        return self.resolved.queue_url(self.name)

    @property
    def bucket(self) -> dict[str, str]:
        """Bucket and key, as S3's calls name them."""
        return {"Bucket": self.resolved.name_of("bucket", self.name), "Key": self.key}

    @property
    def table(self) -> str:
        """Name of the table."""
        return self.resolved.name_of("table", self.name)

    @property
    def topic(self) -> str:
        """ARN of the topic."""
        return self.resolved.arn_of("topic", self.name)


Call = Callable[[Any, Target], Awaitable[Any]]
CallerFor = Callable[[str], Awaitable["Caller"]]

# One call an IAM action. What it does to the resource does not matter, only whether it is let in.
CALLS: dict[str, Call] = {
    "dynamodb:GetItem": lambda c, t: c.get_item(TableName=t.table, Key=KEY),
    "dynamodb:BatchGetItem": lambda c, t: c.batch_get_item(RequestItems={t.table: {"Keys": [KEY]}}),
    "dynamodb:Query": lambda c, t: c.query(
        TableName=t.table,
        IndexName="by-owner",
        KeyConditionExpression="owner_shard = :o",
        ExpressionAttributeValues={":o": {"S": "demo#me#0"}},
    ),
    "dynamodb:PutItem": lambda c, t: c.put_item(TableName=t.table, Item=KEY),
    "dynamodb:UpdateItem": lambda c, t: c.update_item(TableName=t.table, Key=KEY),
    "dynamodb:DeleteItem": lambda c, t: c.delete_item(TableName=t.table, Key=KEY),
    "dynamodb:ConditionCheckItem": lambda c, t: c.transact_write_items(
        TransactItems=[
            {"ConditionCheck": {"TableName": t.table, "Key": KEY, "ConditionExpression": "attribute_not_exists(x)"}}
        ]
    ),
    "s3:GetObject": lambda c, t: c.get_object(**t.bucket),
    "s3:PutObject": lambda c, t: c.put_object(**t.bucket, Body=b"x"),
    "s3:ListBucket": lambda c, t: c.list_objects_v2(Bucket=t.bucket["Bucket"], Prefix=t.key),
    "s3:DeleteObject": lambda c, t: c.delete_object(**t.bucket),
    "s3:AbortMultipartUpload": lambda c, t: c.abort_multipart_upload(**t.bucket, UploadId=GONE),
    "s3:ListMultipartUploadParts": lambda c, t: c.list_parts(**t.bucket, UploadId=GONE),
    "sqs:SendMessage": lambda c, t: c.send_message(QueueUrl=t.url, MessageBody="x"),
    "sqs:ReceiveMessage": lambda c, t: c.receive_message(QueueUrl=t.url),
    "sqs:DeleteMessage": lambda c, t: c.delete_message(QueueUrl=t.url, ReceiptHandle=GONE),
    "sqs:ChangeMessageVisibility": lambda c, t: c.change_message_visibility(
        QueueUrl=t.url, ReceiptHandle=GONE, VisibilityTimeout=0
    ),
    "sqs:GetQueueAttributes": lambda c, t: c.get_queue_attributes(QueueUrl=t.url, AttributeNames=["All"]),
    "sns:Publish": lambda c, t: c.publish(TopicArn=t.topic, Message="x"),
}

# Never granted to any function: each would reach over what the system is built on.
NEVER: dict[str, Call] = {
    "dynamodb:Scan": lambda c, t: c.scan(TableName=t.resolved.name_of("table", "files")),
    "dynamodb:DeleteTable": lambda c, t: c.delete_table(TableName=t.resolved.name_of("table", "files")),
    "s3:ListBucket": lambda c, t: c.list_objects_v2(Bucket=t.resolved.name_of("bucket", "personal")),
    "s3:DeleteBucket": lambda c, t: c.delete_bucket(Bucket=t.resolved.name_of("bucket", "public")),
    "s3:PutBucketPolicy": lambda c, t: c.put_bucket_policy(
        Bucket=t.resolved.name_of("bucket", "personal"), Policy="{}"
    ),
    "sqs:PurgeQueue": lambda c, t: c.purge_queue(QueueUrl=t.resolved.queue_url("uploads")),
    "iam:PutRolePolicy": lambda c, t: c.put_role_policy(
        RoleName=t.resolved.name_of("function", "authorizer"), PolicyName="more", PolicyDocument="{}"
    ),
    "sts:AssumeRole": lambda c, t: c.assume_role(RoleArn=t.resolved.role_arn_of("api"), RoleSessionName="stolen"),
}


def actions_of(resolved: ResolvedStack, target: str, word: str) -> list[str]:
    """Return the IAM actions of one word of one permission, without the batch forms, which have their own test."""
    kind, name, *keys = target.split("/", 2)
    grant = Grant(kind=kind, arn=resolved.arn_of(kind, name), keys="".join(keys), actions=(word,))
    return singles(action for statement in statements(grant) for action in statement["Action"])


def singles(actions: Iterable[str]) -> list[str]:
    """Return the actions without those that are only the batch form of another."""
    known = list(actions)
    return [
        action for action in known if action.removesuffix("Batch") == action or action[: -len("Batch")] not in known
    ]


def target_of(resolved: ResolvedStack, permission: str) -> Target:
    """Return the resource that a permission names; a key pattern becomes a key that fits it."""
    _, name, *keys = permission.split("/", 2)
    return Target(resolved, name, "".join(keys).replace("*", "demo/me/f1"))


class Caller:
    """Makes calls with one set of credentials."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._opened: dict[str, Any] = {}

    async def refusal(self, action: str, call: Call, target: Target) -> str | None:
        """Return what AWS says when it refuses the caller; None when it allows the call, whatever comes of it.

        A missing object is let in, and then hidden from who may not list: that is about another action.
        """
        service = action.partition(":")[0]
        if service not in self._opened:
            self._opened[service] = await self._clients.open(service)
        try:
            await call(self._opened[service], target)
        except ClientError as error:
            said = str(error.response["Error"]["Message"])
            if error.response["Error"]["Code"] in DENIED and not hides(said, action):
                return said
        return None


def hides(message: str, action: str) -> bool:
    """Whether S3 refuses to tell that an object is not there ("GetObject", Permissions)."""
    return "not authorized to perform: s3:ListBucket" in message and action != "s3:ListBucket"


@pytest.fixture(scope="module")
def own(emulator: EmulatorAt, stack: Stack) -> ResolvedStack:
    """Provide a stack for this module, whose roles it may rewrite."""
    resolved = bind_to(emulator, stack, prefix="permissions")

    async def create() -> None:
        async with Clients(emulator.aws, ROOT_CREDENTIALS) as clients:
            await provision(resolved, clients)

    with asyncio.Runner() as runner:
        runner.run(create())
    return resolved


@pytest.fixture
async def as_function(emulator: EmulatorAt, own: ResolvedStack, root_clients: Clients) -> AsyncIterator[CallerFor]:
    """Callers with the credentials of a function's role in `own`."""
    source = RoleSource(own, root_clients)
    async with AsyncExitStack() as opened:

        async def caller_for(function: str) -> Caller:
            return Caller(await opened.enter_async_context(Clients(emulator.aws, (await source(function)).keys)))

        yield caller_for


GRANTS = [
    pytest.param(function, permission, word, id=f"{function} {permission} {word}")
    for function, description in STACK.functions.items()
    for permission, words in description.permissions.items()
    for word in words
]


@pytest.mark.parametrize(("function", "permission", "word"), GRANTS)
async def test_each_permission_is_needed(
    function: str, permission: str, word: str, own: ResolvedStack, root_clients: Clients, as_function: ClientsFor
):
    """With it the calls go through; without it each is denied, and the message names the missing action."""
    caller, iam = await as_function(function), await root_clients.open("iam")
    target, actions = target_of(own, permission), actions_of(own, permission, word)
    for action in actions:
        assert await caller.refusal(action, CALLS[action], target) is None
    try:
        await ensure_roles(without(own, function, permission, word), iam)
        for action in actions:
            said = await caller.refusal(action, CALLS[action], target)
            assert said is not None, f"{action} went through without the permission"
            assert f"not authorized to perform: {action}" in said
    finally:
        await ensure_roles(own, iam)


def without(resolved: ResolvedStack, function: str, permission: str, word: str) -> ResolvedStack:
    """Return the stack with one word taken out of one permission."""
    description = resolved.stack.functions[function]
    words = [other for other in description.permissions[permission] if other != word]
    rest = {name: kept for name, kept in description.permissions.items() if name != permission}
    poorer = description.model_copy(update={"permissions": rest | ({permission: words} if words else {})})
    functions = {**resolved.stack.functions, function: poorer}
    return resolve(resolved.stack.model_copy(update={"functions": functions}), resolved.deployment)


def everything(resolved: ResolvedStack) -> list[tuple[str, Target]]:
    """Every action on every resource; in buckets under each prefix in use, and beside them."""
    services = {"dynamodb": "tables", "sqs": "queues", "sns": "topics"}
    plain = [
        (action, Target(resolved, name))
        for action in CALLS
        if (part := services.get(action.partition(":")[0]))
        for name in getattr(resolved.stack, part)
    ]
    keys = ("originals/demo/me/f1", "renditions/demo/me/f1/320.jpg", "keys/demo.json", "elsewhere/x", "originals")
    stored = [
        (action, Target(resolved, bucket, key))
        for action in CALLS
        if action.startswith("s3:")
        for bucket in resolved.stack.buckets
        for key in keys
        # Anyone may read the public keys; that is the bucket's own policy.
        if (action, bucket, key) != ("s3:GetObject", "public", "keys/demo.json")
    ]
    return [*plain, *stored]


@pytest.mark.parametrize("function", STACK.functions)
async def test_nothing_else_is_allowed(function: str, own: ResolvedStack, as_function: CallerFor):
    """Of every action on every resource, exactly the granted ones go through."""
    caller = await as_function(function)
    granted = {
        (action, target_of(own, permission).name, target_of(own, permission).key.partition("/")[0])
        for permission, words in own.stack.functions[function].permissions.items()
        for word in words
        for action in actions_of(own, permission, word)
    }
    let_in = [
        (action, target.name, target.key)
        for action, target in everything(own)
        if await caller.refusal(action, CALLS[action], target) is None
    ]
    surplus = [c for c in let_in if (c[0], c[1], c[2].partition("/")[0]) not in granted or c[2] == "originals"]
    assert not surplus


@pytest.mark.parametrize("function", STACK.functions)
async def test_no_function_reaches_over_the_system(function: str, own: ResolvedStack, as_function: CallerFor):
    """Scanning, listing, dropping, rewriting policies and taking other roles are for nobody."""
    caller = await as_function(function)
    for action, call in NEVER.items():
        said = await caller.refusal(action, call, Target(own, ""))
        assert said is not None, f"{function} may {action}"
        assert action in said


async def test_batches_need_no_permission_of_their_own(provisioned: ResolvedStack, clients_for: ClientsFor):
    """Who may do it once may do it ten times in one call, as in AWS, where a batch is checked as its single action."""
    ingest, api = await clients_for("ingest"), await clients_for("api")
    sqs, url = await ingest.open("sqs"), provisioned.queue_url("uploads")
    entries = [{"Id": "1", "ReceiptHandle": GONE}]
    deleted = await sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    hidden = await sqs.change_message_visibility_batch(
        QueueUrl=url, Entries=[entry | {"VisibilityTimeout": 0} for entry in entries]
    )
    codes = [entry["Code"] for answer in (deleted, hidden) for entry in answer["Failed"]]
    assert codes == ["ReceiptHandleIsInvalid"] * 2
    sent = await (await api.open("sqs")).send_message_batch(
        QueueUrl=provisioned.queue_url("deletions"), Entries=[{"Id": "1", "MessageBody": "x"}]
    )
    published = await (await ingest.open("sns")).publish_batch(
        TopicArn=provisioned.arn_of("topic", "file-events"), PublishBatchRequestEntries=[{"Id": "1", "Message": "x"}]
    )
    assert [entry["Id"] for answer in (sent, published) for entry in answer["Successful"]] == ["1", "1"]


def test_every_action_has_a_call(resolved: ResolvedStack):
    """The tests above know every action that stack.yaml grants."""
    granted = {a for f in STACK.functions for s in resolved.policy(f)["Statement"] for a in singles(s["Action"])}
    assert granted <= CALLS.keys()
