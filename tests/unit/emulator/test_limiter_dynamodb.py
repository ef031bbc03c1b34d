"""DynamoDB calls through the limiter: what passes, what is refused and how, what is learnt from answers."""

import hashlib
import math
import zlib
from typing import Any

import orjson
import pytest
from limiter_fakes import ARN, DESCRIPTION, FakeDynamoDB, Reply, dynamodb, request, scope_of

from emulator.limiter.middleware import Limiter, from_json, is_unlimited, to_json
from emulator.limiter.usage import PATH, parse_data_use
from fleet.limits.quotas import DynamoDBQuotas, Quotas, load_quotas

INDEX_ARN = f"{ARN}/index/by-owner"


class Clock:
    """Time that passes when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        """Now."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Provide the limiter's time."""
    return Clock()


@pytest.fixture
def emulator() -> FakeDynamoDB:
    """Return what is behind the limiter."""
    return FakeDynamoDB()


@pytest.fixture
def limiter(emulator: FakeDynamoDB, clock: Clock) -> Limiter:
    """Two writes and two reads a second for each partition."""
    return limiter_with(emulator, clock, partition_writes=2, partition_reads=2)


def limiter_with(emulator: FakeDynamoDB, clock: Clock, **rates: float) -> Limiter:
    """Other rates."""
    return Limiter(emulator, Quotas(dynamodb=DynamoDBQuotas(**rates)), clock)


def item(pk: str = "a", owner: str | None = None, size: int = 0) -> dict[str, Any]:
    """Return an item; with an owner the index has it."""
    indexed = {"owner": {"S": owner}, "listed": {"S": pk}} if owner else {}
    return {"pk": {"S": pk}, **indexed, **({"text": {"S": "x" * size}} if size else {})}


def key(pk: str = "a") -> dict[str, Any]:
    """Return an item's key."""
    return {"pk": {"S": pk}}


async def put(limiter: Limiter, pk: str = "a", owner: str | None = None, size: int = 0, **more: Any) -> Reply:
    """PutItem."""
    return await dynamodb(limiter, "PutItem", TableName="files", Item=item(pk, owner, size), **more)


def used(limiter: Limiter, clock: Clock, limit: str, subject: str = "files") -> float:
    """How much of a limit this second's calls took; a second passes."""
    clock.now += 1
    return next((use.used for use in limiter.uses() if (use.limit, use.subject) == (limit, subject)), 0.0)


def reason(reply: Reply) -> tuple[str, str, str]:
    """Exception, reason and resource of a refusal."""
    document = reply.document
    reasons = document.get("throttlingReasons") or document["ThrottlingReasons"]
    return document["__type"].rpartition("#")[2], reasons[0]["reason"], reasons[0]["resource"]


async def test_a_call_passes_as_it_is(limiter: Limiter, emulator: FakeDynamoDB):
    """Request, answer and headers are not touched."""
    emulator.answer = {"Attributes": {}}
    reply = await put(limiter)
    assert (reply.status, reply.document, reply.headers[b"x-of-theirs"]) == (200, {"Attributes": {}}, b"kept")
    assert emulator.requests[-1] == ("PutItem", {"TableName": "files", "Item": item()})


async def test_a_hot_key_is_refused_as_by_aws(limiter: Limiter, emulator: FakeDynamoDB):
    """ "Error handling with DynamoDB": ThrottlingException on on-demand tables, with its ThrottlingReason."""
    for _ in range(2):
        await put(limiter)
    refused = await put(limiter)
    assert reason(refused) == ("ThrottlingException", "TableWriteKeyRangeThroughputExceeded", ARN)
    assert refused.status == 400
    assert refused.document["message"].startswith("Throughput exceeds the current capacity of your table or index.")
    assert refused.headers[b"content-type"] == b"application/x-amz-json-1.0"
    assert refused.headers[b"x-amzn-errortype"] == b"ThrottlingException"
    assert refused.headers[b"x-amz-crc32"] == str(zlib.crc32(refused.body)).encode()
    assert emulator.operations == ["PutItem"] * 2
    assert (await put(limiter, "another")).status == 200


async def test_a_hot_index_key_refuses_writes_of_the_table(limiter: Limiter):
    """ "Understanding GSI write throttling and back pressure": the resource is the index."""
    for pk in "ab":
        assert (await put(limiter, pk, "anna")).status == 200
    refused = await put(limiter, "c", "anna")
    assert reason(refused) == ("ThrottlingException", "IndexWriteKeyRangeThroughputExceeded", INDEX_ARN)
    assert "global secondary indexes" in refused.document["message"]
    assert (await put(limiter, "d", "bob")).status == 200
    assert (await put(limiter, "e")).status == 200


QUOTA = [
    ("PutItem", {"Item": item()}, {"table_writes": 1}, "RequestLimitExceeded", "TableWriteAccountLimitExceeded"),
    ("GetItem", {"Key": key()}, {"table_reads": 0.5}, "RequestLimitExceeded", "TableReadAccountLimitExceeded"),
]


@pytest.mark.parametrize(("operation", "parameters", "rates", "exception", "why"), QUOTA, ids=["write", "read"])
async def test_the_accounts_quota_is_told_apart(
    emulator: FakeDynamoDB,
    clock: Clock,
    operation: str,
    parameters: dict[str, Any],
    rates: dict[str, float],
    exception: str,
    why: str,
):
    """ "Error handling with DynamoDB": the account's throughput is RequestLimitExceeded."""
    limiter = limiter_with(emulator, clock, **rates)
    assert (await dynamodb(limiter, operation, TableName="files", **parameters)).status == 200
    assert reason(await dynamodb(limiter, operation, TableName="files", **parameters)) == (exception, why, ARN)


async def test_an_indexs_quota_is_back_pressure(emulator: FakeDynamoDB, clock: Clock):
    """ "GSI account limits exceeded": a ThrottlingException, unlike the table's own."""
    limiter = limiter_with(emulator, clock, table_writes=4)
    await put(limiter, "a", "anna")
    for owner in ("bob", "carl"):  # twice two writes of the index, one of the table
        await dynamodb(limiter, "UpdateItem", **moved_to(owner))
    refused = await dynamodb(limiter, "UpdateItem", **moved_to("dora"))
    assert reason(refused) == ("ThrottlingException", "IndexWriteAccountLimitExceeded", INDEX_ARN)


def moved_to(owner: str, pk: str = "a") -> dict[str, Any]:
    """Return an UpdateItem that changes an index's key."""
    return {
        "TableName": "files",
        "Key": key(pk),
        "UpdateExpression": "SET #o = :o, listed = :l",
        "ExpressionAttributeNames": {"#o": "owner"},
        "ExpressionAttributeValues": {":o": {"S": owner}, ":l": {"S": pk}},
    }


COSTS = [
    ("PutItem", {"Item": item()}, 1, 0, "put a small item"),
    ("PutItem", {"Item": item(size=3000)}, 3, 0, "put 3 KB"),
    ("PutItem", {"Item": item(owner="anna", size=3000)}, 3, 3, "put 3 KB into an index as well"),
    ("PutItem", {"Item": {**key(), "owner": {"S": "anna"}}}, 1, 0, "half an index key is none"),
    ("UpdateItem", moved_to("anna"), 1, 1, "update sets an index key"),
    ("UpdateItem", {"Key": key(), "UpdateExpression": "SET n = :n"}, 1, 0, "update of an unknown item"),
    ("DeleteItem", {"Key": key()}, 1, 0, "delete what is not known"),
    ("TransactWriteItems", {"TransactItems": [{"Put": {"TableName": "files", "Item": item()}}]}, 2, 0, "transaction"),
    (
        "TransactWriteItems",
        {"TransactItems": [{"Put": {"TableName": "files", "Item": item(owner="anna")}}]},
        2,
        1,
        "a transaction's index entry costs once",
    ),
    (
        "TransactWriteItems",
        {"TransactItems": [{"ConditionCheck": {"TableName": "files", "Key": key(), "ConditionExpression": "…"}}]},
        2,
        0,
        "condition check",
    ),
    (
        "BatchWriteItem",
        {"RequestItems": {"files": [{"PutRequest": {"Item": item("a", size=500)}}, {"DeleteRequest": {"Key": key()}}]}},
        2,
        0,
        "batch: each on its own",
    ),
    (
        "BatchWriteItem",
        {"RequestItems": {ARN: [{"PutRequest": {"Item": item("a", size=3500)}}]}},
        4,
        0,
        "a table named by its ARN",
    ),
]


@pytest.mark.parametrize(
    ("operation", "parameters", "table", "index"), [pytest.param(*values, id=name) for *values, name in COSTS]
)
async def test_what_a_write_costs(
    emulator: FakeDynamoDB, clock: Clock, operation: str, parameters: dict[str, Any], table: float, index: float
):
    """ "Capacity unit consumption for write operations"; "Using Global Secondary Indexes in DynamoDB"."""
    limiter = limiter_with(emulator, clock)
    named = {} if "Items" in operation or operation.startswith("Batch") else {"TableName": "files"}
    await dynamodb(limiter, operation, **{**named, **parameters})
    clock.now += 1
    uses = {(use.limit, use.subject): use.used for use in limiter.uses()}
    assert uses["dynamodb.table_writes", "files"] == table
    assert uses.get(("dynamodb.index_writes", "files/index/by-owner"), 0) == index


FOLLOWING = [
    ("PutItem", {"Item": item(owner="anna", size=3000)}, 3, 3, "replaced in place: one write"),
    ("PutItem", {"Item": item(owner="bob", size=3000)}, 3, 6, "another key: one deletes, one puts"),
    ("PutItem", {"Item": item()}, 3, 3, "it leaves the index: one deletes"),
    ("UpdateItem", {"Key": key(), "UpdateExpression": "ADD n :n"}, 3, 3, "an update that says nothing of the key"),
    ("UpdateItem", {"Key": key(), "UpdateExpression": "SET a = :a REMOVE owner"}, 3, 3, "the key is removed"),
    ("UpdateItem", moved_to("bob"), 3, 6, "an update moves it"),
    ("DeleteItem", {"Key": key()}, 3, 3, "delete"),
]


@pytest.mark.parametrize(
    ("operation", "parameters", "table", "index"), [pytest.param(*values, id=name) for *values, name in FOLLOWING]
)
async def test_what_a_write_to_a_known_item_costs(
    emulator: FakeDynamoDB, clock: Clock, operation: str, parameters: dict[str, Any], table: float, index: float
):
    """ "UpdateItem": the larger of its sizes; "Write capacity units" of an index: five cases. The item has 3 KB."""
    limiter = limiter_with(emulator, clock)
    await put(limiter, "a", "anna", size=2900)
    clock.now += 10
    await dynamodb(limiter, operation, **{"TableName": "files", **parameters})
    clock.now += 1
    uses = {(use.limit, use.subject): use.used for use in limiter.uses()}
    assert uses["dynamodb.table_writes", "files"] == table
    assert uses["dynamodb.index_writes", "files/index/by-owner"] == index


async def test_without_indexes_only_what_costs_more_than_one_unit_is_remembered(clock: Clock):
    """An item that has become small costs little again; the write that makes it so costs as the large one."""
    limiter = limiter_with(FakeDynamoDB(description={**DESCRIPTION, "GlobalSecondaryIndexes": []}), clock)
    costs = []
    for size in (10, 3000, 10, 10):
        await put(limiter, size=size)
        costs.append(used(limiter, clock, "dynamodb.table_writes"))
    assert costs == [1, 3, 3, 1]


async def test_an_items_index_key_is_learnt_from_a_read(emulator: FakeDynamoDB, clock: Clock):
    """Items that were there before: an update of one that was read costs on its index."""
    limiter = limiter_with(emulator, clock)
    emulator.answer = {"Item": item(owner="anna", size=3000)}
    await dynamodb(limiter, "GetItem", TableName="files", Key=key())
    emulator.answer = {}
    await dynamodb(limiter, "UpdateItem", TableName="files", Key=key(), UpdateExpression="ADD n :n")
    assert used(limiter, clock, "dynamodb.index_writes", "files/index/by-owner") == 3


async def test_the_item_that_an_update_returns_sets_its_cost_right(emulator: FakeDynamoDB, clock: Clock):
    """ALL_OLD shows what was not known: the size before, and the index it is in."""
    limiter = limiter_with(emulator, clock)
    emulator.answer = {"Attributes": item(owner="anna", size=3000)}
    update = {"Key": key(), "UpdateExpression": "ADD n :n", "ReturnValues": "ALL_OLD"}
    await dynamodb(limiter, "UpdateItem", TableName="files", **update)
    clock.now += 1
    uses = {use.limit: use.used for use in limiter.uses()}
    assert (uses["dynamodb.table_writes"], uses["dynamodb.index_writes"]) == (3, 3)


async def test_the_item_that_an_update_makes_is_remembered(emulator: FakeDynamoDB, clock: Clock):
    """ALL_NEW shows it whole: the next update costs what it does."""
    limiter = limiter_with(emulator, clock)
    emulator.answer = {"Attributes": item(owner="anna", size=3000)}
    update = {"Key": key(), "UpdateExpression": "ADD n :n", "ReturnValues": "ALL_NEW"}
    await dynamodb(limiter, "UpdateItem", TableName="files", **update)
    assert used(limiter, clock, "dynamodb.table_writes") == 1
    await dynamodb(limiter, "UpdateItem", TableName="files", **update)
    clock.now += 1
    uses = {use.limit: use.used for use in limiter.uses()}
    assert (uses["dynamodb.table_writes"], uses["dynamodb.index_writes"]) == (3, 3)


FAILED = [
    ("com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", 1, 0, "a failed condition costs the table"),
    ("com.amazon.coral.validate#ValidationException", 0, 0, "an invalid request costs nothing"),
]


@pytest.mark.parametrize(("kind", "table", "index"), [pytest.param(k, t, i, id=name) for k, t, i, name in FAILED])
async def test_what_a_failed_write_costs(emulator: FakeDynamoDB, clock: Clock, kind: str, table: float, index: float):
    """ "Condition expressions": a failed one consumes write units of the table; the index is not written."""
    limiter = limiter_with(emulator, clock)
    await put(limiter)
    clock.now += 1
    emulator.status, emulator.answer = 400, {"__type": kind}
    await put(limiter, "a", "anna")
    clock.now += 1
    uses = {use.limit: use.used for use in limiter.uses()}
    assert (uses["dynamodb.table_writes"], uses["dynamodb.index_writes"]) == (table, index)


async def test_an_item_above_400_kb_is_refused(limiter: Limiter, emulator: FakeDynamoDB):
    """ "Quotas in Amazon DynamoDB": the maximum item size is 400 KB, names included."""
    largest = 400 * 1024 - len("pk" + "a" + "text")
    assert (await put(limiter, size=largest)).status == 200
    refused = await put(limiter, "b", size=largest + 1)
    assert refused.document["__type"].endswith("#ValidationException")
    assert refused.document["message"] == "Item size has exceeded the maximum allowed size"
    assert emulator.operations == ["PutItem"]


READ_COSTS = [
    ("GetItem", {"Key": key()}, {}, 0.5, "nothing found"),
    ("GetItem", {"Key": key(), "ConsistentRead": True}, {}, 1, "nothing found, strongly"),
    ("GetItem", {"Key": key()}, {"Item": item(size=9000)}, 1.5, "9 KB are 12"),
    ("GetItem", {"Key": key(), "ConsistentRead": True}, {"Item": item(size=9000)}, 3, "9 KB, strongly"),
    (
        "BatchGetItem",
        {"RequestItems": {"files": {"Keys": [key("a"), key("b")], "ConsistentRead": True}}},
        {"Responses": {"files": [item("b", size=6500), item("a", size=1500)]}},
        3,
        "1.5 KB and 6.5 KB are 4 + 8",
    ),
    (
        "TransactGetItems",
        {"TransactItems": [{"Get": {"TableName": "files", "Key": key()}}]},
        {"Responses": [{"Item": item(size=5000)}]},
        4,
        "5 KB in a transaction",
    ),
    (
        "Query",
        {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "a"}}},
        {"Items": [item(size=3000)] * 3, "Count": 3, "ScannedCount": 3},
        1.5,
        "a Query rounds its sum: 9 KB",
    ),
    ("Scan", {}, {"Items": [item(size=3000)], "Count": 1, "ScannedCount": 3}, 1.5, "a filter hides two thirds"),
    ("Scan", {}, {"Items": [], "Count": 0, "ScannedCount": 0}, 0.5, "an empty page"),
    ("Scan", {}, {"Items": [], "Count": 0, "ConsumedCapacity": {"CapacityUnits": 7.5}}, 7.5, "the answer tells it"),
]


@pytest.mark.parametrize(
    ("operation", "parameters", "answer", "units"), [pytest.param(*values, id=name) for *values, name in READ_COSTS]
)
async def test_what_a_read_costs(
    emulator: FakeDynamoDB,
    clock: Clock,
    operation: str,
    parameters: dict[str, Any],
    answer: dict[str, Any],
    units: float,
):
    """ "Capacity unit consumption for read operations", with its examples."""
    limiter = limiter_with(emulator, clock)
    emulator.answer = answer
    named = {} if operation in ("BatchGetItem", "TransactGetItems") else {"TableName": "files"}
    await dynamodb(limiter, operation, **named, **parameters)
    assert used(limiter, clock, "dynamodb.table_reads") == units


async def test_a_read_in_debt_refuses_the_next(limiter: Limiter, emulator: FakeDynamoDB, clock: Clock):
    """Its cost is known from the answer; until it is paid the partition has nothing."""
    emulator.answer = {"Item": item(size=40_000)}
    assert (await dynamodb(limiter, "GetItem", TableName="files", Key=key())).status == 200
    refused = await dynamodb(limiter, "GetItem", TableName="files", Key=key())
    assert reason(refused) == ("ThrottlingException", "TableReadKeyRangeThroughputExceeded", ARN)
    clock.now += 2
    assert (await dynamodb(limiter, "GetItem", TableName="files", Key=key())).status == 200


async def test_a_query_of_an_index_is_the_indexs(limiter: Limiter, emulator: FakeDynamoDB):
    """A hot owner is hot in the index; the partition is what the key condition names."""
    emulator.answer = {"Items": [item(size=9000)] * 2, "Count": 2, "ScannedCount": 2}
    query = {
        "TableName": "files",
        "IndexName": "by-owner",
        "KeyConditionExpression": "listed > :from AND #o = :owner",
        "ExpressionAttributeNames": {"#o": "owner"},
    }
    anna = {":owner": {"S": "anna"}, ":from": {"S": "x"}}
    await dynamodb(limiter, "Query", **query, ExpressionAttributeValues=anna)
    refused = await dynamodb(limiter, "Query", **query, ExpressionAttributeValues=anna)
    assert reason(refused) == ("ThrottlingException", "IndexReadKeyRangeThroughputExceeded", INDEX_ARN)
    bob = {":owner": {"S": "bob"}, ":from": {"S": "x"}}
    assert (await dynamodb(limiter, "Query", **query, ExpressionAttributeValues=bob)).status == 200


async def test_a_batch_write_passes_in_part(limiter: Limiter, emulator: FakeDynamoDB):
    """ "Batch operations and error handling": what is throttled comes back as UnprocessedItems, signature and all."""
    entries = [{"PutRequest": {"Item": item("a", size=n)}} for n in (1, 2, 3)] + [{"DeleteRequest": {"Key": key("b")}}]
    emulator.answer = {"UnprocessedItems": {}, "ItemCollectionMetrics": {}}
    reply = await dynamodb(limiter, "BatchWriteItem", RequestItems={"files": entries})
    assert reply.document == {"UnprocessedItems": {"files": [entries[2]]}, "ItemCollectionMetrics": {}}
    assert reply.headers[b"x-amz-crc32"] == str(zlib.crc32(reply.body)).encode()
    assert reply.headers[b"content-length"] == str(len(reply.body)).encode()
    passed = {"RequestItems": {"files": [*entries[:2], entries[3]]}}
    assert emulator.requests[-1] == ("BatchWriteItem", passed)
    signed = orjson.dumps({"RequestItems": {"files": entries}})
    assert emulator.headers[b"x-amz-content-sha256"] == hashlib.sha256(signed).hexdigest().encode()
    assert emulator.headers[b"content-length"] == str(len(orjson.dumps(passed))).encode()


async def test_what_the_emulator_left_and_what_it_was_not_given_come_back_together(
    limiter: Limiter, emulator: FakeDynamoDB
):
    """It may have limits of its own: LocalStack has a setting for that."""
    entries = [{"PutRequest": {"Item": item("a", size=n)}} for n in (1, 2, 3)]
    emulator.answer = {"UnprocessedItems": {"files": entries[:1]}}
    reply = await dynamodb(limiter, "BatchWriteItem", RequestItems={"files": entries})
    assert reply.document == {"UnprocessedItems": {"files": [entries[0], entries[2]]}}


async def test_a_batch_of_which_nothing_passes_is_refused(limiter: Limiter, emulator: FakeDynamoDB):
    """ "BatchWriteItem": if none of the items can be processed, the call fails."""
    for _ in range(2):
        await put(limiter)
    entries = [{"PutRequest": {"Item": item("a")}}]
    refused = await dynamodb(limiter, "BatchWriteItem", RequestItems={"files": entries})
    assert reason(refused) == ("ThrottlingException", "TableWriteKeyRangeThroughputExceeded", ARN)
    assert emulator.operations == ["PutItem"] * 2


async def test_a_batch_get_passes_in_part(limiter: Limiter, emulator: FakeDynamoDB):
    """ "BatchGetItem": the keys that were not read come back with the parameters of their table."""
    emulator.answer = {"Item": item(size=40_000)}
    await dynamodb(limiter, "GetItem", TableName="files", Key=key("hot"))
    emulator.answer = {"Responses": {"files": [item("cold")]}, "UnprocessedKeys": {}}
    wanted = {"Keys": [key("hot"), key("cold")], "ConsistentRead": True}
    reply = await dynamodb(limiter, "BatchGetItem", RequestItems={"files": wanted})
    assert reply.document["UnprocessedKeys"] == {"files": {"Keys": [key("hot")], "ConsistentRead": True}}
    assert emulator.requests[-1][1] == {"RequestItems": {"files": {"Keys": [key("cold")], "ConsistentRead": True}}}
    emulator.answer = {"Responses": {}, "UnprocessedKeys": {"files": {"Keys": [key("new")], "ConsistentRead": True}}}
    wanted["Keys"] = [key("hot"), key("new")]
    reply = await dynamodb(limiter, "BatchGetItem", RequestItems={"files": wanted})
    assert reply.document["UnprocessedKeys"] == {"files": {"Keys": [key("new"), key("hot")], "ConsistentRead": True}}


async def test_a_transaction_is_canceled_with_its_reasons(limiter: Limiter, emulator: FakeDynamoDB):
    """ "TransactWriteItems": TransactionCanceledException; ThrottlingError on on-demand tables, None for the rest."""
    await put(limiter, "hot")
    actions = [{"Put": {"TableName": "files", "Item": item(pk)}} for pk in ("cold", "hot")]
    refused = await dynamodb(limiter, "TransactWriteItems", TransactItems=actions)
    document = refused.document
    assert document["__type"] == "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
    assert [reason["Code"] for reason in document["CancellationReasons"]] == ["None", "ThrottlingError"]
    assert document["Message"].endswith("specific reasons [None, ThrottlingError]")
    assert emulator.operations == ["PutItem"]


PASSED_ON = [
    ("PutItem", {"TableName": "files"}, "no item"),
    ("PutItem", {"TableName": "files", "Item": {"other": {"S": "a"}}}, "no key"),
    ("PutItem", {"TableName": "files", "Item": "what?"}, "no map"),
    ("UpdateItem", {"TableName": "files", "Key": {"pk": {}}}, "an empty value"),
    ("BatchWriteItem", {"RequestItems": {"files": [{}]}}, "an empty request"),
    ("TransactWriteItems", {"TransactItems": [{"Put": {}, "Delete": {}}]}, "two actions in one"),
    ("GetItem", {}, "no table"),
    ("ExecuteStatement", {"Statement": "SELECT * FROM files"}, "PartiQL"),
    ("ListTables", {}, "the control plane"),
]


@pytest.mark.parametrize(("operation", "parameters"), [pytest.param(o, p, id=name) for o, p, name in PASSED_ON])
async def test_what_is_not_understood_is_the_emulators(
    limiter: Limiter, emulator: FakeDynamoDB, operation: str, parameters: dict[str, Any]
):
    """A malformed request gets the emulator's answer, not an error of ours."""
    emulator.status, emulator.answer = 400, {"__type": "theirs"}
    reply = await dynamodb(limiter, operation, **parameters)
    assert (reply.status, reply.document) == (400, {"__type": "theirs"})
    assert emulator.requests[-1] == (operation, parameters)


UNLIMITED = [
    ({}, "there is no such table"),
    ({**DESCRIPTION, "BillingModeSummary": {"BillingMode": "PROVISIONED"}}, "a provisioned table"),
]


@pytest.mark.parametrize("description", [pytest.param(d, id=name) for d, name in UNLIMITED])
async def test_only_on_demand_tables_are_limited(clock: Clock, description: dict[str, Any]):
    """Everything else passes."""
    emulator = FakeDynamoDB(description=description)
    limiter = limiter_with(emulator, clock, partition_writes=1)
    assert [(await put(limiter)).status for _ in range(3)] == [200] * 3
    assert [*limiter.uses()] == []


async def test_a_table_is_described_once_with_the_callers_region(limiter: Limiter, emulator: FakeDynamoDB):
    """Lazily: tables that were there before this process are limited as well."""
    await put(limiter)
    await put(limiter)
    assert [operation for operation, _ in emulator.requests] == ["DescribeTable", "PutItem", "PutItem"]


@pytest.mark.parametrize("operation", ["CreateTable", "UpdateTable", "DeleteTable"])
async def test_a_changed_table_is_described_anew(limiter: Limiter, emulator: FakeDynamoDB, operation: str):
    """Its indexes may be others; what was known of its items is void."""
    await put(limiter, "a", "anna")
    emulator.answer = {"TableDescription": {"TableName": "files"}}
    await dynamodb(limiter, operation, TableName="files")
    emulator.description = {**DESCRIPTION, "GlobalSecondaryIndexes": []}
    await put(limiter, "a", "bob")
    asked = [operation for operation, _ in emulator.requests]
    assert asked == ["DescribeTable", "PutItem", operation, "DescribeTable", "PutItem"]


async def test_a_deleted_tables_load_is_forgotten(limiter: Limiter, emulator: FakeDynamoDB):
    """A new table of that name begins with full partitions."""
    for _ in range(2):
        await put(limiter)
    emulator.answer = {"TableDescription": {"TableName": "files"}}
    await dynamodb(limiter, "DeleteTable", TableName="files")
    assert (await put(limiter)).status == 200


async def test_a_body_that_no_call_may_have_is_refused(limiter: Limiter, emulator: FakeDynamoDB):
    """By its announced length, before it is read."""
    headers = {b"x-amz-target": b"DynamoDB_20120810.PutItem", b"content-length": b"20000000"}
    reply = await request(limiter, scope_of("POST", "/", headers=headers))
    assert (reply.status, emulator.requests) == (413, [])


async def test_uses_are_served_on_a_path_of_their_own(limiter: Limiter, emulator: FakeDynamoDB, clock: Clock):
    """As JSON; the emulator does not see it."""
    await put(limiter)
    clock.now += 1
    reply = await request(limiter, scope_of("GET", PATH))
    assert parse_data_use(reply.body) == limiter.data_use()
    assert emulator.operations == ["PutItem"]


async def test_infinite_limits_survive_json(emulator: FakeDynamoDB, clock: Clock):
    """JSON has no infinity: it is null there."""
    limiter = Limiter(emulator, load_quotas("off"), clock)
    await put(limiter)
    reply = await request(limiter, scope_of("GET", PATH))
    assert {use.maximum for use in parse_data_use(reply.body).uses} == {math.inf}


@pytest.mark.parametrize("name", ["aws", "aws/7", "off"])
def test_quotas_reach_another_process(name: str):
    """With every rate, the infinite ones too."""
    quotas = load_quotas(name)
    there = from_json(to_json(quotas))
    assert vars(there.dynamodb) == quotas.dynamodb.model_dump()
    assert vars(there.s3) == quotas.s3.model_dump()


def test_nothing_is_kept_only_if_everything_is_off():
    """A file may switch all off and limit one thing: then the limiter is needed."""
    off = load_quotas("off")
    assert is_unlimited(off)
    assert not is_unlimited(off.model_copy(update={"dynamodb": DynamoDBQuotas()}))
    assert not is_unlimited(Quotas())
