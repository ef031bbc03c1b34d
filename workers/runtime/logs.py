"""Logs as Lambda's JSON lines on stdout ("Log formats": JSON).

Keys: timestamp, level, message, logger; requestId and tenantId inside an invocation; errorType, errorMessage,
stackTrace and location with an exception; and whatever was passed as `extra`.
"""

from __future__ import annotations

import io
import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

from workers.runtime.context import current_context

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON; values that JSON does not know are written with `str`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields: dict[str, Any] = {
            "timestamp": _timestamp(record.created),
            "level": record.levelname,
            "message": record.msg if isinstance(record.msg, dict) and not record.args else record.getMessage(),
            "logger": record.name,
        }
        fields |= _invocation()
        fields |= _exception(record)
        fields |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD}
        return json.dumps(fields, default=str, ensure_ascii=False)


def configure_logging(level: int) -> None:
    """Write all log records to stdout, one line each, at once; also what the handler prints."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)


def _timestamp(created: float) -> str:
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _invocation() -> dict[str, str]:
    context = current_context.get()
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
