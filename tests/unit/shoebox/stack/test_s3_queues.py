"""What the provisioner makes of buckets that notify functions."""

from pathlib import Path

from shoebox.stack.deployment import Deployment, ResolvedStack, resolve
from shoebox.stack.model import Notification, Queue, load_stack
from shoebox.stack.s3_queues import with_s3_queues

STACK = load_stack(Path(__file__).parents[4] / "stack.yaml")
DEPLOYMENT = Deployment(
    prefix="family", s3_url="http://s3", s3_public_url="http://s3", sqs_url="http://sqs", gateway_url="http://g"
)


def invoking(function: str) -> ResolvedStack:
    """Return the project's stack with a bucket that notifies a function beside the queue."""
    personal = STACK.buckets["personal"]
    notifications = [*personal.notifications, Notification(events=["s3:ObjectRemoved:*"], function=function)]
    buckets = {**STACK.buckets, "personal": personal.model_copy(update={"notifications": notifications})}
    return resolve(STACK.model_copy(update={"buckets": buckets}), DEPLOYMENT)


def test_a_stack_without_such_buckets_stays_as_it_is():
    """Nothing hidden is made where nobody needs it."""
    resolved = resolve(STACK, DEPLOYMENT)
    assert with_s3_queues(resolved) is resolved


def test_s3_gets_a_queue_for_the_function():
    """The notification names the queue; those that named a queue are left alone, and so is all else."""
    resolved = invoking("cleanup")
    made = with_s3_queues(resolved)
    assert made.stack.queues == {**STACK.queues, "s3-to-cleanup": Queue(visibility_timeout=30)}
    assert made.stack.buckets["personal"].notifications == [
        *STACK.buckets["personal"].notifications,
        Notification(events=["s3:ObjectRemoved:*"], queue="s3-to-cleanup"),
    ]
    hidden = {"buckets", "queues", "functions"}
    assert made.stack.model_dump(exclude=hidden) == resolved.stack.model_dump(exclude=hidden)
    assert made.name_of("queue", "s3-to-cleanup") == "family-s3-to-cleanup"
    assert with_s3_queues(made) is made


def test_a_role_of_its_own_may_consume_the_queue_and_no_function_may():
    """As on AWS, where the function needs no right to what S3 has for it."""
    made = with_s3_queues(invoking("cleanup"))
    arn = made.arn_of("queue", "s3-to-cleanup")
    (statement,) = made.policy("s3-to-cleanup")["Statement"]
    assert statement["Resource"] == [arn]
    assert "sqs:ReceiveMessage" in statement["Action"]
    assert "sqs:SendMessage" not in statement["Action"]
    assert not any(arn in s["Resource"] for name in STACK.functions for s in made.policy(name)["Statement"])
