"""The event source mapping that a trigger of stack.yaml describes, put together: queue, limits, filters, settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial

from fleet.credentials import CredentialsCache
from fleet.functions import FunctionSpec
from fleet.limits.event_source import FixedScale, ProvisionedPollers, Scale, StandardScale
from fleet.limits.in_flight import InFlight
from fleet.limits.use import Limit, LimitUse
from fleet.metrics import Metrics
from fleet.queues.batch_run import Invoke
from fleet.queues.event_source import EventSourceMapping
from fleet.queues.filters import FilterError, Filters
from fleet.queues.flow import Flow
from fleet.queues.limited_queue import LimitedQueue
from fleet.queues.mapping_settings import MappingSettings
from fleet.queues.observed_queue import ObservedQueue
from fleet.queues.source_queue import RoleQueue
from fleet.settings import LONG_POLL, FleetSettings
from shoebox.stack.deployment import ResolvedStack
from shoebox.stack.model import Queue, QueueTrigger, StackError

_POLLERS = 5  # what a mapping starts with, and stays with where its environments are hosts'
_JOINED_POLL = 2  # seconds: what a poll brings after the last host has left goes back, and has cost a receive


class Mappings:
    """Makes the mappings of a fleet, and has them in `made`; those of one queue share what is counted for the queue.

    `flows` are the queues' messages as they go by, by the names in stack.yaml. `ready_slots` are those of a function's
    environments, which for a joined function are its hosts'.
    """

    def __init__(
        self,
        stack: ResolvedStack,
        settings: FleetSettings,
        credentials: CredentialsCache,
        metrics: Metrics,
        ready_slots: Callable[[str], int],
    ) -> None:
        self._ready_slots = ready_slots
        self._stack = stack
        self._settings = settings
        self._credentials = credentials
        self._metrics = metrics
        self._in_flight: dict[str, InFlight] = {}
        self.flows = {name: _flow(queue) for name, queue in stack.stack.queues.items()}
        self.made: list[EventSourceMapping] = []

    async def make(
        self, opening: AsyncExitStack, function: FunctionSpec, trigger: QueueTrigger, invoke: Invoke
    ) -> EventSourceMapping:
        """The mapping of `function`, not yet entered; its queue is closed with `opening`.

        Raises:
            StackError: a filter cannot be used.
        """
        fifo = self._stack.stack.queues[trigger.name].fifo
        queue = await opening.enter_async_context(
            RoleQueue.of_stack(self._stack, trigger.name, function.key, self._credentials)
        )
        limited = LimitedQueue(queue, self._in_flight_of(trigger.name), fifo=fifo)
        timeout = self._stack.stack.queues[trigger.name].visibility_timeout
        mapping = EventSourceMapping(
            self._mapping_settings(function, trigger),
            queue=ObservedQueue(limited, self.flows[trigger.name], timeout),
            invoke=invoke,
            scale=self._scale(function, trigger),
            metrics=self._metrics,
            filters=_filters(function, trigger),
        )
        self.made.append(mapping)
        return mapping

    def uses(self, now: float) -> Iterable[LimitUse]:
        """`lambda.mapping_concurrency` of every function with a mapping, and `sqs.in_flight` of every queue of one."""
        limits: list[Limit] = [*self.made, *self._in_flight.values()]
        for limit in limits:
            yield from limit.uses(now)

    def _in_flight_of(self, name: str) -> InFlight:
        if name not in self._in_flight:
            most = self._settings.quotas.mappings.in_flight
            self._in_flight[name] = InFlight(name, most, self._stack.stack.queues[name].visibility_timeout)
        return self._in_flight[name]

    def _mapping_settings(self, function: FunctionSpec, trigger: QueueTrigger) -> MappingSettings:
        queue = self._stack.stack.queues[trigger.name]
        joined = function.key in self._settings.joined
        return MappingSettings(
            function=function.key,
            queue=trigger.name,
            batch_size=trigger.batch_size,
            window=trigger.window,
            visibility_timeout=queue.visibility_timeout,
            function_timeout=function.timeout,
            poll_seconds=min(self._settings.poll_seconds, _JOINED_POLL if joined else LONG_POLL),
            drain_seconds=self._settings.drain_seconds,
            finish_polls=self._settings.finish_polls,
            fifo=queue.fifo,
            partial=trigger.report_batch_item_failures,
        )

    def _scale(self, function: FunctionSpec, trigger: QueueTrigger) -> Scale:
        quotas, settings = self._settings.quotas, self._settings
        if function.key in settings.joined:
            return self._scale_of_joined(function, trigger)
        capacity = settings.max_environments * function.slots
        if trigger.provisioned:
            least, most = trigger.provisioned.minimum, trigger.provisioned.maximum
            return ProvisionedPollers(least, most, quotas, function=function.key, capacity=lambda: capacity)
        maximum = trigger.maximum_concurrency
        return StandardScale(
            quotas.mappings,
            function=function.key,
            maximum=None if maximum is None else quotas.count(maximum),
            reports_failures=trigger.report_batch_item_failures,
            capacity=lambda: capacity,
        )

    def _scale_of_joined(self, function: FunctionSpec, trigger: QueueTrigger) -> FixedScale:
        """Its hosts come and go: what they can run is received, and nothing while there is none."""
        described = trigger.maximum_concurrency or _POLLERS
        capacity = partial(self._ready_slots, function.key)
        return FixedScale(self._settings.quotas.count(described), function=function.key, capacity=capacity)


def _flow(queue: Queue) -> Flow:
    return Flow(queue.max_receive_count if queue.dead_letter else None)


def _filters(function: FunctionSpec, trigger: QueueTrigger) -> Filters:
    try:
        return Filters(trigger.filters)
    except FilterError as error:
        raise StackError(f"functions.{function.key}.queue.filters: {error}") from error
