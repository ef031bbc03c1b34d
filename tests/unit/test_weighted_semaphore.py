"""The weighted semaphore: never over the capacity, first come first served, nothing lost by a cancel."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from workers.weighted_semaphore import WeightedSemaphore


async def _holder(semaphore: WeightedSemaphore, weight: int, log: list[int], release: asyncio.Event) -> None:
    async with semaphore.hold(weight):
        log.append(weight)
        await release.wait()


async def test_a_heavy_one_waits_until_it_fits() -> None:
    """Sixty of a hundred are held, so fifty must wait; once released, it goes."""
    semaphore, log, release = WeightedSemaphore(100), [], asyncio.Event()
    tasks = [asyncio.create_task(_holder(semaphore, w, log, release)) for w in (60, 50)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert log == [60]
    assert semaphore.statistics().waiting == 1

    release.set()
    await asyncio.gather(*tasks)
    assert log == [60, 50]
    assert semaphore.statistics().used == 0


async def test_a_light_one_does_not_overtake() -> None:
    """Someone heavy in front is not starved by light ones behind."""
    semaphore, log, release = WeightedSemaphore(100), [], asyncio.Event()
    tasks = [asyncio.create_task(_holder(semaphore, w, log, release)) for w in (60, 50, 10)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert log == [60]
    release.set()
    await asyncio.gather(*tasks)
    assert log == [60, 50, 10]


async def test_more_than_the_capacity_runs_alone() -> None:
    """A panorama above the capacity takes all of it instead of waiting for ever."""
    semaphore = WeightedSemaphore(100)
    async with asyncio.timeout(30), semaphore.hold(250):
        assert semaphore.statistics().used == 100
    assert semaphore.statistics().used == 0


async def test_a_cancelled_waiter_frees_the_queue() -> None:
    """When the heavy one in front gives up, the light one behind it goes at once."""
    semaphore, log, release = WeightedSemaphore(100), [], asyncio.Event()
    first, heavy, light = (asyncio.create_task(_holder(semaphore, w, log, release)) for w in (60, 50, 10))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    heavy.cancel()
    await asyncio.wait([heavy])
    await asyncio.sleep(0)
    assert log == [60, 10]

    release.set()
    await asyncio.gather(first, light)
    assert semaphore.statistics().used == 0


async def test_a_cancel_at_the_moment_of_the_turn_gives_the_weight_back() -> None:
    """Cancelled after its turn was granted but before it ran, a waiter leaves nothing behind."""
    semaphore, log, release = WeightedSemaphore(10), [], asyncio.Event()
    holder = asyncio.create_task(_holder(semaphore, 10, log, release))
    waiter = asyncio.create_task(_holder(semaphore, 10, log, release))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    release.set()
    await asyncio.wait([holder])

    waiter.cancel()
    await asyncio.wait([waiter])
    assert semaphore.statistics().used == 0


async def test_taking_at_once_never_overtakes() -> None:
    """What is free is taken without waiting, unless somebody waits for it already."""
    semaphore = WeightedSemaphore(100)
    assert semaphore.acquire_now(60)
    assert not semaphore.acquire_now(50)
    waiter = asyncio.create_task(_holder(semaphore, 50, [], asyncio.Event()))
    await asyncio.sleep(0)
    assert not semaphore.acquire_now(10)

    waiter.cancel()
    await asyncio.wait([waiter])
    assert semaphore.acquire_now(10)
    semaphore.release(70)
    assert semaphore.statistics().used == 0


async def test_release_hands_over_to_the_waiter() -> None:
    """Between a release and its waiter's next step nobody else gets in: who holds a process must never wait there."""
    semaphore, log, release = WeightedSemaphore(1), [], asyncio.Event()
    assert semaphore.acquire_now(1)
    waiter = asyncio.create_task(_holder(semaphore, 1, log, release))
    await asyncio.sleep(0)

    semaphore.release(1)
    assert not semaphore.acquire_now(1)

    release.set()
    await waiter
    assert log == [1]


@given(st.lists(st.integers(min_value=1, max_value=150), min_size=1, max_size=30))
def test_the_capacity_is_never_exceeded(weights: list[int]) -> None:
    """Whatever the weights, the sum in use stays within the capacity and everyone gets a turn."""

    async def scenario() -> None:
        semaphore, done = WeightedSemaphore(100), []

        async def one(weight: float) -> None:
            async with semaphore.hold(weight):
                assert semaphore.statistics().used <= 100
                await asyncio.sleep(0)
                done.append(weight)

        await asyncio.gather(*map(one, weights))
        assert sorted(done) == sorted(weights)
        assert semaphore.statistics().used == 0

    asyncio.run(scenario())
