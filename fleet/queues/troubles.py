"""What a mapping's queue refuses at present: counted, logged when it is news, and shown until it is over."""

from __future__ import annotations

from fleet.metrics import Metrics
from fleet.queues.source_queue import QueueError
from shoebox.telemetry import get_logger

_log = get_logger(action="fleet.event_source")


class Troubles:
    """Of the mapping of `function` and `queue`; at most one for each call."""

    def __init__(self, function: str, queue: str, metrics: Metrics) -> None:
        self._function = function
        self._queue = queue
        self._metrics = metrics
        self._present: dict[str, str] = {}

    @property
    def last(self) -> str | None:
        """The newest, in words; None while all is well."""
        return next(reversed(self._present.values()), None)

    def note(self, error: QueueError) -> None:
        """A call failed."""
        if error.denied:
            text = f"AccessDenied: the role of function {self._function} lacks {error.denied} on queue {self._queue}"
        else:
            text = f"{error.call} on queue {self._queue}: {error.code}: {error}"
        self._metrics.poll_errors.labels(self._function, error.code).inc()
        self._show(error.call, text, error.code, error.denied)

    def refuse(self, call: str, code: str, text: str) -> None:
        """A rule of Lambda's is broken, and the mapping would not be there on AWS."""
        self._metrics.poll_errors.labels(self._function, code).inc()
        self._show(call, f"queue {self._queue}: {code}: {text}", code, None)

    def pause(self) -> None:
        """No environment can take messages, so none are received: each receive would bring them nearer to their end."""
        if "capacity" not in self._present:
            text = f"no host has joined {self._function}: nothing is received from queue {self._queue}"
            self._present["capacity"] = text
            _log.error(text, function=self._function, queue=self._queue)

    def resume(self) -> None:
        """There is one again."""
        if self._present.pop("capacity", None):
            _log.info("receiving again", function=self._function, queue=self._queue)

    def end(self, error: BaseException) -> None:
        """A fault of ours must not end a mapping in silence."""
        self._present["poll"] = f"polling has ended: {error!r}"
        _log.critical("polling ended", function=self._function, exc_info=error)

    def well(self, call: str) -> None:
        """A call succeeded."""
        if self._present.pop(call, None):
            _log.info("queue answers again", function=self._function, queue=self._queue, call=call)

    def _show(self, call: str, text: str, code: str, missing: str | None) -> None:
        if self._present.pop(call, None) != text:
            _log.error(
                "queue refuses", function=self._function, queue=self._queue, code=code, missing=missing, reason=text
            )
        self._present[call] = text
