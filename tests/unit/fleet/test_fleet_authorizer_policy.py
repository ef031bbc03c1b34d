import orjson
import pytest

from fleet.gateway.authorizer_policy import MalformedPolicy, Verdict, parse_output

ARN = "arn:aws:execute-api:us-east-1:1:api/prod/GET/v1/files"


def output(*statements: dict[str, object], **changes: object) -> bytes:
    """Return an authorizer's output with these statements."""
    document = {"Version": "2012-10-17", "Statement": list(statements)}
    return orjson.dumps({"principalId": "ann", "policyDocument": document, **changes})


def statement(
    effect: str = "Allow", resource: object = ARN, action: object = "execute-api:Invoke"
) -> dict[str, object]:
    """Return a policy statement."""
    return {"Effect": effect, "Action": action, "Resource": resource}


@pytest.mark.parametrize(
    ("statements", "allowed"),
    [
        ([statement()], True),
        ([statement(resource="*")], True),
        ([statement(resource="arn:aws:execute-api:us-east-1:1:api/prod/GET/*")], True),
        ([statement(resource="arn:aws:execute-api:us-east-1:1:api/prod/G?T/v1/files")], True),
        ([statement(resource=["arn:other", ARN])], True),
        ([statement(action=["s3:GetObject", "execute-api:*"])], True),
        ([statement(resource="arn:aws:execute-api:us-east-1:1:api/prod/POST/*")], False),
        ([statement(resource=ARN[:-1])], False),
        ([statement(action="s3:GetObject")], False),
        ([statement(effect="Deny")], False),
        ([statement(), statement(effect="Deny", resource="*")], False),
        ([statement(resource="*"), statement(effect="Deny", resource="arn:other")], True),
        ([], False),
    ],
)
def test_a_policy_allows_what_it_allows_and_no_more(statements: list[dict[str, object]], allowed: bool):
    """An explicit Deny wins, and silence is no."""
    assert (parse_output(output(*statements)).verdict(ARN) is Verdict.ALLOW) is allowed


def test_brackets_in_a_resource_are_no_wildcards():
    """Only * and ? are, as in IAM."""
    bracketed = output(statement(resource=ARN.replace("v1", "[v]1")))
    assert parse_output(bracketed).verdict(ARN) is not Verdict.ALLOW


def test_context_becomes_strings():
    """Numbers and booleans as JSON writes them; null is left out."""
    answer = parse_output(output(statement(), context={"a": "x", "n": 3, "f": 1.5, "yes": True, "none": None}))
    assert answer.context == {"a": "x", "n": "3", "f": "1.5", "yes": "true"}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b"[]",
        b'{"principalId":"ann"}',
        orjson.dumps({"policyDocument": {"Statement": []}}),
        output(statement(effect="Maybe")),
        output({"Effect": "Allow", "Action": "*"}),
        output({**statement(), "Condition": {}}),
        output(statement(), principalId=None),
        output(statement(resource="a" * 513)),
        output(statement(), context={"nested": {}}),
        output(statement(), context=["list"]),
        output("Allow"),  # type: ignore[arg-type]
    ],
)
def test_output_that_is_not_understood_is_refused(payload: bytes):
    """It never passes as an Allow."""
    with pytest.raises(MalformedPolicy):
        parse_output(payload)
