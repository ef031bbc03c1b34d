"""Permits by weight: never over the capacity, first come first served, nothing lost by a cancel."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from workers.permits import Permits


async def _holder(permits: Permits, weight: float, log: list[float], release: asyncio.Event) -> None:
    async with permits.hold(weight):
        log.append(weight)
        await release.wait()


async def test_a_heavy_one_waits_until_it_fits() -> None:
    """Sixty of a hundred are held, so fifty must wait; once released, it goes."""
    permits, log, release = Permits(100), [], asyncio.Event()
    tasks = [asyncio.create_task(_holder(permits, w, log, release)) for w in (60.0, 50.0)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert log == [60.0]
    assert permits.statistics().waiting == 1

    release.set()
    await asyncio.gather(*tasks)
    assert log == [60.0, 50.0]
    assert permits.statistics().used == 0


async def test_a_light_one_does_not_overtake() -> None:
    """Someone heavy in front is not starved by light ones behind."""
    permits, log, release = Permits(100), [], asyncio.Event()
    tasks = [asyncio.create_task(_holder(permits, w, log, release)) for w in (60.0, 50.0, 10.0)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert log == [60.0]
    release.set()
    await asyncio.gather(*tasks)
    assert log == [60.0, 50.0, 10.0]


async def test_more_than_the_capacity_runs_alone() -> None:
    """A panorama above the capacity takes all of it instead of waiting for ever."""
    permits = Permits(100)
    async with asyncio.timeout(30), permits.hold(250):
        assert permits.statistics().used == 100
    assert permits.statistics().used == 0


async def test_a_cancelled_waiter_frees_the_queue() -> None:
    """When the heavy one in front gives up, the light one behind it goes at once."""
    permits, log, release = Permits(100), [], asyncio.Event()
    first, heavy, light = (asyncio.create_task(_holder(permits, w, log, release)) for w in (60.0, 50.0, 10.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    heavy.cancel()
    await asyncio.wait([heavy])
    await asyncio.sleep(0)
    assert log == [60.0, 10.0]

    release.set()
    await asyncio.gather(first, light)
    assert permits.statistics().used == 0


async def test_a_cancel_at_the_moment_of_the_turn_gives_the_weight_back() -> None:
    """Cancelled after its turn was granted but before it ran, a waiter leaves nothing behind."""
    permits, log, release = Permits(10), [], asyncio.Event()
    holder = asyncio.create_task(_holder(permits, 10.0, log, release))
    waiter = asyncio.create_task(_holder(permits, 10.0, log, release))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    release.set()
    await asyncio.wait([holder])

    waiter.cancel()
    await asyncio.wait([waiter])
    assert permits.statistics().used == 0


@given(st.lists(st.floats(min_value=0.1, max_value=150), min_size=1, max_size=30))
def test_the_capacity_is_never_exceeded(weights: list[float]) -> None:
    """Whatever the weights, the sum in use stays within the capacity and everyone gets a turn."""

    async def scenario() -> None:
        permits, done = Permits(100), []

        async def one(weight: float) -> None:
            async with permits.hold(weight):
                assert permits.statistics().used <= 100 + 1e-6
                await asyncio.sleep(0)
                done.append(weight)

        await asyncio.gather(*map(one, weights))
        assert sorted(done) == sorted(weights)
        assert abs(permits.statistics().used) < 1e-6

    asyncio.run(scenario())
