"""Functions that the tests run in real environments, under our runtime and under AWS's."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any


def echo(event: Any, context: Any) -> Any:
    """Return what came in, and what the context says about it."""
    client = context.client_context
    return {
        "event": event,
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "remaining": context.get_remaining_time_in_millis(),
        "client": client.custom if client else None,
        "pid": os.getpid(),
    }


def environment(event: Any, context: Any) -> dict[str, str]:
    """All environment variables."""
    return dict(os.environ)


def fail(event: Any, context: Any) -> None:
    """Raise an error of the function."""
    raise ValueError("as asked")


def sleep(event: Any, context: Any) -> str:
    """Busy for as long as the event says, in seconds."""
    time.sleep(event["seconds"])
    return "slept"


def nap(event: Any, context: Any) -> int:
    """Sleep, and return the process."""
    time.sleep(event["seconds"])
    return os.getpid()


async def sleep_on(event: Any, context: Any) -> int:
    """Sleep in a coroutine that ignores its cancellation."""
    until = time.monotonic() + event["seconds"]
    while time.monotonic() < until:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(until - time.monotonic())
    return os.getpid()


def meet(event: Any, context: Any) -> str:
    """Wait until so many invocations as the event says have begun, in whichever process they run."""
    folder = Path(event["folder"])
    (folder / context.aws_request_id).touch()
    while len(list(folder.iterdir())) < event["begun"]:
        time.sleep(0.01)
    return "met"


def die(event: Any, context: Any) -> None:
    """End the process in the middle."""
    os.kill(os.getpid(), signal.SIGKILL)


def large(event: Any, context: Any) -> str:
    """Return a response above the limit."""
    return "x" * (6 * 1024 * 1024 + 200)


def say(event: Any, context: Any) -> None:
    """Print a line."""
    print(f"said {event}")  # noqa: T201


def warn(event: Any, context: Any) -> None:
    """Log a line, in JSON also under AWS's client, and print another."""
    logging.getLogger().warning("warned %s", event)
    print("whose line is this?")  # noqa: T201


def terminal(event: Any, context: Any) -> bool:
    """Whether the process has a terminal that it can ask."""
    return sys.stdin.isatty()


def page(event: Any, context: Any) -> dict[str, Any]:
    """Return an HTTP response that shows the event."""
    return {
        "statusCode": 200,
        "multiValueHeaders": {"set-cookie": ["a=1", "b=2"], "content-type": ["application/json"]},
        "body": json.dumps(event),
    }


def binary(event: Any, context: Any) -> dict[str, Any]:
    """Return an HTTP response that is not text."""
    return {"statusCode": 200, "headers": {"Content-Type": "image/png"}, "body": "iVBORw==", "isBase64Encoded": True}


def malformed(event: Any, context: Any) -> dict[str, Any]:
    """Not an HTTP answer."""
    return {"status": 200}


def authorize(event: Any, context: Any) -> dict[str, Any]:
    """Allow, refuse or fail, as the token says; each call leaves a line in the log."""
    token = event["headers"]["authorization"]
    print("asked")  # noqa: T201
    if token == "raise":
        raise ValueError("Unauthorized")
    if token == "broken":
        raise ValueError("out of order")
    if token == "malformed":
        return {"principalId": "ann"}
    return {
        "principalId": "ann",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow" if token == "allow" else "Deny",
                    "Resource": event["methodArn"].split("/")[0] + "/*",
                }
            ],
        },
        "context": {"tenant": "acme", "count": 3, "code": "token_expired", "detail": "The token has expired."},
    }


def batch(event: Any, context: Any) -> dict[str, Any]:
    """Work on messages as their bodies say; the file named in the environment gets a line for each."""
    failures = []
    for record in event["Records"]:
        body = json.loads(record["body"])
        with open(os.environ["JOURNAL"], "a") as journal:  # noqa: PTH123
            journal.write(json.dumps({"pid": os.getpid(), "record": record, "number": len(event["Records"])}) + "\n")
        if body.get("hang") and record["attributes"]["ApproximateReceiveCount"] == "1":
            time.sleep(60)
        if body.get("fail") and record["attributes"]["ApproximateReceiveCount"] == "1":
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def note(event: Any, context: Any) -> None:
    """Write down the event and its request id, a line in the file named in the environment."""
    with open(os.environ["JOURNAL"], "a") as journal:  # noqa: PTH123
        journal.write(json.dumps({"event": event, "request_id": context.aws_request_id}) + "\n")


def batch_in_order(event: Any, context: Any) -> dict[str, Any]:
    """As `batch`, for FIFO queues: of a group that failed nothing more is done, and all of it is reported."""
    stopped: set[str] = set()
    failures = []
    for record in event["Records"]:
        group = record["attributes"]["MessageGroupId"]
        answer = {"batchItemFailures": [{}]} if group in stopped else batch({"Records": [record]}, context)
        if answer["batchItemFailures"]:
            stopped.add(group)
            failures.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failures}


def batch_fails_on_paper(event: Any, context: Any) -> dict[str, Any]:
    """As `batch`, but reports every message as failed."""
    batch(event, context)
    return {"batchItemFailures": [{"itemIdentifier": record["messageId"]} for record in event["Records"]]}


def nothing(event: Any, context: Any) -> None:
    """Done at once."""
