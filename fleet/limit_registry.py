"""All limits in one place: those that the fleet keeps, and those that are kept beside the emulator, with its counts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import orjson

from fleet.limits.quotas import Quotas
from fleet.limits.use import BilledCount, DataUse, LimitUse, nearest


class LimitRegistry:
    """What `shoebox quotas` and /metrics show; `data_limits` asks for the limits that another process keeps."""

    def __init__(
        self,
        quotas: Quotas,
        own: Callable[[], Iterable[LimitUse]],
        data_limits: Callable[[], Awaitable[DataUse]] | None = None,
    ) -> None:
        self._quotas = quotas
        self._own = own
        self._data_limits = data_limits
        self._known: list[LimitUse] = []
        self._data = DataUse()

    @property
    def uses(self) -> list[LimitUse]:
        """The limits as they were at the last `refresh`."""
        return self._known

    @property
    def requests(self) -> Sequence[BilledCount]:
        """Requests that had passed to the emulator at the last `refresh`."""
        return self._data.requests

    @property
    def units(self) -> Sequence[BilledCount]:
        """Capacity units that tables had used at the last `refresh`."""
        return self._data.units

    async def refresh(self) -> list[LimitUse]:
        """Ask for all limits, the nearest first."""
        self._data = await self._data_limits() if self._data_limits else DataUse()
        self._known = nearest([*self._own(), *self._data.uses])
        return self._known

    async def document(self) -> bytes:
        """Return the quotas and the use of each limit as JSON; what is infinite is null."""
        limits = [_shown(use) for use in await self.refresh()]
        return orjson.dumps({"quotas": self._quotas.model_dump(), "limits": limits})


def _shown(use: LimitUse) -> dict[str, Any]:
    return {**use.document(), "headroom": use.headroom, "factor": use.factor}
