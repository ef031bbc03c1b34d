"""Limits in bulk do the same as one call after the other: what the day simulator rests on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.limits.concurrency import LambdaLimits
from fleet.limits.dynamodb import Demand, Direction, DynamoDBLimits, Resource
from fleet.limits.gateway import GatewayThrottle
from fleet.limits.quotas import DynamoDBQuotas, GatewayQuotas, LambdaQuotas, Quotas, S3Quotas
from fleet.limits.s3 import S3Limits
from shoebox.stack.gateway import Throttle

Steps = Sequence[tuple[float, int]]
STEPS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.125, 0.5, 1.0, 60.0, 400.0, 1900.0]), st.integers(1, 60)), max_size=12
)


def same(make: Callable[[], Any], one: Callable[[Any, float], object], many: Callable[..., int], steps: Steps) -> None:
    """Check that both ways admit as many, and use the limits alike, at each step."""
    singles, bulk, now = make(), make(), 0.0
    for pause, count in steps:
        now += pause
        assert many(bulk, now, count) == sum(bool(one(singles, now)) for _ in range(count))
        assert [*bulk.uses(now)] == [*singles.uses(now)]


@given(STEPS, st.integers(1, 3), st.integers(1, 20), st.integers(1, 40), st.booleans(), st.integers(1, 60))
def test_invocations(steps: Steps, slots: int, places: int, scaling: int, synchronous: bool, leaving: int) -> None:
    """Entering and leaving in bulk: the same admissions, refusals, environments and peaks."""
    quotas = LambdaQuotas(concurrency=places, scaling_environments=scaling, unreserved_least=0)
    singles, bulk = (LambdaLimits(quotas, {}, {"f": slots}) for _ in range(2))
    now, running = 0.0, 0
    for pause, count in steps:
        now += pause
        entered = bulk.enter_many("f", now, count, synchronous=synchronous)
        assert entered == sum(singles.enter("f", now, synchronous=synchronous) is None for _ in range(count))
        assert [*bulk.uses(now)] == [*singles.uses(now)]
        left = min(leaving, running + entered)
        running += entered - left
        bulk.leave("f", now, left)
        for _ in range(left):
            singles.leave("f", now)
        assert [*bulk.uses(now)] == [*singles.uses(now)]


@given(STEPS, st.integers(1, 3), st.integers(1, 8), st.integers(1, 40))
def test_invocations_that_follow_others(steps: Steps, slots: int, running: int, requests: int) -> None:
    """Each leaves and enters; where the rate refuses, an asynchronous one, which it does not count, keeps the place."""
    quotas = LambdaQuotas(concurrency=running, requests_per_environment=requests / running, unreserved_least=0)
    singles, bulk = (LambdaLimits(quotas, {}, {"f": slots}) for _ in range(2))
    assert bulk.enter_many("f", 0.0, running, synchronous=False) == running
    assert all(singles.enter("f", 0.0, synchronous=False) is None for _ in range(running))
    now = 0.0
    for pause, count in steps:
        now += pause
        assert bulk.follow("f", now, count) == sum(_follows(singles, now) for _ in range(count))
        assert [*bulk.uses(now)] == [*singles.uses(now)]


def _follows(limits: LambdaLimits, now: float) -> bool:
    limits.leave("f", now)
    if limits.enter("f", now) is None:
        return True
    assert limits.enter("f", now, synchronous=False) is None
    return False


@given(STEPS, st.integers(1, 40), st.integers(1, 40))
def test_gateway_requests(steps: Steps, burst: int, rate: int) -> None:
    """Account and route: the same bucket refuses as often."""
    quotas = Quotas(gateway=GatewayQuotas(rate=20, burst=30))
    routes = {"r": Throttle(rate=rate, burst=burst)}
    same(lambda: GatewayThrottle(quotas, None, routes), lambda g, t: g.admit("r", t), _gateway, steps)


def _gateway(limits: GatewayThrottle, now: float, count: int) -> int:
    return limits.admit("r", now, count)


@given(STEPS)
def test_s3_requests(steps: Steps) -> None:
    """A prefix's writes."""
    quotas = S3Quotas(prefix_writes=25)
    same(
        lambda: S3Limits(quotas),
        lambda s, t: s.admit("PUT", "b", "a/x", t),
        lambda s, t, n: int(s.admit("PUT", "b", "a/x", t, n)),
        steps,
    )


@settings(deadline=None)
@given(STEPS, st.sampled_from([None, "key"]), st.sampled_from([1.0, 2.0, 6.0, 80.0]), st.sampled_from([0.5, 1.0, 3.0]))
def test_dynamodb_writes(steps: Steps, key: str | None, table: float, index: float) -> None:
    """Table and index, partition and whole, growth and debt."""
    quotas = DynamoDBQuotas(partition_writes=30, new_table_writes=40, table_writes=70)
    demands = [Demand(Resource("t"), key, table), Demand(Resource("t", "i"), key, index)]
    same(
        lambda: DynamoDBLimits(quotas),
        lambda d, t: d.admit(Direction.WRITE, demands, t) is None,
        lambda d, t, n: int(d.admit_many(Direction.WRITE, demands, t, n)),
        steps,
    )
