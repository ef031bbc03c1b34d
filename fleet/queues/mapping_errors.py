"""Errors that keep an event source mapping from its work: counted, logged when new, shown until they are over."""

from __future__ import annotations

from fleet.metrics import Metrics
from fleet.queues.source_queue import QueueError
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.event_source")


class MappingErrors:
    """Errors of the mapping of `function` and `queue`; at most one for each kind of call."""

    def __init__(self, function: str, queue: str, metrics: Metrics) -> None:
        self._function = function
        self._queue = queue
        self._metrics = metrics
        self._present: dict[str, str] = {}

    @property
    def last(self) -> str | None:
        """The newest, in words; None while there is none."""
        return next(reversed(self._present.values()), None)

    def add_failed_call(self, error: QueueError) -> None:
        """Add a call that SQS refused, or that did not reach it."""
        if error.denied:
            text = f"AccessDenied: the role of function {self._function} lacks {error.denied} on queue {self._queue}"
        else:
            text = f"{error.call} on queue {self._queue}: {error.code}: {error}"
        self._metrics.poll_errors.labels(self._function, error.code).inc()
        self._add(error.call, text, error.code, error.denied)

    def add_invalid_queue(self, text: str) -> None:
        """Add a setting of the queue for which AWS would refuse to create the mapping."""
        code = "InvalidParameterValueException"
        self._metrics.poll_errors.labels(self._function, code).inc()
        self._add("visibility", f"queue {self._queue}: {code}: {text}", code)

    def add_missing_host(self) -> None:
        """Add that a joined function has no host."""
        text = f"no host has joined {self._function}: nothing is received from queue {self._queue}"
        self._add("capacity", text, "NoHost")

    def add_fault(self, error: BaseException) -> None:
        """Add a fault of our own, so that a mapping does not end in silence."""
        self._present["poll"] = f"polling has ended: {error!r}"
        _log.critical("polling_ended", function=self._function, exc_info=error)

    def clear(self, call: str) -> None:
        """Remove the error of a kind of call, which has succeeded."""
        if self._present.pop(call, None):
            _log.info("mapping_unblocked", function=self._function, queue=self._queue, call=call)

    def _add(self, call: str, text: str, code: str, missing: str | None = None) -> None:
        # Taken out first, so that the newest is the last; logged only where it differs from the one before.
        if self._present.pop(call, None) != text:
            _log.error(
                "mapping_blocked",
                function=self._function,
                queue=self._queue,
                call=call,
                code=code,
                missing=missing,
                reason=text,
            )
        self._present[call] = text
