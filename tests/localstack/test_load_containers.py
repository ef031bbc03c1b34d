"""`docker compose --profile load up`: two Locust workers, a master with its page, a report of the run on it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import aiohttp
import pytest

from load_tests.results import Results
from tests.e2e.live_stack import until
from tests.localstack.project import BUILD_SECONDS, Project, project

LOAD = {
    "SHOEBOX_LOAD_SCENARIO": "smoke",
    "SHOEBOX_LOAD_PHOTOS": "small",
    "SHOEBOX_UPLOADS_PER_DAY": "100k",  # 1.2 photos/s
    "SHOEBOX_LOAD_SECONDS": "20",
    "SHOEBOX_LOAD_WORKERS": "2",
    "SHOEBOX_LOAD_THRESHOLDS": "lost==0",
}
_REPORT = re.compile(r'href="([^"]+)/report\.html"')


@pytest.fixture
def up() -> Iterator[Project]:
    """Provide the stack in containers with its load, from the first build on."""
    with project("shoebox-load-test") as plain:
        loaded = replace(plain, environment={**plain.environment, **LOAD})
        loaded.run("--profile", "load", "up", "--build", "--wait", seconds=BUILD_SECONDS)
        yield loaded


async def test_phones_in_containers_make_a_report(up: Project) -> None:
    """Every photo that was offered is READY, by two workers, and queues and limits are seen from the fleet's side."""
    page = f"{up.url('SHOEBOX_LOCUST_PORT')}/results/"
    async with aiohttp.ClientSession() as http:

        async def runs() -> list[str]:
            async with http.get(page) as answer:
                return _REPORT.findall(await answer.text()) if answer.status == 200 else []

        await until(runs, 300)
        (run,) = await runs()
        async with http.get(f"{page}{run}/results.json") as answer:
            results = Results.model_validate_json(await answer.read())
        async with http.get(f"{page}../shoebox/keys/demo.pem") as answer:
            assert answer.status == 404

    assert results.invalid == []
    assert results.photos.ready == results.offered.photos > 0
    assert results.photos.lost == results.offered.missed == 0
    assert {queue.name for queue in results.queues} >= {"uploads", "uploads-dead"}
    assert any(limit.limit == "gateway.rate" and limit.peak > 0 for limit in results.limits)
    assert len(up.containers("locust-worker")) == 2
    assert all(container["Config"]["User"] == "shoebox" for container in up.containers("locust-worker"))
