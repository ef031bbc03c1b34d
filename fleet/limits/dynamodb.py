"""DynamoDB's throughput limits of on-demand tables and their global secondary indexes. Pure: time is passed in.

partition   1,000 write and 3,000 read units a second ("Best practices for designing and using partition keys
            effectively"). Each value of a partition key is taken as a partition of its own: adaptive capacity isolates
            a key that is hot on a partition without neighbours ("DynamoDB burst and adaptive capacity"), so this is
            what a load meets once it lasts. It is too kind to the first minutes of keys that still share a partition,
            and too strict to one whose sort keys DynamoDB can split.
capacity    what the table has grown to: 4,000 and 12,000 when it is new, then twice its previous peak ("DynamoDB
            on-demand capacity mode", "Initial throughput and scaling properties"). Exceeding double the peak within 30
            minutes can throttle, so a peak counts as previous when it was reached 30 minutes ago.
quota       40,000 and 40,000 for a table or index ("Quotas in Amazon DynamoDB").

A table write that an index cannot take is refused ("Understanding Global Secondary Index (GSI) write throttling and
back pressure in DynamoDB"). No burst of 300 seconds: "Burst capacity can't alleviate partition-level throttling".

A request may cost more than a bucket holds, for `aws/N` divides quotas and not sizes: it passes a full bucket and
leaves it in debt, so the rate is right and nothing is refused for ever.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from fleet.limits.bucket import KeyedBuckets, PeakPerSecond, RateMeter, TokenBucket
from fleet.limits.use import BilledCount, LimitUse

if TYPE_CHECKING:  # the emulator's process builds these without pydantic, whose import takes longer than all of ours
    from fleet.limits.quotas import DynamoDBQuotas

_GROWTH_MINUTES = 30
_FULL = 1e-9  # how far floating point may be off


class Direction(StrEnum):
    """What is limited, as in a throttling reason."""

    READ = "Read"
    WRITE = "Write"


class LimitType(StrEnum):
    """Which limit, as in a throttling reason ("ThrottlingReason", Amazon DynamoDB API Reference)."""

    KEY_RANGE = "KeyRangeThroughputExceeded"
    ACCOUNT = "AccountLimitExceeded"


class Resource(NamedTuple):
    """A table, or one of its global secondary indexes."""

    table: str
    gsi: str = ""

    def __str__(self) -> str:
        """As at the end of its ARN."""
        return f"{self.table}/index/{self.gsi}" if self.gsi else self.table


class Demand(NamedTuple):
    """Capacity units that a request wants of one partition key's value; None where it is not known, as for a Scan."""

    resource: Resource
    key: str | None
    units: float


@dataclass(frozen=True, slots=True)
class DemandRefusal:
    """What refuses a request: a limit of a table or index."""

    resource: Resource
    direction: Direction
    limit: LimitType

    @property
    def reason(self) -> str:
        """AWS's word for it, for example `IndexWriteKeyRangeThroughputExceeded`."""
        return f"{'Index' if self.resource.gsi else 'Table'}{self.direction}{self.limit}"


Decisions: TypeAlias = list[DemandRefusal | None]


class DynamoDBLimits:
    """All tables of an account in a region. Nothing has to be declared: a table is new when it is first used.

    O(1) for each demand; `now` in seconds, never going back.
    """

    def __init__(self, quotas: DynamoDBQuotas) -> None:
        self._quotas = quotas
        self._throughputs: dict[tuple[Resource, Direction], _Throughput] = {}

    def admit(self, direction: Direction, demands: Sequence[Demand], now: float) -> DemandRefusal | None:
        """Take all that a request wants, or nothing; the first limit that refuses it."""
        if refused := self._first_refusal(direction, demands, now):
            return refused
        self.charge(direction, demands, now)
        return None

    def admit_many(self, direction: Direction, demands: Sequence[Demand], now: float, count: int) -> int:
        """Return how many of `count` simultaneous requests pass: the same as so many calls of `admit`.

        Each resource stands once in `demands`.
        """
        admitted: float = count
        for resource, key, units in demands:
            admitted = min(admitted, self._throughput(resource, direction).room(key, units, now))
        if admitted:
            for resource, key, units in demands:
                self._throughput(resource, direction).take(key, units * admitted, now)
        if admitted < count:  # nothing changes after the first refusal, so one limit refuses all of the rest
            self._first_refusal(direction, demands, now, count - int(admitted))
        return int(admitted)

    def admit_together(self, direction: Direction, parts: Sequence[Sequence[Demand]], now: float) -> Decisions | None:
        """Take all that the parts of a transaction want; or nothing, and return what refuses which part."""
        wanted: defaultdict[tuple[Resource, str | None], float] = defaultdict(float)
        wholes: defaultdict[Resource, float] = defaultdict(float)
        decisions: Decisions = []
        for part in parts:
            decision = None
            for demand in part:
                resource, key, units = demand
                wanted[resource, key] += units
                wholes[resource] += units
                sums = wanted[resource, key], wholes[resource]
                decision = decision or self._refusal(direction, demand, *sums, now, 1)
            decisions.append(decision)
        if any(decisions):
            return decisions
        for part in parts:
            self.charge(direction, part, now)
        return None

    def charge(self, direction: Direction, demands: Iterable[Demand], now: float) -> None:
        """Take units whatever is left: a read's size is known afterwards."""
        for resource, key, units in demands:
            self._throughput(resource, direction).take(key, units, now)

    def give_back(self, direction: Direction, demands: Iterable[Demand], now: float) -> None:
        """Give back units that were taken and not used."""
        self.charge(direction, [demand._replace(units=-demand.units) for demand in demands], now)

    def forget(self, table: str) -> None:
        """Forget a table that is gone; one of that name will be new."""
        for resource, direction in [*self._throughputs]:
            if resource.table == table:
                del self._throughputs[resource, direction]

    def uses(self, now: float) -> Iterator[LimitUse]:
        """Yield the use of each table and index: of the whole, and of its hottest partition."""
        for (resource, direction), throughput in self._throughputs.items():
            yield from throughput.uses(resource, direction, now)

    def units(self) -> Iterator[BilledCount]:
        """Yield the capacity units that each table and index has used; what was refused used none."""
        for (resource, direction), throughput in self._throughputs.items():
            yield BilledCount("dynamodb", str(direction), throughput.units, str(resource))

    def _first_refusal(
        self, direction: Direction, demands: Sequence[Demand], now: float, count: int = 1
    ) -> DemandRefusal | None:
        """Return the first limit that refuses a request, counted for `count` of such requests."""
        for demand in demands:
            if refused := self._refusal(direction, demand, demand.units, demand.units, now, count):
                return refused
        return None

    def _refusal(
        self, direction: Direction, demand: Demand, units: float, whole: float, now: float, count: int
    ) -> DemandRefusal | None:
        limit = self._throughput(demand.resource, direction).refusal(demand.key, units, whole, now, count)
        return DemandRefusal(demand.resource, direction, limit) if limit else None

    def _throughput(self, resource: Resource, direction: Direction) -> _Throughput:
        throughput = self._throughputs.get((resource, direction))
        if throughput is None:
            quotas = self._quotas
            new = (
                _Throughput(quotas.partition_reads, quotas.new_table_reads, quotas.table_reads)
                if direction is Direction.READ
                else _Throughput(quotas.partition_writes, quotas.new_table_writes, quotas.table_writes)
            )
            throughput = self._throughputs[resource, direction] = new
        return throughput


class _Throughput:
    """Reads or writes of one table or index."""

    def __init__(self, partition: float, new: float, quota: float) -> None:
        self._partitions = KeyedBuckets(partition)
        self._growth = Growth(new, quota)
        self._quota = quota
        self._whole = TokenBucket(self._growth.capacity)
        self._used = RateMeter()
        self._hottest = PeakPerSecond()
        self._partition_throttles = self._whole_throttles = 0
        self._units = self._told = 0.0

    def refusal(self, key: str | None, units: float, whole: float, now: float, count: int) -> LimitType | None:
        """Return the limit that so many units of a key, and of all together, would exceed; count its refusals."""
        if key is not None and not _room(self._partitions.at(key, now), units, now):
            self._partition_throttles += count
            return LimitType.KEY_RANGE
        self._grow(now)
        if not _room(self._whole, whole, now):
            self._whole_throttles += count
            # Below the quota it is the partitions, of which there are too few yet, that refuse.
            return LimitType.ACCOUNT if self._whole.rate >= self._quota else LimitType.KEY_RANGE
        return None

    def room(self, key: str | None, units: float, now: float) -> float:
        """Return how many requests for so many units each, one after the other, would pass now."""
        self._grow(now)
        whole = _room(self._whole, units, now)
        return whole if key is None else min(whole, _room(self._partitions.at(key, now), units, now))

    def take(self, key: str | None, units: float, now: float) -> None:
        self._grow(now)
        self._whole.charge(now, units)
        self._used.add(now, units)
        self._units += units
        if key is not None:
            self._hottest.note(now, self._partitions.at(key, now).take(now, units))

    @property
    def units(self) -> float:
        """All units so far. It never falls, even where units are given back: Prometheus takes a fall for a restart."""
        self._told = max(self._told, self._units)
        return self._told

    def uses(self, resource: Resource, direction: Direction, now: float) -> Iterator[LimitUse]:
        self._grow(now)
        subject, unit = str(resource), f"{direction[0]}CU/s"
        whole = f"dynamodb.{'index' if resource.gsi else 'table'}_{direction.lower()}s"
        used, peak, maximum = max(0.0, self._used.last(now)), self._used.peak, self._whole.rate
        yield LimitUse(whole, subject, used, peak, maximum, unit, self._whole_throttles)
        hot, hottest = self._hottest.last(now), self._hottest.peak
        name = f"dynamodb.partition_{direction.lower()}s"
        yield LimitUse(name, subject, hot, hottest, self._partitions.rate, unit, self._partition_throttles)

    def _grow(self, now: float) -> None:
        if self._growth.update(now, self._used.peak):
            self._whole.rate = self._whole.burst = self._growth.capacity


class Growth:
    """What an on-demand table serves: twice the highest load of a second that it had reached 30 minutes before.

    It never shrinks ("you can instantly achieve the same throughput again in the future"). A peak is remembered by
    the minute.
    """

    __slots__ = ("_minute", "_new", "_peaks", "_quota", "capacity")

    def __init__(self, new: float, quota: float) -> None:
        self._new, self._quota = new, quota
        self._minute = -1
        self._peaks: deque[tuple[int, float]] = deque()
        self.capacity = min(new, quota)

    def update(self, now: float, peak: float) -> bool:
        """Tell the highest load so far; whether the capacity may have changed."""
        minute = int(now // 60)
        if minute == self._minute:
            return False
        self._minute = minute
        self._peaks.append((minute, min(peak, self.capacity)))  # a full bucket lets more go in its first second
        previous = 0.0
        while self._peaks[0][0] <= minute - _GROWTH_MINUTES:
            previous = self._peaks.popleft()[1]  # they only rise
        self.capacity = min(self._quota, max(self.capacity, 2 * previous))
        return True


def _room(bucket: TokenBucket, units: float, now: float) -> float:
    """Return how many such requests the bucket admits one after the other; the last may leave it in debt."""
    if bucket.burst == math.inf or not units:
        return math.inf
    return max(0, math.floor((bucket.tokens(now) - min(units, bucket.burst) + _FULL) / units) + 1)
