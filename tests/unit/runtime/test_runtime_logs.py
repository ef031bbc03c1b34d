"""Log lines as Lambda's JSON."""

import json
import logging
import os
import struct
import time
from typing import Any

import pytest

from workers.runtime.context import Context, current_context
from workers.runtime.logs import FrameHandler, JsonFormatter, TextFormatter


def line(record: logging.LogRecord) -> dict[str, Any]:
    """Format a record and read the line back."""
    text = JsonFormatter().format(record)
    assert "\n" not in text
    read: dict[str, Any] = json.loads(text)
    return read


def record(message: Any, *args: object, **extra: Any) -> logging.LogRecord:
    """Make a record of logger `app` at a known time."""
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


def test_text_lines() -> None:
    """AWS, "Log formats", text: level, time, request id and message, with tabs between; one line, whatever is in it."""
    token = current_context.set(Context(aws_request_id="r-1"))
    try:
        assert TextFormatter().format(record("two\nlines")) == "[WARNING]\t2026-09-21T14:13:20.123Z\tr-1\ttwo\rlines"
    finally:
        current_context.reset(token)
    made = record("failed", errorType="ValueError", errorMessage="no region", stackTrace=["  File x\n"])
    assert TextFormatter().format(made).split("\r") == [
        "[WARNING]\t2026-09-21T14:13:20.123Z\t\tfailed",
        "[ERROR] ValueError: no region",
        "Traceback (most recent call last):",
        "  File x",
    ]


@pytest.mark.parametrize(
    ("logger", "end"), [("runtime", "\tnext_failed reason=no connection"), ("app", "\tnext_failed")]
)
def test_text_lines_of_the_runtimes_own_events(logger: str, end: str) -> None:
    """Text has the fields of the runtime's events behind them; of others it has none, as on Lambda."""
    made = record("next_failed", reason="no connection")
    made.name = logger
    assert TextFormatter().format(made).endswith(end)


@pytest.mark.parametrize(
    ("level", "text", "kind"),
    [
        (logging.DEBUG, False, 0xA55A000A),
        (logging.INFO, False, 0xA55A000E),
        (logging.WARNING, True, 0xA55A0013),
        (logging.ERROR, True, 0xA55A0017),
        (logging.CRITICAL, False, 0xA55A001A),
        (5, True, 0xA55A0003),
        (35, False, 0xA55A0012),
    ],
)
def test_frames(level: int, text: bool, kind: int) -> None:
    """Types as in AWS's own client, length, microseconds, text."""
    reading, writing = os.pipe()
    frames = FrameHandler(writing, text=text)
    frames.setFormatter(logging.Formatter("%(message)s"))
    made = record("héllo")
    made.levelno = level
    frames.emit(made)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    assert struct.unpack("!II", data[:8]) == (kind, 6)
    assert abs(int.from_bytes(data[8:16], "big") / 1e6 - time.time()) < 60
    assert data[16:] == "héllo".encode()
