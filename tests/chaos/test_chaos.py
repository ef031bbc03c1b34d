"""The short form of `./run chaos`: faults on real local stacks, judged photo by photo."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chaos.experiments import EXPERIMENTS, chosen
from tests.chaos.lab import Suite

SEED, PHOTOS = 1, 24
TIMEOUT_FACTOR = 4  # other tests may run beside these

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def suite(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Suite]:
    """Provide the lab that runs experiments; they share their stacks."""
    folder = tmp_path_factory.mktemp("chaos")
    made = Suite(folder, seed=SEED, photos=PHOTOS, timeout_factor=TIMEOUT_FACTOR)
    async with made.running() as suite:
        yield suite


@pytest.mark.parametrize("name", [experiment.name for experiment in chosen([], short=True)])
async def test_a_fault_costs_no_photo(suite: Suite, name: str) -> None:
    """Every photo whose PUT got 200 is whole, has its event, and exists once; what was deleted is gone."""
    verdict = await suite.run(EXPERIMENTS[name])
    assert verdict.passed, "\n".join([verdict.note, *verdict.findings])
