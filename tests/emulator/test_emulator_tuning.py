"""What is adjusted in ministack answers as ministack does: each function beside the one that it replaces.

A child process adjusts its ministack; here nobody does. Both are given the same questions.
"""

import copy
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.embedded import ACCOUNT
from emulator.provision import RoleSource, provision
from emulator.server import tuning as emulator_tuning
from emulator.server.tuning import (
    TUNED_VERSION,
    fast_deepcopy,
    fast_evaluate_resource_policy,
    fast_parse_policy_document,
)
from shoebox.aws.clients import Clients
from shoebox.stack.deployment import ResolvedStack
from tests.emulator.conftest import EmulatorAt

pytestmark = pytest.mark.only_on("embedded", reason="it is about ministack")
ROOT = Path(__file__).parents[2]
NOW = datetime.now(UTC)

# Each line is an expression; both processes evaluate it, with `router`, `sigv4`, `iam`, `s3` and `dynamodb` being
# ministack's modules.
QUESTIONS = [
    *(
        f"router.detect_service({method!r}, {path!r}, {headers!r}, {query!r})"
        for method, path, headers, query in [
            ("PUT", "/bucket/key", {"host": "127.0.0.1:4566"}, {}),
            ("GET", "/bucket/key", {"host": "localhost:4566"}, {}),
            ("GET", "/key", {"host": "bucket.s3.us-east-1.amazonaws.com"}, {}),
            ("GET", "/", {"host": "sqs.us-east-1.localhost"}, {}),
            ("GET", "/", {"host": "logs.example.com"}, {}),
            ("GET", "/", {"host": "dynamodb.dev"}, {}),
            ("GET", "/", {"host": ""}, {}),
            ("GET", "/", {"host": "127.0.0.1"}, {"Action": ["ReceiveMessage"]}),
            ("POST", "/", {"host": "127.0.0.1", "x-amz-target": "DynamoDB_20120810.Query"}, {}),
        ]
    ),
    *(
        f"s3._presign_time_error({stamp!r}, {seconds!r}, '/b/k')"
        for stamp, seconds in [
            (f"{NOW:%Y%m%dT%H%M%SZ}", "60"),
            (f"{NOW + timedelta(minutes=10):%Y%m%dT%H%M%SZ}", "60"),
            (f"{NOW + timedelta(hours=1):%Y%m%dT%H%M%SZ}", "60"),
            (f"{NOW:%Y%m%dT%H%M%SZ}", "604800"),
            (f"{NOW:%Y%m%dT%H%M%SZ}", "604801"),
            (f"{NOW:%Y%m%dT%H%M%SZ}", "-1"),
            (f"{NOW:%Y%m%dT%H%M%SZ}", "soon"),
            (f"{NOW:%Y%m%dT%H%M%SZ}", ""),
            ("yesterday", "60"),
        ]
    ),
    *(
        f"s3.presigned_request_is_expired({stamp!r}, {seconds!r})"
        for stamp, seconds in [
            ("20260101T000000Z", "60"),
            (f"{NOW + timedelta(hours=1):%Y%m%dT%H%M%SZ}", "60"),
            (f"{NOW:%Y%m%dT%H%M%SZ}", 604800),
            (f"{NOW:%Y%m%dT%H%M%SZ}", "-5"),
            ("yesterday", "60"),
            ("20260101T000000Z", "soon"),
        ]
    ),
    *(
        f"sigv4.calculate_signature({secret!r}, '20261124', 'eu-west-1', {service!r}, 'text')"
        for secret, service in [("secret", "s3"), ("other", "s3"), ("secret", "sqs")]
    ),
    *(
        f"[sigv4.uri_encode({text!r}), sigv4.uri_encode({text!r}, encode_slash=False)]"
        for text in ("a b/ü~-_.", "", "AKIA/20261124/eu-west-1/s3/aws4_request")
    ),
    *(
        f"dynamodb._evaluate_condition({expression!r}, {item!r}, {{':v': {{'S': 'x'}}}}, {{'#n': 'n'}})"
        for item in ({}, {"n": {"S": "x"}}, {"n": {"N": "1"}})
        for expression in (
            "#n = :v",
            "attribute_not_exists(n) OR #n = :v",
            "NOT #n <> :v",
            "((#n = :v))",
            "#n =",
            "size(#n) > :v",
        )
    ),
    *(
        f"dynamodb._apply_update_expression({{'k': {{'S': 'a'}}, 'l': {{'L': []}}}}, {expression!r}, "
        "{':v': {'S': 'x'}, ':l': {'L': [{'S': 'y'}]}}, {'#n': 'n'})"
        for expression in (
            "SET #n = :v",
            "SET l = list_append(l, :l), #n = if_not_exists(k, :v) REMOVE k",
            "REMOVE missing",
            "SET k",
        )
    ),
    *(f"worked({seed})" for seed in range(10)),
]
ASK = """
import json, random, re, sys, time, uuid
from ministack import app
from ministack.core import router, sigv4, iam_evaluator as iam
from ministack.services import dynamodb, s3, sqs
if sys.argv[1] == "tuned":
    from emulator.server.tuning import tune
    assert tune()
sqs.ACTIONS_UNDER_TEST = next(
    each["DeleteMessageBatch"] for each in vars(sqs).values() if isinstance(each, dict) and "DeleteMessageBatch" in each
)

def queue_of(seed, fifo=False):
    draw, now = random.Random(seed), time.time()
    for name in ("q", "d"):
        sqs._act_create_queue({"QueueName": f"{name}{seed}"}, "")
    url, dead = (sqs._act_get_queue_url({"QueueName": f"{name}{seed}"}, "")["QueueUrl"] for name in ("q", "d"))
    arn = sqs._get_q(dead, "sqs:ReceiveMessage")["attributes"]["QueueArn"]
    queue = sqs._get_q(url, "sqs:ReceiveMessage")
    queue["attributes"]["RedrivePolicy"] = json.dumps({"maxReceiveCount": 3, "deadLetterTargetArn": arn})
    for n in range(40):
        sqs._act_send_message({"QueueUrl": url, "MessageBody": str(n)}, "")
        message, received = queue["messages"][-1], draw.randint(0, 4)
        if received:
            message.update(receipt_handle=f"h{n}", receive_count=received, visible_at=now + draw.choice([-60, 600]))
    return url, queue, sqs._get_q(dead, "sqs:ReceiveMessage")

def worked(seed):
    "What is left of a queue after deletions, sweeps and receptions, and what was answered."
    url, queue, dead = queue_of(seed)
    entries = [{"Id": str(n), "ReceiptHandle": h} for n, h in enumerate(["h1", "h2", "h2", "h3", "none", "h39", ""])]
    said = [sqs.ACTIONS_UNDER_TEST({"QueueUrl": url, "Entries": entries}, "")]
    for most in (10, 3, 1, 10):
        sqs._dlq_sweep(queue)
        said.append([m["body"] for m in sqs._collect_msgs(queue, most, 30)])
    try:
        sqs.ACTIONS_UNDER_TEST({"QueueUrl": url, "Entries": []}, "")
    except Exception as error:
        said.append(type(error).__name__)
    fields = ("body", "receive_count")
    return said, [[[m[f] for f in fields] for m in q["messages"]] for q in (queue, dead)]

def answer(question):
    try:
        return re.sub("<RequestId>.*?</RequestId>", "", repr(eval(question)))
    except Exception as error:
        return f"{type(error).__name__}: {error}"

print(json.dumps([[answer(q)] * 2 if q.startswith('worked') else [answer(q), answer(q)] for q in json.load(sys.stdin)]))
"""


def _answers(which: str) -> list[list[str]]:
    environment = {
        "AUTH": "true",
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "LOG_LEVEL": "ERROR",
        "PYTHONHASHSEED": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", ASK, which],
        input=json.dumps(QUESTIONS),
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    answers: list[list[str]] = json.loads(done.stdout)
    return answers


@pytest.fixture(scope="module")
def both() -> tuple[list[list[str]], list[list[str]]]:
    """Return what ministack answers, and what it answers when adjusted."""
    return _answers("plain"), _answers("tuned")


def test_the_adjustments_are_made_for_this_version():
    """Another one is left alone: look at each adjustment again before you change TUNED_VERSION."""
    assert version("ministack") == TUNED_VERSION


def test_another_version_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    """Nothing is replaced, and the emulator works as it comes."""
    monkeypatch.setattr(emulator_tuning, "version", lambda _: "9.9.9")
    assert not emulator_tuning.tune()


@pytest.mark.parametrize(
    "number", range(len(QUESTIONS)), ids=[f"{question.partition('(')[0]} {n}" for n, question in enumerate(QUESTIONS)]
)
def test_an_adjusted_function_answers_as_the_real_one(number: int, both: tuple[list[list[str]], list[list[str]]]):
    """The first time, and from memory."""
    plain, tuned = both
    assert tuned[number] == plain[number]
    assert "KeyError" not in plain[number][0]  # a question that ministack does not understand proves nothing


@pytest.mark.parametrize(
    "value",
    [
        {"a": {"S": "x"}, "l": {"L": [{"N": "1"}, {"M": {}}]}, "b": {"B": b"1"}},
        [],
        "text",
        None,
        {"s": {1, 2}},
        (1, [2]),
    ],
    ids=["item", "empty", "text", "nothing", "set", "tuple"],
)
def test_a_copy_shares_nothing(value: Any):
    """As `copy.deepcopy`: equal, and of other containers all the way down."""
    made = fast_deepcopy(value)
    assert made == copy.deepcopy(value)
    if isinstance(value, dict | list) and value:
        assert made is not value
    if isinstance(value, dict) and "l" in value:
        made["l"]["L"][1]["M"]["new"] = 1
        assert value["l"]["L"][1] == {"M": {}}


def test_what_a_policy_says_is_remembered_by_its_text():
    """Another text is another policy; a document is parsed each time, for it may change; lists are not shared."""
    parsed: list[object] = []

    def parse(document: object) -> list[Any]:
        parsed.append(document)
        return [document]

    remembering = fast_parse_policy_document(parse)
    first = remembering("one")
    first.append("spoiled")
    assert [remembering("one"), remembering("two"), remembering({}), remembering({})] == [["one"], ["two"], [{}], [{}]]
    assert parsed == ["one", "two", {}, {}]


@pytest.mark.parametrize(("given", "seen"), [('{"Statement": []}', {"Statement": []}), ("no JSON", None), (None, None)])
def test_a_resource_policy_is_given_as_the_document_that_it_is(given: object, seen: object):
    """What is no JSON has no statements, as in ministack."""
    assert fast_evaluate_resource_policy(lambda document, *_, **__: document)(given, "context") == seen


async def test_who_the_caller_is_decides_a_queues_policy(
    own_stack: ResolvedStack, root_clients: Clients, emulator: EmulatorAt
):
    """A queue that denies one role's session denies it, and lets it in again when the policy is gone."""
    await provision(own_stack, root_clients)
    sqs, url = await root_clients.open("sqs"), own_stack.queue_url("deletions")
    session = own_stack.name_of("function", "cleanup")
    keys = (await RoleSource(own_stack, root_clients)("cleanup")).keys
    async with Clients(emulator.aws, keys) as clients:
        cleanup = await clients.open("sqs")
        await sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": _denying(own_stack, session)})
        with pytest.raises(ClientError, match="explicit deny"):
            await cleanup.receive_message(QueueUrl=url)
        await sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})
        await cleanup.receive_message(QueueUrl=url)


def _denying(resolved: ResolvedStack, session: str) -> str:
    statement = {
        "Effect": "Deny",
        "Principal": {"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/{session}/{session}"},
        "Action": "sqs:*",
        "Resource": resolved.arn_of("queue", "deletions"),
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


async def test_an_event_goes_to_each_of_its_targets_and_no_other(own_stack: ResolvedStack, root_clients: Clients):
    """A queue gets its message, a topic its own, which its subscribers get; another prefix's target gets nothing."""
    await provision(own_stack, root_clients)
    s3, sqs, sns = [await root_clients.open(name) for name in ("s3", "sqs", "sns")]
    prefix = own_stack.deployment.prefix
    queues = {
        name: (await sqs.create_queue(QueueName=f"{prefix}-{name}"))["QueueUrl"] for name in ("direct", "fan", "other")
    }
    arns = {name: f"arn:aws:sqs:us-east-1:{ACCOUNT}:{prefix}-{name}" for name in queues}
    for name, url in queues.items():
        await sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": _open_to_services(arns[name])})
    topic = (await sns.create_topic(Name=f"{prefix}-topic"))["TopicArn"]
    await sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=_open_to_services(topic))
    await sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arns["fan"], Attributes={"RawMessageDelivery": "true"})
    bucket = f"{prefix}-events"
    await s3.create_bucket(Bucket=bucket)
    created = {"Events": ["s3:ObjectCreated:*"]}
    await s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "QueueConfigurations": [
                {"QueueArn": arns["direct"], **created, "Filter": _under("in/")},
                {"QueueArn": arns["other"], **created, "Filter": _under("other/")},
            ],
            "TopicConfigurations": [{"TopicArn": topic, **created, "Filter": _under("in/fan")}],
        },
    )
    for key in ("in/one", "in/fan", "elsewhere"):
        await s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert await _keys(sqs, queues["direct"], 2) == {"in/one", "in/fan"}
    assert await _keys(sqs, queues["fan"], 1) == {"in/fan"}
    assert await _keys(sqs, queues["other"], 0) == set()


def _open_to_services(arn: str) -> str:
    statement = {"Effect": "Allow", "Principal": "*", "Action": ["sqs:SendMessage", "sns:Publish"], "Resource": arn}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _under(prefix: str) -> dict[str, Any]:
    return {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}}


async def _keys(sqs: Any, url: str, expected: int) -> set[str]:
    """Return the keys of the events in a queue, at least `expected`, or those that came in ten seconds."""
    keys: set[str] = set()
    deadline = time.monotonic() + 10
    while True:
        answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            keys |= {record["s3"]["object"]["key"] for record in json.loads(message["Body"]).get("Records", [])}
        if len(keys) >= expected or time.monotonic() > deadline:
            return keys
