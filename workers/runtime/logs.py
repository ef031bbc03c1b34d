"""Logs as Lambda takes them ("Log formats": JSON and text), on stdout or framed on a descriptor of Lambda's.

JSON keys: timestamp, level, message, logger; requestId and tenantId inside an invocation; errorType, errorMessage,
stackTrace and location with an exception; and whatever was passed as `extra`. Text has level, time, request id and
message, separated by tabs.
"""

from __future__ import annotations

import io
import json
import logging
import os
import struct
import sys
import time
import traceback
from datetime import UTC, datetime
from typing import Any, Self, TextIO

from workers.runtime.context import running_context

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "aws_request_id", "tenant_id"}
_FRAME = 0xA55A0000
_JSON, _TEXT = 0b10, 0b11
_LEVELS = {0: 0, logging.DEBUG: 8, logging.INFO: 12, logging.WARNING: 16, logging.ERROR: 20, logging.CRITICAL: 24}


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON; values that JSON does not know are written with `str`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        fields: dict[str, Any] = {
            "timestamp": _timestamp(record.created),
            "level": record.levelname,
            "message": record.msg if isinstance(record.msg, dict) and not record.args else record.getMessage(),
            "logger": record.name,
        }
        fields |= _invocation()
        fields |= _exception(record)
        fields |= _extra(record)
        return json.dumps(fields, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """Formats a record as AWS's Python runtime does: one line, since Lambda parts log events at line feeds.

    What comes after the first line of a message or traceback is joined with carriage returns.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        request_id = _invocation().get("requestId", "")
        text = "\t".join([f"[{record.levelname}]", _timestamp(record.created), request_id, record.getMessage()])
        details = _exception(record) | _extra(record)
        if "errorType" in details:
            trace = ["Traceback (most recent call last):\n", *details.get("stackTrace", ())]
            text += f"\n[ERROR] {details['errorType']}: {details.get('errorMessage', '')}\n{''.join(trace)}"
        elif record.name.partition(".")[0] == "runtime":
            # This runtime's own events say in their fields what happened. AWS's text format shows no fields of others.
            text += "".join(f" {key}={value}" for key, value in details.items())
        return text.rstrip().replace("\n", "\r")


class InvocationFilter(logging.Filter):
    """Gives records `aws_request_id` and `tenant_id`, as AWS's client does: formatters of functions use them."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass."""
        context = running_context()
        record.aws_request_id = context.aws_request_id if context else ""
        record.tenant_id = context.tenant_id if context else None
        return True


class StdoutHandler(logging.StreamHandler[TextIO]):
    """Writes records to stdout, one line each."""

    @property
    def log_sink(self) -> Self:
        """What `Context.log` writes to, under AWS's name."""
        return self

    def log(self, text: str) -> None:
        """Write a text as it is, on lines of its own."""
        self.stream.write(text if text.endswith("\n") else text + "\n")


class FrameHandler(logging.Handler):
    """Writes records to the descriptor in `_LAMBDA_TELEMETRY_LOG_FD`, so that Lambda knows where each begins and ends.

    A frame as in AWS's client (awslambdaric 4.2): 4 bytes of type, which encode level and format, 4 of length, 8 of
    microseconds since the epoch, then the text; big-endian.
    """

    def __init__(self, descriptor: int, *, text: bool) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._format = _TEXT if text else _JSON

    def emit(self, record: logging.LogRecord) -> None:
        """Write one frame."""
        self._write(_LEVELS[min(50, max(0, record.levelno)) // 10 * 10] | self._format, self.format(record))

    @property
    def log_sink(self) -> Self:
        """What `Context.log` writes to, under AWS's name."""
        return self

    def log(self, text: str) -> None:
        """Write a text as it is, in a frame without a level."""
        self._write(_TEXT, text)

    def _write(self, kind: int, text: str) -> None:
        body = text.encode("utf-8", "backslashreplace")
        os.write(self._descriptor, struct.pack("!IIQ", _FRAME | kind, len(body), time.time_ns() // 1000) + body)


def configure_logging(level: int, *, text: bool = False, descriptor: int | None = None) -> None:
    """Write all log records, one line each, at once, to stdout or framed to `descriptor`; stdout is for prints, too."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    logging.Formatter.converter = time.gmtime  # as AWS's client: for the formatters of functions
    handler = StdoutHandler(sys.stdout) if descriptor is None else FrameHandler(descriptor, text=text)
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    handler.addFilter(InvocationFilter())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)


def _timestamp(created: float) -> str:
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD}


def _invocation() -> dict[str, str]:
    context = running_context()
    if context is None:
        return {}
    fields = {"requestId": context.aws_request_id}
    return fields | {"tenantId": context.tenant_id} if context.tenant_id else fields


def _exception(record: logging.LogRecord) -> dict[str, Any]:
    if not record.exc_info or record.exc_info[0] is None:
        return {}
    kind, error, trace = record.exc_info
    return {
        "errorType": kind.__name__,
        "errorMessage": str(error),
        "stackTrace": traceback.format_tb(trace),
        "location": f"{record.pathname}:{record.funcName}:{record.lineno}",
    }
