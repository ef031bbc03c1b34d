"""The health check: it caches its result, bounds its wait, and shows the state of each dependency only."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import structlog
import structlog.testing

from api.dependencies import Services
from api.health import HealthCheck
from shoebox.aws.errors import AwsRefused
from shoebox.config import Limits
from shoebox.errors import Unavailable
from shoebox.files.memory import Fault, MemoryDeletionQueue, MemoryFileStore, MemoryPictureStore
from tests.api_bench import SETTINGS, entry
from tests.unit.api.conftest import MemoryBench

SECRET = "secret-table"


async def test_what_was_found_holds_for_two_seconds() -> None:
    """A thousand questions are one call to the table, also when they come at one moment; then it looks again."""
    time = datetime(2026, 11, 23, tzinfo=UTC)
    files, pictures = MemoryFileStore(), MemoryPictureStore()
    check = HealthCheck(Services(SETTINGS, Limits(), files, pictures, MemoryDeletionQueue(), lambda: time))
    found = await asyncio.gather(*(check.run() for _ in range(1000)))
    assert {health.status for health in found} == {"ok"}
    assert files.faults.calls["get"] == 1

    files.faults.add("get", Fault.THROTTLED)
    time += timedelta(seconds=1.9)
    assert (await check.run()).status == "ok"
    time += timedelta(seconds=0.1)
    health = await check.run()
    assert (health.status, health.dependencies.files_table, health.dependencies.personal_bucket) == (
        "failed",
        "failed",
        "ok",
    )
    assert files.faults.calls["get"] == 2


async def test_a_dependency_that_says_nothing_has_failed(bench: MemoryBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is bounded: the check itself never hangs."""
    monkeypatch.setattr("api.health._TIMEOUT", 0.05)
    bench.files.faults.add("get", Fault.NO_RESPONSE)

    assert (await HealthCheck(bench.services).run()).dependencies.files_table == "failed"


async def test_anyone_may_ask(bench: MemoryBench) -> None:
    """It needs no token, and HEAD has no body."""
    response = await bench.client_with(None).get("/healthz")
    head = await bench.client_with(None).head("/healthz")

    assert (response.status_code, head.status_code, head.content) == (200, 200, b"")
    assert response.json() == {"status": "ok", "dependencies": {"files_table": "ok", "personal_bucket": "ok"}}


@pytest.mark.parametrize("fault", [Unavailable(SECRET), AwsRefused("ResourceNotFoundException", SECRET, 400)])
@pytest.mark.parametrize("failing", ["files_table", "personal_bucket"])
async def test_what_fails_is_named(bench: MemoryBench, failing: str, fault: Exception) -> None:
    """503 and the dependency's name, without an address or an error's text."""
    if failing == "files_table":
        bench.files.faults.add("get", fault)
    else:
        bench.pictures.faults.add("parts", fault)
    response = await bench.client_with(None).get("/healthz")

    assert response.status_code == 503
    expected = {"files_table": "ok", "personal_bucket": "ok", failing: "failed"}
    assert response.json() == {"status": "failed", "dependencies": expected}


async def test_a_fault_of_ours_tells_nothing(bench: MemoryBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing permission is 500 without its cause; requests that are wrong anyway stay 4xx."""
    logger = structlog.wrap_logger(None, processors=[structlog.testing.LogCapture()])
    monkeypatch.setattr("api.edge._log", logger)
    bench.files.faults.add("register", AwsRefused("AccessDeniedException", SECRET, 400))
    response = await bench.client().post("/v1/files", json={"files": [entry()]})

    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert SECRET not in response.text
    assert (await bench.client().get("/v1/files?limit=0")).status_code == 422
