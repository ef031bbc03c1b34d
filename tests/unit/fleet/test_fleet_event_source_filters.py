"""Event filtering: AWS's tables, row by row."""

from typing import Any

import orjson
import pytest

from fleet.queues.filters import FilterError, Filters

# AWS Lambda, "Control which events Lambda sends to your function", filter rule syntax: a rule, what matches, what does
# not. The last rows are EventBridge's, "Comparison operators for use in event patterns" and "Arrays".
RULES = [
    pytest.param({"UserID": [None]}, {"UserID": None}, {"UserID": ""}, id="null"),
    pytest.param({"UserID": [None]}, {"UserID": None}, {}, id="null is not absent"),
    pytest.param({"LastName": [""]}, {"LastName": ""}, {"LastName": None}, id="empty"),
    pytest.param({"Name": ["Alice"]}, {"Name": "Alice"}, {"Name": "alice"}, id="equals"),
    pytest.param(
        {"Name": [{"equals-ignore-case": "alice"}]}, {"Name": "ALICE"}, {"Name": "Alicia"}, id="equals ignoring case"
    ),
    pytest.param(
        {"Location": ["New York"], "Day": ["Monday"]},
        {"Location": "New York", "Day": "Monday", "Hour": 3},
        {"Location": "New York", "Day": "Sunday"},
        id="and",
    ),
    pytest.param({"PaymentType": ["Credit", "Debit"]}, {"PaymentType": "Debit"}, {"PaymentType": "Cash"}, id="or"),
    pytest.param(
        {"$or": [{"Location": ["New York"]}, {"Day": ["Monday"]}]},
        {"Location": "Rome", "Day": "Monday"},
        {"Location": "Rome", "Day": "Sunday"},
        id="or of several fields",
    ),
    pytest.param(
        {"Shop": ["acme"], "$or": [{"Location": ["New York"]}, {"Day": ["Monday"]}]},
        {"Shop": "acme", "Day": "Monday"},
        {"Shop": "other", "Day": "Monday"},
        id="or beside and",
    ),
    pytest.param({"Weather": [{"anything-but": ["Raining"]}]}, {"Weather": "Sunny"}, {"Weather": "Raining"}, id="not"),
    pytest.param({"Weather": [{"anything-but": "Raining"}]}, {"Weather": "Sunny"}, {}, id="not, of one, needs a value"),
    pytest.param({"Code": [{"anything-but": [1, 2]}]}, {"Code": 3}, {"Code": 2}, id="not, of numbers"),
    pytest.param({"Price": [{"numeric": ["=", 100]}]}, {"Price": 100.0}, {"Price": 101}, id="numeric equals"),
    pytest.param({"Price": [100]}, {"Price": 100}, {"Price": 100.0}, id="numbers are compared as they are written"),
    pytest.param({"Price": [1]}, {"Price": 1}, {"Price": True}, id="true is no number"),
    pytest.param({"Price": [{"numeric": [">", 10, "<=", 20]}]}, {"Price": 20}, {"Price": 10}, id="numeric range"),
    pytest.param({"Price": [{"numeric": [">=", 10]}]}, {"Price": 10}, {"Price": "11"}, id="numeric, of a text"),
    pytest.param({"ProductName": [{"exists": True}]}, {"ProductName": None}, {}, id="exists"),
    pytest.param({"ProductName": [{"exists": True}]}, {"ProductName": ""}, {"ProductName": {"a": 1}}, id="leaves only"),
    pytest.param({"ProductName": [{"exists": False}]}, {}, {"ProductName": "x"}, id="does not exist"),
    pytest.param({"a": {"b": [{"exists": False}]}}, {}, {"a": {"b": 1}}, id="does not exist, below"),
    pytest.param({"Region": [{"prefix": "us-"}]}, {"Region": "us-east-1"}, {"Region": "eu-us-1"}, id="begins with"),
    pytest.param({"FileName": [{"suffix": ".png"}]}, {"FileName": "a.png"}, {"FileName": "a.png.gz"}, id="ends with"),
    pytest.param({"a": {"b": {"c": [1]}}}, {"a": {"b": {"c": 1}}}, {"a": {"b": 1}}, id="nested"),
    pytest.param({"Tags": ["a", "b"]}, {"Tags": ["x", "b"]}, {"Tags": ["x", "y"]}, id="one element of an array"),
    pytest.param({"items": {"k": [1]}}, {"items": [{"k": 0}, {"k": 1}]}, {"items": [{"k": 2}]}, id="array of objects"),
    pytest.param({"Done": [True]}, {"Done": True}, {"Done": "true"}, id="true"),
]


@pytest.mark.parametrize(("pattern", "yes", "no"), RULES)
def test_a_rule_lets_pass_what_aws_says_and_nothing_else(pattern: dict[str, Any], yes: Any, no: Any):
    """ "Control which events Lambda sends to your function": every operator of the filter rule syntax."""
    filters = Filters([{"body": pattern}])
    assert filters.match(orjson.dumps(yes).decode())
    assert not filters.match(orjson.dumps(no).decode())


# AWS Lambda, "Using event filtering with an Amazon SQS event source": format of body and pattern, resulting action.
FORMATS = [
    pytest.param("AAAA", [{"body": ["AAAA"]}], True, id="plain, plain: filtered, matches"),
    pytest.param("AAAA", [{"body": [{"prefix": "B"}]}], False, id="plain, plain: filtered, does not match"),
    pytest.param("AAAA", [], True, id="plain, no pattern: passes"),
    pytest.param("AAAA", [{"body": {"RequestCode": ["AAAA"]}}], False, id="plain, JSON: dropped"),
    pytest.param('{"RequestCode": "AAAA"', [{"body": {"RequestCode": ["AAAA"]}}], False, id="broken JSON is plain"),
    pytest.param('{"RequestCode":"AAAA"}', [{"body": [{"prefix": "{"}]}], False, id="JSON, plain: dropped"),
    pytest.param("[1]", [{"body": [{"prefix": "["}]}], False, id="JSON array, plain: dropped"),
    pytest.param('{"RequestCode":"AAAA"}', [], True, id="JSON, no pattern: passes"),
    pytest.param('{"RequestCode":"AAAA"}', [{"body": {"RequestCode": ["AAAA"]}}], True, id="JSON, JSON: matches"),
    pytest.param('{"RequestCode":"AAAA"}', [{"body": {"RequestCode": ["B"]}}], False, id="JSON, JSON: does not match"),
    pytest.param("[1]", [{"body": {"a": [{"exists": False}]}}], False, id="JSON array, JSON: no object"),
    pytest.param("7", [{"body": ["7"]}], True, id="a number alone counts as plain"),
]


@pytest.mark.parametrize(("body", "patterns", "passes"), FORMATS)
def test_body_and_pattern_must_have_the_same_format(body: str, patterns: list[dict[str, Any]], passes: bool):
    """ "Using event filtering with an Amazon SQS event source": the table of formats."""
    assert Filters(patterns).match(body) is passes


def test_one_of_several_filters_is_enough():
    """They are ORed ("Control which events Lambda sends to your function")."""
    filters = Filters([{"body": {"a": [1]}}, {"body": ["x"]}])
    assert [filters.match(body) for body in ('{"a":1}', "x", '{"a":2}', "y")] == [True, True, False, False]


MISTAKES = [
    pytest.param([{"body": ["x"]}] * 6, "at most 5 filters", id="six filters"),
    pytest.param([{"attributes": ["x"]}], "the key body and no other, not attributes", id="metadata"),
    pytest.param([{"body": "x"}], "body: a pattern is a list", id="no list"),
    pytest.param([{"body": {}}], "at least one field", id="no field"),
    pytest.param([{"body": {"a": []}}], "body.a: a list of rules is not empty", id="no rule"),
    pytest.param([{"body": {"a": [{"wildcard": "*"}]}}], "body.a: Lambda's event filtering has no", id="wildcard"),
    pytest.param([{"body": {"a": [{"prefix": 1}]}}], "body.a: prefix needs a text", id="prefix of a number"),
    pytest.param([{"body": {"a": [{"prefix": "a", "suffix": "b"}]}}], "one operator, not prefix, suffix", id="two"),
    pytest.param([{"body": {"a": [{"anything-but": {"prefix": "b"}}]}}], "anything-but needs", id="nested not"),
    pytest.param([{"body": {"a": [{"anything-but": []}]}}], "anything-but needs", id="not nothing"),
    pytest.param([{"body": {"a": [{"exists": "true"}]}}], "exists needs true or false", id="exists of a text"),
    pytest.param([{"body": {"a": [{"numeric": [">"]}]}}], "once or twice", id="numeric without a number"),
    pytest.param([{"body": {"a": [{"numeric": ["!=", 3]}]}}], "not '!='", id="numeric, unknown sign"),
    pytest.param([{"body": {"a": [{"numeric": [">", 2e9]}]}}], "between -1e9 and 1e9", id="numeric, too large"),
    pytest.param([{"body": {"a": [["x"]]}}], "a text, a number, true, false or null", id="list in a list"),
    pytest.param([{"body": {"$or": [{"a": [1]}]}}], "at least two patterns", id="or of one"),
]


@pytest.mark.parametrize(("patterns", "message"), MISTAKES)
def test_what_aws_would_refuse_is_refused(patterns: list[dict[str, Any]], message: str):
    """With the place in the pattern; a mapping must not delete messages for a typing error."""
    with pytest.raises(FilterError, match=r".") as caught:
        Filters(patterns)
    assert message in str(caught.value)
