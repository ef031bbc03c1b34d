"""What update expressions and key conditions tell of keys, and what is remembered of items."""

from typing import Any

import pytest

from emulator.limiter.reads import partition_of
from emulator.limiter.tables import ItemMemory, KnownItem
from emulator.limiter.writes import changes_of

NAMES = {"#o": "owner", "#l": "listed"}
VALUES = {":o": {"S": "anna"}, ":n": {"N": "1"}, ":delete": {"N": "2"}}
ANNA = {"S": "anna"}

UPDATES = [
    ("SET owner = :o", {"owner": ANNA}, "by name"),
    ("SET #o = :o", {"owner": ANNA}, "by placeholder"),
    ("set a = :n, #o=:o , b = :n", {"a": {"N": "1"}, "owner": ANNA, "b": {"N": "1"}}, "several"),
    ("SET n = n + :n, #o = :o", {"owner": ANNA}, "arithmetic says nothing"),
    ("SET owner = if_not_exists(owner, :o)", {}, "a function says nothing"),
    ("SET a.owner = :o, b[1] = :o", {}, "a path inside an attribute is not the attribute"),
    ("REMOVE #o, b", {"owner": {}, "b": {}}, "removed"),
    ("ADD n :n SET #o = :o REMOVE #l", {"owner": ANNA, "listed": {}}, "clauses in any order"),
    ("DELETE tags :o", {}, "elements of sets"),
    ("SET settings = :o", {"settings": ANNA}, "a name that begins with a keyword"),
    ("SET #set = :o, #o = :delete", {"#set": ANNA, "owner": {"N": "2"}}, "placeholders that are called as clauses"),
    ("", {}, "nothing"),
]


@pytest.mark.parametrize(("expression", "changes"), [pytest.param(e, c, id=name) for e, c, name in UPDATES])
def test_what_an_update_sets_and_removes(expression: str, changes: dict[str, Any]):
    """ "Update expressions"."""
    request = {
        "UpdateExpression": expression,
        "ExpressionAttributeNames": NAMES,
        "ExpressionAttributeValues": VALUES,
    }
    assert changes_of(request) == changes


CONDITIONS = [
    ({"KeyConditionExpression": "owner = :o"}, "anna", "alone"),
    ({"KeyConditionExpression": "#o = :o AND begins_with(listed, :n)"}, "anna", "with a sort key"),
    ({"KeyConditionExpression": "listed = :n AND owner=:o"}, "anna", "second"),
    ({"KeyConditionExpression": "(#o = :o) AND (#l BETWEEN :n AND :n)"}, "anna", "in brackets"),
    ({"KeyConditionExpression": "co_owner = :o"}, None, "another name"),
    (
        {"KeyConditions": {"owner": {"AttributeValueList": [ANNA], "ComparisonOperator": "EQ"}}},
        "anna",
        "the older form",
    ),
    ({}, None, "a Scan"),
]


@pytest.mark.parametrize(("request_", "partition"), [pytest.param(r, p, id=name) for r, p, name in CONDITIONS])
def test_which_partition_a_query_reads(request_: dict[str, Any], partition: str | None):
    """ "Key condition expressions for the Query operation": the partition key is compared by equality."""
    request = {"ExpressionAttributeNames": NAMES, "ExpressionAttributeValues": VALUES, **request_}
    assert partition_of(request, "owner") == partition


def test_the_items_put_last_are_remembered():
    """Memory is bounded; what is put again is the newest."""
    memory = ItemMemory(max_items=2)
    items = [("files", name, "") for name in "abc"]
    for item in (items[0], items[1], items[0], items[2]):
        memory.put(item, KnownItem(1, ()))
    assert [bool(memory.get(item)) for item in items] == [True, False, True]
    memory.put(items[0], None)
    assert len(memory) == 1


def test_a_tables_items_are_forgotten_together():
    """Those of other tables stay."""
    memory = ItemMemory()
    for table in ("files", "orders"):
        memory.put((table, "a", ""), KnownItem(1, ()))
    memory.forget("files")
    assert (memory.get(("files", "a", "")), memory.get(("orders", "a", ""))) == (None, KnownItem(1, ()))
