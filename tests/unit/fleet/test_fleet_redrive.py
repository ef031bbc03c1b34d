import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.queues.operations import DeadLetters, QueueState, RedriveError, dead_letters_of, queue_state, redrive

QUEUE = DeadLetters("http://sqs/dead", "arn:aws:sqs:r:1:dead", "http://sqs/work", "arn:aws:sqs:r:1:work")
KIND = {"kind": {"DataType": "String", "StringValue": "test"}}


def refusal(code: str, operation: str = "StartMessageMoveTask") -> ClientError:
    """Return an error as botocore raises it."""
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


def task(status: str, moved: int = 0, **more: Any) -> dict[str, Any]:
    """Return one of ListMessageMoveTasks' results."""
    return {"Status": status, "ApproximateNumberOfMessagesMoved": moved, "SourceArn": QUEUE.arn, **more}


class Moving:
    """SQS with message move tasks: each look takes the next of `tasks`, None when it knows none."""

    def __init__(self, *tasks: dict[str, Any] | None) -> None:
        self.tasks = list(tasks)
        self.started: list[dict[str, str]] = []
        self.slept: list[float] = []

    async def start_message_move_task(self, **arguments: str) -> dict[str, str]:
        """StartMessageMoveTask."""
        self.started.append(arguments)
        return {"TaskHandle": "eyJ0YXNrSWQiOiIxIn0="}

    async def list_message_move_tasks(self, SourceArn: str, MaxResults: int) -> dict[str, Any]:  # noqa: N803
        """ListMessageMoveTasks, the newest first."""
        assert (SourceArn, MaxResults) == (QUEUE.arn, 1)
        found = self.tasks.pop(0)
        return {"Results": [found] if found else []}

    async def sleep(self, seconds: float) -> None:
        """Note the pause."""
        self.slept.append(seconds)


async def test_sqs_moves_the_messages_where_it_can():
    """One task from the dead-letter queue to its source, and its number when it is complete."""
    sqs = Moving(task("RUNNING"), task("RUNNING", 3), task("COMPLETED", 5))
    assert await redrive(sqs, QUEUE, sleep=sqs.sleep) == 5
    assert sqs.started == [{"SourceArn": QUEUE.arn, "DestinationArn": QUEUE.source_arn}]
    assert sqs.slept == [0.5, 0.5]


async def test_a_task_without_numbers_has_moved_nothing():
    """SQS leaves them out where nothing was moved."""
    assert await redrive(Moving({"Status": "COMPLETED"}), QUEUE) == 0


@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (task("FAILED", 2, FailureReason="AccessDenied"), "after 2 messages: AccessDenied"),
        (task("CANCELLED", 4), "after 4 messages: CANCELLED"),
        (None, "after 0 messages: SQS does not know it any more"),
    ],
)
async def test_a_move_that_ends_early_says_how_far_it_came(ended: dict[str, Any] | None, reason: str):
    """With SQS's own reason."""
    sqs = Moving(task("RUNNING"), task("CANCELLING"), ended)
    with pytest.raises(RedriveError, match=reason):
        await redrive(sqs, QUEUE, sleep=sqs.sleep)
    assert sqs.tasks == []


async def test_a_refused_move_is_not_copied_instead():
    """Another task that runs, or a missing permission, is what the user must hear of."""

    class Refusing(Moving):
        async def start_message_move_task(self, **arguments: str) -> dict[str, str]:
            raise refusal("UnsupportedOperationException")

    with pytest.raises(RedriveError, match=r"SQS does not move the messages: .*UnsupportedOperationException"):
        await redrive(Refusing(), QUEUE)


# --- where SQS has no such operation ------------------------------------------------------------------------------


class Copying:
    """Two queues in memory, without move tasks; `bad` bodies cannot be sent, `comes` is sent while messages move."""

    def __init__(self, dead: int = 0, *, code: str = "InvalidAction", queue: DeadLetters = QUEUE) -> None:
        self.queue = queue
        self.sends: list[int] = []
        self.dead = [self.message(n) for n in range(dead)]
        self.hidden: dict[str, dict[str, Any]] = {}
        self.work: list[dict[str, Any]] = []
        self.bad: set[str] = set()
        self.group: str | None = None
        self.sent: list[dict[str, Any]] = []
        self.comes = 0
        self.receives: list[int] = []
        self.calls: list[str] = []
        self._code = code

    def message(self, number: int) -> dict[str, Any]:
        """Return a message as it waits."""
        return {"MessageId": f"m{number}", "Body": f"b{number}", "MessageAttributes": KIND if number % 2 else None}

    @property
    def left(self) -> list[str]:
        """Bodies that are in the dead-letter queue still, hidden or not."""
        return sorted(m["Body"] for m in [*self.dead, *self.hidden.values()])

    @property
    def moved(self) -> list[str]:
        """Bodies that are back."""
        return sorted(m["Body"] for m in self.work)

    async def start_message_move_task(self, **arguments: str) -> dict[str, str]:
        """Refuse: it is not there."""
        raise refusal(self._code)

    async def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:  # noqa: N803
        """Return the number of visible messages, a string as in SQS."""
        assert QueueUrl == self.queue.url
        return {"Attributes": {name: str(len(self.dead)) for name in AttributeNames}}

    async def receive_message(self, QueueUrl: str, MaxNumberOfMessages: int, **arguments: Any) -> dict[str, Any]:  # noqa: N803
        """Hide messages; without any there is no such key in the answer."""
        assert QueueUrl == self.queue.url
        assert arguments == {
            "VisibilityTimeout": 60,
            "MessageAttributeNames": ["All"],
            "MessageSystemAttributeNames": ["MessageGroupId"],
        }
        self.calls.append("receive")
        self.receives.append(MaxNumberOfMessages)
        taken, self.dead = self.dead[:MaxNumberOfMessages], self.dead[MaxNumberOfMessages:]
        self.dead += [self.message(100 + n) for n in range(self.comes)]
        self.hidden |= {f"h-{m['MessageId']}": m for m in taken}
        found = [
            {"MessageId": m["MessageId"], "ReceiptHandle": f"h-{m['MessageId']}", "Body": m["Body"]}
            | ({"MessageAttributes": m["MessageAttributes"]} if m["MessageAttributes"] else {})
            | ({"Attributes": {"MessageGroupId": self.group}} if self.group else {})
            for m in taken
        ]
        return {"Messages": found} if found else {}

    async def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Take what is not bad; lists that would be empty are not in the answer."""
        assert QueueUrl == self.queue.source_url
        assert 0 < len(Entries) <= 10
        self.calls.append("send")
        self.sends.append(len(Entries))
        self.sent += Entries
        good = [e for e in Entries if e["MessageBody"] not in self.bad]
        self.work += [{"Body": e["MessageBody"], "MessageAttributes": e["MessageAttributes"]} for e in good]
        failed = [
            {"Id": e["Id"], "Code": "InternalError", "Message": "try later", "SenderFault": False}
            for e in Entries
            if e["MessageBody"] in self.bad
        ]
        answer = {"Successful": [{"Id": e["Id"], "MessageId": "new"} for e in good], "Failed": failed}
        return {name: entries for name, entries in answer.items() if entries}

    async def delete_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        """Forget them."""
        assert QueueUrl == self.queue.url
        assert 0 < len(Entries) <= 10
        self.calls.append("delete")
        for entry in Entries:
            del self.hidden[entry["ReceiptHandle"]]
        return {"Successful": [{"Id": entry["Id"]} for entry in Entries]}


@pytest.mark.parametrize("code", ["InvalidAction", "AWS.SimpleQueueService.UnsupportedOperation", "UnknownOperation"])
async def test_messages_are_copied_where_nobody_moves_them(code: str):
    """Ten at a time, each with its attributes, and deleted only after they were sent."""
    sqs = Copying(23, code=code)
    assert await redrive(sqs, QUEUE) == 23
    assert sqs.left == []
    assert sqs.moved == sorted(f"b{n}" for n in range(23))
    assert [m["MessageAttributes"] for m in sqs.work[:2]] == [{}, KIND]
    assert sqs.receives == [10, 10, 3]
    assert sqs.calls == ["receive", "send", "delete"] * 3


FIFO = DeadLetters("http://sqs/dead.fifo", "arn:dead.fifo", "http://sqs/work.fifo", "arn:work.fifo")


@pytest.mark.parametrize(
    ("queue", "group", "sent"),
    [
        pytest.param(FIFO, "a", ("a", "m0"), id="a FIFO queue"),
        pytest.param(QUEUE, "a", ("a", None), id="a fair standard queue, which refuses deduplication ids"),
        pytest.param(QUEUE, None, (None, None), id="a standard queue"),
    ],
)
async def test_messages_stay_in_their_groups(queue: DeadLetters, group: str | None, sent: tuple[str | None, ...]):
    """And are no duplicates of those that were sent first: SQS itself takes the failed message's id for that."""
    sqs = Copying(1, queue=queue)
    sqs.group = group
    await redrive(sqs, queue)
    [entry] = sqs.sent
    assert (entry.get("MessageGroupId"), entry.get("MessageDeduplicationId")) == sent


LARGE = [
    pytest.param([250_000] * 7, 0, [4, 3], id="seven of 250 KB"),
    pytest.param([1_048_576] * 2, 0, [1, 1], id="each as large as can be"),
    pytest.param([524_288, 524_288, 1], 0, [2, 1], id="to the byte"),
    pytest.param([524_288, 524_288], 9, [1, 1], id="attributes count"),
    pytest.param([100] * 12, 0, [10, 2], id="small ones by number"),
]


@pytest.mark.parametrize(("sizes", "attribute", "calls"), LARGE)
async def test_no_call_is_larger_than_sqs_takes(sizes: list[int], attribute: int, calls: list[int]):
    """ "Amazon SQS message quotas": 1 MiB for all messages of a batch; bodies count in UTF-8, and attributes, too."""
    sqs = Copying()
    value = {"n": {"DataType": "Binary", "BinaryValue": b"x" * (attribute - len("nBinary"))}} if attribute else {}
    sqs.dead = [{"MessageId": f"m{n}", "Body": "x" * size, "MessageAttributes": value} for n, size in enumerate(sizes)]
    assert await redrive(sqs, QUEUE) == len(sizes)
    assert (sqs.sends, sqs.left) == (calls, [])


async def test_when_a_part_of_a_batch_fails_all_the_rest_stays():
    """The number of those that stay counts those that were received and not yet sent."""
    sqs = Copying()
    sqs.dead = [{"MessageId": f"m{n}", "Body": f"{n}" * 500_000, "MessageAttributes": None} for n in range(5)]
    sqs.bad = {"2" * 500_000}
    with pytest.raises(RedriveError, match="2 messages stay, after 3 were moved: try later"):
        await redrive(sqs, QUEUE)
    assert [body[0] for body in sqs.left] == ["2", "4"]


async def test_an_empty_queue_is_no_fault():
    """Nothing is asked for, and nothing is moved."""
    sqs = Copying()
    assert await redrive(sqs, QUEUE) == 0
    assert sqs.calls == []


async def test_no_more_is_moved_than_was_there_at_the_start():
    """What fails again meanwhile, and comes back, must not go round for ever."""
    sqs = Copying(12)
    sqs.comes = 4
    assert await redrive(sqs, QUEUE) == 12
    assert len(sqs.left) == 8


async def test_messages_that_somebody_else_takes_are_not_waited_for():
    """The number at the start is approximate."""

    class Shared(Copying):
        async def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:  # noqa: N803
            return {"Attributes": dict.fromkeys(AttributeNames, "50")}

    sqs = Shared(3)
    assert await redrive(sqs, QUEUE) == 3
    assert sqs.receives == [10, 10]


async def test_what_cannot_be_sent_stays():
    """Its neighbours go; the message tells how many stay, how many were moved, and why; none is lost or doubled."""
    sqs = Copying(15)
    sqs.bad = {"b11", "b13"}
    with pytest.raises(RedriveError, match="2 messages stay, after 13 were moved: try later"):
        await redrive(sqs, QUEUE)
    assert sqs.left == ["b11", "b13"]
    assert sqs.moved == sorted(f"b{n}" for n in range(15) if n not in (11, 13))


async def test_where_nothing_can_be_sent_nothing_is_deleted():
    """SQS takes no empty batch either."""
    sqs = Copying(2)
    sqs.bad = {"b0", "b1"}
    with pytest.raises(RedriveError, match="2 messages stay, after 0 were moved"):
        await redrive(sqs, QUEUE)
    assert (sqs.left, sqs.calls) == (["b0", "b1"], ["receive", "send"])


# --- overview ------------------------------------------------------------------------------------------------------


async def test_a_queue_is_described_in_numbers():
    """What waits, is in work and is delayed, and where its dead letters go."""

    class Sqs:
        async def get_queue_url(self, QueueName: str) -> dict[str, str]:  # noqa: N803
            return {"QueueUrl": f"http://sqs/{QueueName}"}

        async def get_queue_attributes(self, QueueUrl: str, AttributeNames: list[str]) -> dict[str, Any]:  # noqa: N803
            policy = json.dumps({"deadLetterTargetArn": QUEUE.arn, "maxReceiveCount": 5})
            found = {
                "ApproximateNumberOfMessages": "3",
                "ApproximateNumberOfMessagesNotVisible": "2",
                "QueueArn": QUEUE.source_arn,
                "RedrivePolicy": policy,
                "VisibilityTimeout": "30",
            }
            return {"Attributes": {name: found[name] for name in AttributeNames if name in found}}

    state = await queue_state(Sqs(), "work")
    assert state == QueueState("work", QUEUE.source_url, QUEUE.source_arn, 3, 2, 0, QUEUE.arn)


STATES = [
    QueueState("other", "http://sqs/other", "arn:other", 0, 0, 0, None),
    QueueState("work", QUEUE.source_url, QUEUE.source_arn, 0, 0, 0, QUEUE.arn),
    QueueState("dead", QUEUE.url, QUEUE.arn, 0, 0, 0, None),
]


@pytest.mark.parametrize(("name", "found"), [("dead", QUEUE), ("work", None), ("other", None), ("nothing", None)])
def test_a_dead_letter_queue_is_known_by_the_queue_that_it_serves(name: str, found: DeadLetters | None):
    """No other queue has anywhere to go back to."""
    assert dead_letters_of(STATES, name) == found
