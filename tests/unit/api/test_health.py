"""The health check: it asks seldom, waits briefly, and tells what it found."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.health import HealthCheck
from api.services import Services
from shoebox.errors import Unavailable


class Behind:
    """A table and a bucket that answer as told, and a clock."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, tzinfo=UTC)
        self.asked = 0
        self.answer: Callable[[], Awaitable[None]] = self.well

    async def well(self) -> None:
        """Nothing is there, and that is well."""

    async def down(self) -> None:
        """A passing fault."""
        raise Unavailable("busy")

    async def get(self, _: Any) -> None:
        """The table's part."""
        self.asked += 1
        await self.answer()

    async def parts(self, *_: Any) -> None:
        """The bucket's part."""

    def services(self) -> Services:
        """The services that the check asks."""
        absent: Any = None
        here: Any = self
        return Services(absent, absent, here, here, absent, absent, "us-east-1", lambda: self.time)


async def test_what_was_found_holds_for_two_seconds() -> None:
    """A thousand questions are one call to AWS, also when they come at one moment; then it looks again."""
    behind = Behind()
    check = HealthCheck(behind.services())
    found = await asyncio.gather(*(check.look() for _ in range(1000)))
    assert {health.status for health in found} == {"ok"}
    assert behind.asked == 1

    behind.answer = behind.down
    behind.time += timedelta(seconds=1.9)
    assert (await check.look()).status == "ok"
    behind.time += timedelta(seconds=0.1)
    health = await check.look()
    assert (health.status, health.dependencies.files_table, health.dependencies.personal_bucket) == (
        "failed",
        "failed",
        "ok",
    )
    assert behind.asked == 2


async def test_a_dependency_that_says_nothing_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is bounded: the check itself never hangs."""
    monkeypatch.setattr("api.health._PATIENCE", 0.05)
    behind = Behind()
    behind.answer = asyncio.Event().wait  # type: ignore[assignment]  # waits for good

    assert (await HealthCheck(behind.services()).look()).dependencies.files_table == "failed"
