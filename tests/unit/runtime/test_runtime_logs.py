"""Log lines as Lambda's JSON."""

import json
import logging
from typing import Any

from workers.runtime.context import Context, current_context
from workers.runtime.logs import JsonLines


def line(record: logging.LogRecord) -> dict[str, Any]:
    """A record's line, read back."""
    text = JsonLines().format(record)
    assert "\n" not in text
    read: dict[str, Any] = json.loads(text)
    return read


def record(message: Any, *args: object, **extra: Any) -> logging.LogRecord:
    """A record of logger `app`, made at a known time."""
    made = logging.LogRecord("app", logging.WARNING, "/app.py", 7, message, args, None)
    made.created = 1_790_000_000.1239
    made.__dict__.update(extra)
    return made


def test_keys_outside_of_an_invocation() -> None:
    """The four keys that every line has, and what was passed as extra."""
    assert line(record("late by %d s", 3, count=2, kind=object)) == {
        "timestamp": "2026-09-21T14:13:20.123Z",
        "level": "WARNING",
        "message": "late by 3 s",
        "logger": "app",
        "count": 2,
        "kind": "<class 'object'>",
    }


def test_invocations_are_named() -> None:
    """Inside an invocation each line carries its request and tenant."""
    token = current_context.set(Context(aws_request_id="r-1", tenant_id="blue"))
    try:
        fields = line(record("x"))
    finally:
        current_context.reset(token)
    assert (fields["requestId"], fields["tenantId"]) == ("r-1", "blue")
    assert "requestId" not in line(record("x"))


def test_exceptions_have_lambdas_keys() -> None:
    """Type, message, frames and place."""
    try:
        raise ValueError("no\nregion")
    except ValueError as error:
        made = record("failed")
        made.exc_info = (ValueError, error, error.__traceback__)
    fields = line(made)
    assert (fields["errorType"], fields["errorMessage"]) == ("ValueError", "no\nregion")
    assert "raise ValueError" in fields["stackTrace"][0]
    assert fields["location"] == "/app.py:None:7"


def test_a_message_may_be_a_mapping() -> None:
    """As with AWS's client, a dict is not flattened into text."""
    assert line(record({"a": 1}))["message"] == {"a": 1}
