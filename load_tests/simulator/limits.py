"""Every limit that a photo meets, on the fleet's own objects, and when each of them refused first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fleet.limits.concurrency import LambdaLimits
from fleet.limits.dynamodb import Demand, Direction, DynamoDBLimits, Resource
from fleet.limits.event_source import ProvisionedPollers, Scale, StandardScale
from fleet.limits.gateway import GatewayThrottle
from fleet.limits.quotas import Quotas
from fleet.limits.s3 import S3Limits
from fleet.limits.use import Limit, LimitUse
from load_tests.simulator.capacity import Writes
from shoebox.stack.model import QueueTrigger, Stack, StackError

API, AUTHORIZER, INGEST = "api", "authorizer", "ingest"
TABLE, INDEX = Resource("files"), Resource("files", "by-owner")
_BUCKET, _ORIGINAL, _RENDITION = "personal", "originals/of", "renditions/of"
_LOOK_EVERY = 1.0  # seconds; a limit that refuses does so in every tick

LimitName = tuple[str, str]
"""A limit and what it holds for, as in `LimitUse`."""


class Limits:
    """The limits of one account; `now` in seconds. Each call returns how many pass; refusals are logged.

    Keys are taken to be spread, so that no partition is hot: what one user may send is for `shoebox quotas plan`.

    Raises:
        StackError: the stack lacks a function that photos go through, or its queue.
        QuotasError: the stack reserves more concurrency than the quotas allow.
    """

    def __init__(self, stack: Stack, quotas: Quotas) -> None:
        self.trigger = _trigger(stack)
        self.scale = _scale(self.trigger, quotas)
        self._route = next((r.path for r in stack.gateway.routes if r.function == API and r.authorize), None)
        routes = {route.path: route.throttle for route in stack.gateway.routes}
        self._gateway = GatewayThrottle(quotas, stack.gateway.throttle, routes)
        functions = stack.functions.items()
        reserved = {n: quotas.count(f.reserved_concurrency) for n, f in functions if f.reserved_concurrency is not None}
        slots = {name: function.slots for name, function in functions}
        self._functions = LambdaLimits(quotas.functions, reserved, slots)
        self._dynamodb = DynamoDBLimits(quotas.dynamodb)
        self._s3 = S3Limits(quotas.s3)
        self.refusals = RefusalLog(
            {
                "gateway": self._gateway,
                "functions": self._functions,
                "dynamodb": self._dynamodb,
                "s3": self._s3,
                "mapping": self.scale,
            }
        )

    def request(self, now: float, count: int) -> int:
        """Admit requests at the gateway."""
        return self._logged("gateway", now, count, self._gateway.admit(self._route, now, count))

    def enter(self, function: str, now: float, count: int, *, synchronous: bool = True) -> int:
        """Begin invocations, which take concurrency."""
        entered = self._functions.enter_many(function, now, count, synchronous=synchronous)
        return self._logged("functions", now, count, entered)

    def follow(self, function: str, now: float, count: int) -> int:
        """Begin invocations in the concurrency that others leave."""
        return self._logged("functions", now, count, self._functions.follow(function, now, count))

    def leave(self, function: str, now: float, count: int) -> None:
        """Give concurrency back."""
        self._functions.leave(function, now, count)

    def read(self, now: float, units: float, count: int) -> int:
        """Read the table, with so many units each."""
        passed = self._dynamodb.admit_many(Direction.READ, (Demand(TABLE, None, units),), now, count)
        return self._logged("dynamodb", now, count, passed)

    def write(self, now: float, writes: Writes, count: int) -> int:
        """Write the table and its index."""
        demands = (Demand(TABLE, None, writes.of_table), Demand(INDEX, None, writes.of_index))
        return self._logged("dynamodb", now, count, self._dynamodb.admit_many(Direction.WRITE, demands, now, count))

    def put_original(self, now: float, count: int) -> int:
        """PUT originals, as the phones do."""
        return self._logged("s3", now, count, self._s3.admit("PUT", _BUCKET, _ORIGINAL, now, count))

    def get_original(self, now: float, count: int) -> int:
        """GET originals, as ingest does."""
        return self._logged("s3", now, count, self._s3.admit("GET", _BUCKET, _ORIGINAL, now, count))

    def put_rendition(self, now: float, count: int) -> int:
        """PUT renditions, as ingest does."""
        return self._logged("s3", now, count, self._s3.admit("PUT", _BUCKET, _RENDITION, now, count))

    def blocked(self, now: float) -> None:
        """Log that the mapping has as many batches at work as it may."""
        self.scale.blocked(now)
        self.refusals.add("mapping", now)

    def uses(self, now: float) -> Iterator[LimitUse]:
        """Yield the use of all limits."""
        return self.refusals.uses(now)

    def _logged(self, kind: str, now: float, count: int, passed: int) -> int:
        if passed < count:
            self.refusals.add(kind, now)
        return passed


class RefusalLog:
    """When each limit refused first, and how often in an interval: limits are looked at when they refuse."""

    def __init__(self, kinds: Mapping[str, Limit]) -> None:
        self._kinds = kinds
        self._looked = dict.fromkeys(kinds, -_LOOK_EVERY)
        self._counted: dict[LimitName, int] = {}
        self.first: dict[LimitName, float] = {}

    def add(self, kind: str, now: float) -> None:
        """Note that one of the limits of this kind has refused; they are looked at once a second."""
        if now - self._looked[kind] < _LOOK_EVERY:
            return
        self._looked[kind] = now
        for use in self._kinds[kind].uses(now):
            if use.throttled:
                self.first.setdefault((use.limit, use.subject), now)

    def since_last(self, now: float) -> dict[LimitName, int]:
        """Count the refusals of each limit since the last call."""
        found = {}
        for use in self.uses(now):
            name = use.limit, use.subject
            if new := use.throttled - self._counted.get(name, 0):
                found[name] = new
                self._counted[name] = use.throttled
                self.first.setdefault(name, now)
        return found

    def uses(self, now: float) -> Iterator[LimitUse]:
        """Yield the use of all limits."""
        for limits in self._kinds.values():
            yield from limits.uses(now)


def _trigger(stack: Stack) -> QueueTrigger:
    if missing := {API, AUTHORIZER, INGEST} - stack.functions.keys():
        raise StackError(f"photos go through functions that this stack does not have: {', '.join(sorted(missing))}")
    trigger = stack.functions[INGEST].queue
    if trigger is None:
        raise StackError("the simulator needs a queue before ingest: functions.ingest.queue")
    return trigger


def _scale(trigger: QueueTrigger, quotas: Quotas) -> Scale:
    if trigger.provisioned:
        return ProvisionedPollers(trigger.provisioned.minimum, trigger.provisioned.maximum, quotas, function=INGEST)
    maximum = trigger.maximum_concurrency
    return StandardScale(
        quotas.mappings,
        function=INGEST,
        maximum=None if maximum is None else quotas.count(maximum),
        reports_failures=trigger.report_batch_item_failures,
    )
