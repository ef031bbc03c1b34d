"""Logs: structlog JSON lines with stable keys, one for each event. Keys: docs/reference/telemetry.md.

Whoever runs a request or a message binds `request_id`, `tenant`, `file_id` or `trace_id` with `log_context`;
every line below then carries them. Tokens, URLs with signatures, and file names are never logged.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Any, BinaryIO

import orjson
import structlog

log_context = structlog.contextvars.bound_contextvars


def configure_logging(
    *, level: int = logging.INFO, stream: BinaryIO | None = None, watch: structlog.typing.Processor | None = None
) -> None:
    """Write JSON lines to `stream`, or else stdout, from now on; call it once, at a program's entry.

    `watch` sees each line's fields before the others do.
    """
    structlog.configure(
        processors=[
            *([watch] if watch else []),
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(_BestEffortStream(stream or sys.stdout.buffer)),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )


def get_logger(**values: Any) -> structlog.typing.FilteringBoundLogger:
    """Return a logger that adds `values` to each of its lines."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(**values)
    return logger


class _BestEffortStream:
    """A stream that drops what cannot be written, such as on a full disk: logging must not fail the request."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, line: bytes) -> int:
        with suppress(OSError):
            return self._stream.write(line)
        return 0

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def _dumps(values: Any, **_: Any) -> bytes:
    return orjson.dumps(values, default=str)
