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

Name = tuple[str, str]
"""A limit and what it holds for, as in `LimitUse`."""


class Limits:
    """Those of one account; `now` in seconds. Each call says how many pass; refusals are noted with their second.

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
        self._functions = _functions(stack, quotas)
        self._dynamodb = DynamoDBLimits(quotas.dynamodb)
        self._s3 = S3Limits(quotas.s3)
        self._watch = Watch(
            {
                "gateway": self._gateway,
                "functions": self._functions,
                "dynamodb": self._dynamodb,
                "s3": self._s3,
                "mapping": self.scale,
            }
        )

    @property
    def watch(self) -> Watch:
        """When limits refused."""
        return self._watch

    def request(self, now: float, count: int) -> int:
        """Requests at the gateway."""
        return self._noted("gateway", now, count, self._gateway.admit(self._route, now, count))

    def enter(self, function: str, now: float, count: int, *, synchronous: bool = True) -> int:
        """Invocations that take places."""
        entered = self._functions.enter_many(function, now, count, synchronous=synchronous)
        return self._noted("functions", now, count, entered)

    def follow(self, function: str, now: float, count: int) -> int:
        """Invocations in places that others leave."""
        return self._noted("functions", now, count, self._functions.follow(function, now, count))

    def leave(self, function: str, now: float, count: int) -> None:
        """Give places back."""
        self._functions.leave(function, now, count)

    def read(self, now: float, units: float, count: int) -> int:
        """Reads of the table, of so many units each."""
        passed = self._dynamodb.admit_many(Direction.READ, (Demand(TABLE, None, units),), now, count)
        return self._noted("dynamodb", now, count, passed)

    def write(self, now: float, writes: Writes, count: int) -> int:
        """Writes of the table and its index."""
        demands = (Demand(TABLE, None, writes.of_table), Demand(INDEX, None, writes.of_index))
        return self._noted("dynamodb", now, count, self._dynamodb.admit_many(Direction.WRITE, demands, now, count))

    def put_original(self, now: float, count: int) -> int:
        """PUTs of the phones."""
        return self._noted("s3", now, count, self._s3.admit("PUT", _BUCKET, _ORIGINAL, now, count))

    def get_original(self, now: float, count: int) -> int:
        """GETs of ingest."""
        return self._noted("s3", now, count, self._s3.admit("GET", _BUCKET, _ORIGINAL, now, count))

    def put_rendition(self, now: float, count: int) -> int:
        """PUTs of ingest."""
        return self._noted("s3", now, count, self._s3.admit("PUT", _BUCKET, _RENDITION, now, count))

    def held(self, now: float) -> None:
        """The mapping has as many batches at work as it may."""
        self.scale.held(now)
        self._watch.refused("mapping", now)

    def uses(self, now: float) -> Iterator[LimitUse]:
        """All limits that anything has used."""
        return self._watch.uses(now)

    def _noted(self, kind: str, now: float, count: int, passed: int) -> int:
        if passed < count:
            self._watch.refused(kind, now)
        return passed


class Watch:
    """Looks at limits when they refuse: when each did so first, and how often in an interval."""

    def __init__(self, kinds: Mapping[str, Limit]) -> None:
        self._kinds = kinds
        self._looked = dict.fromkeys(kinds, -_LOOK_EVERY)
        self._counted: dict[Name, int] = {}
        self.first: dict[Name, float] = {}

    def refused(self, kind: str, now: float) -> None:
        """One of the limits of this kind has refused; looked at once a second."""
        if now - self._looked[kind] < _LOOK_EVERY:
            return
        self._looked[kind] = now
        for use in self._kinds[kind].uses(now):
            if use.throttled:
                self.first.setdefault((use.limit, use.subject), now)

    def since_last(self, now: float) -> dict[Name, int]:
        """Refusals of each limit since the last call."""
        found = {}
        for use in self.uses(now):
            name = use.limit, use.subject
            if new := use.throttled - self._counted.get(name, 0):
                found[name] = new
                self._counted[name] = use.throttled
                self.first.setdefault(name, now)
        return found

    def uses(self, now: float) -> Iterator[LimitUse]:
        """All limits."""
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
    most = trigger.maximum_concurrency
    return StandardScale(
        quotas.mappings,
        function=INGEST,
        maximum=None if most is None else quotas.count(most),
        reports_failures=trigger.report_batch_item_failures,
    )


def _functions(stack: Stack, quotas: Quotas) -> LambdaLimits:
    functions = stack.functions.items()
    reserved = {n: quotas.count(f.reserved_concurrency) for n, f in functions if f.reserved_concurrency is not None}
    return LambdaLimits(quotas.functions, reserved, {name: function.slots for name, function in functions})
