"""How much of a limit is used: what `shoebox quotas` shows and /metrics exports, the same for every limit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self


@dataclass(frozen=True, slots=True)
class LimitUse:
    """One limit on one thing, now.

    `limit` is its stable name, such as `lambda.concurrency`; `subject` what it holds for: `account`, or the name of a
    function, queue, route, table or prefix. `used`, `peak` (the highest since the start) and `maximum` are in `unit`;
    `maximum` is infinite where there is no limit. `throttled` counts refusals since the start.
    """

    limit: str
    subject: str
    used: float
    peak: float
    maximum: float
    unit: str
    throttled: int = 0

    @property
    def headroom(self) -> float:
        """How much more there may be now."""
        return max(0.0, self.maximum - self.used)

    @property
    def factor(self) -> float:
        """How many times the highest load so far would hit the limit; infinite for what was never used."""
        return self.maximum / self.peak if self.peak else math.inf

    def document(self) -> dict[str, Any]:
        """Return the published form: `maximum` is called `most` in it; JSON writes what is infinite as null."""
        document = asdict(self)
        document["most"] = document.pop("maximum")
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """Return the use that a published form shows; what else the document holds is not looked at.

        Raises:
            LookupError, TypeError, ValueError: it is something else.
        """
        return cls(
            limit=document["limit"],
            subject=document["subject"],
            used=float(document["used"]),
            peak=float(document["peak"]),
            maximum=math.inf if document["most"] is None else float(document["most"]),
            unit=document["unit"],
            throttled=int(document["throttled"]),
        )


@dataclass(frozen=True, slots=True)
class BilledCount:
    """Something that AWS bills, so far: requests, or units of capacity; it never falls.

    `service` and `operation` are AWS's names in short, such as `s3` and `PUT`; `subject` is the table or index that
    units were used of.
    """

    service: str
    operation: str
    value: float
    subject: str = ""


@dataclass(frozen=True, slots=True)
class DataUse:
    """What is kept and counted beside the emulator: limits, the requests that passed, and units of capacity."""

    uses: Sequence[LimitUse] = ()
    requests: Sequence[BilledCount] = ()
    units: Sequence[BilledCount] = ()

    def document(self) -> dict[str, Any]:
        """Return what is sent to the fleet, for `orjson`."""
        return {"uses": [use.document() for use in self.uses], "requests": self.requests, "units": self.units}


class Limit(Protocol):
    """Whatever keeps limits can say how they are used; `now` in seconds of its clock."""

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Yield each limit that it keeps."""


def nearest(uses: Iterable[LimitUse]) -> list[LimitUse]:
    """Sort limits as growing load would hit them: those that refused already come first."""
    return sorted(uses, key=lambda use: (use.factor, -use.throttled, use.limit, use.subject))
