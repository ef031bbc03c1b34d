"""The event source mappings of a fleet, put together as stack.yaml describes them; also those of S3's deliveries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack

from fleet.async_events import AsyncEvents
from fleet.credentials import CredentialsCache
from fleet.environments.pool import Pool
from fleet.functions import FunctionSpec
from fleet.limits.event_source import FixedScale, ProvisionedPollers, Scale, StandardScale
from fleet.limits.in_flight import InFlight
from fleet.limits.use import Limit, LimitUse
from fleet.metrics import Metrics
from fleet.queues.event_source import EventSourceMapping, FunctionInvoker
from fleet.queues.filters import FilterError, Filters
from fleet.queues.limited_queue import LimitedQueue
from fleet.queues.mapping_settings import MappingSettings
from fleet.queues.queue_monitor import QueueMonitor
from fleet.queues.s3_delivery import S3Delivery
from fleet.queues.source_queue import SqsQueue
from fleet.settings import LONG_POLL, FleetSettings
from shoebox.stack.base import s3_queue
from shoebox.stack.deployment import ResolvedStack
from shoebox.stack.model import QueueTrigger, StackError
from shoebox.stack.s3_queues import with_s3_queues

_POLLERS = 5  # what a mapping starts with, and stays with where its environments are hosts'
_JOINED_POLL = 2  # seconds: what a poll brings after the last host has left goes back, and has cost a receive
_DELIVERIES = 4  # batches of ten at once; one alone brings some 1,000 events a second from the embedded emulator


class Mappings:
    """Makes the mappings of a fleet, in `made`, and S3's deliveries to functions, in `deliveries`.

    Mappings of one queue share its limit of messages in flight and its monitor; `monitors` are by the queues' names in
    stack.yaml. Of joined functions only what their `pools` can run is received.
    """

    def __init__(
        self,
        stack: ResolvedStack,
        settings: FleetSettings,
        credentials: CredentialsCache,
        metrics: Metrics,
        invoker: FunctionInvoker,
        pools: Mapping[str, Pool],
    ) -> None:
        self._stack = stack
        self._settings = settings
        self._credentials = credentials
        self._metrics = metrics
        self._invoker = invoker
        self._pools = pools
        self._in_flight: dict[str, InFlight] = {}
        self.monitors = {
            name: QueueMonitor(queue.max_receive_count if queue.dead_letter else None)
            for name, queue in stack.stack.queues.items()
        }
        self.made: list[EventSourceMapping] = []
        self.deliveries: list[EventSourceMapping] = []

    async def make(self, opening: AsyncExitStack, function: FunctionSpec, trigger: QueueTrigger) -> EventSourceMapping:
        """Make the mapping of `function`, not yet entered; its queue is closed with `opening`.

        Raises:
            StackError: a filter cannot be used.
        """
        try:
            filters = Filters(trigger.filters)
        except FilterError as error:
            raise StackError(f"functions.{function.key}.queue.filters: {error}") from error
        name, described = trigger.name, self._stack.stack.queues[trigger.name]
        queue = await opening.enter_async_context(SqsQueue.of_stack(self._stack, name, function.key, self._credentials))
        if name not in self._in_flight:
            limit = self._settings.quotas.mappings.in_flight
            self._in_flight[name] = InFlight(name, limit, described.visibility_timeout)
        joined = function.key in self._settings.joined
        mapping = EventSourceMapping(
            MappingSettings(
                function=function.key,
                queue=name,
                batch_size=trigger.batch_size,
                window=trigger.window,
                visibility_timeout=described.visibility_timeout,
                function_timeout=function.timeout,
                poll_seconds=min(self._settings.poll_seconds, _JOINED_POLL if joined else LONG_POLL),
                drain_seconds=self._settings.drain_seconds,
                finish_polls=self._settings.finish_polls,
                fifo=described.fifo,
                reports_failures=trigger.report_batch_item_failures,
            ),
            queue=LimitedQueue(queue, self._in_flight[name], self.monitors[name], fifo=described.fifo),
            invoker=self._invoker,
            scale=self._scale(function, trigger),
            metrics=self._metrics,
            filters=filters,
        )
        self.made.append(mapping)
        return mapping

    async def make_delivery(
        self, opening: AsyncExitStack, function: FunctionSpec, events: AsyncEvents
    ) -> EventSourceMapping:
        """Make S3's delivery to `function`, not yet entered; its queue is closed with `opening`."""
        name, stack = s3_queue(function.key), with_s3_queues(self._stack)
        delivery = EventSourceMapping(
            MappingSettings(
                function=name,
                queue=name,
                batch_size=10,
                window=0,
                visibility_timeout=stack.stack.queues[name].visibility_timeout,
                poll_seconds=self._settings.poll_seconds,
                drain_seconds=self._settings.drain_seconds,
                finish_polls=self._settings.finish_polls,
            ),
            queue=await opening.enter_async_context(SqsQueue.of_stack(stack, name, name, self._credentials)),
            invoker=S3Delivery(function, events),
            scale=FixedScale(_DELIVERIES, function=name),
            metrics=self._metrics,
        )
        self.deliveries.append(delivery)
        return delivery

    def uses(self, now: float) -> Iterable[LimitUse]:
        """Yield `lambda.mapping_concurrency` of functions with a mapping, and `sqs.in_flight` of their queues."""
        limits: list[Limit] = [*self.made, *self._in_flight.values()]
        for limit in limits:
            yield from limit.uses(now)

    def _scale(self, function: FunctionSpec, trigger: QueueTrigger) -> Scale:
        quotas, key = self._settings.quotas, function.key
        if key in self._settings.joined:
            # Hosts come and go: what they can run is received, and nothing while there is none.
            batches = quotas.count(trigger.maximum_concurrency or _POLLERS)
            return FixedScale(batches, function=key, capacity=lambda: self._pools[key].ready_slots)
        capacity = self._settings.max_environments * function.slots
        if trigger.provisioned:
            minimum, maximum = trigger.provisioned.minimum, trigger.provisioned.maximum
            return ProvisionedPollers(minimum, maximum, quotas, function=key, capacity=lambda: capacity)
        return StandardScale(
            quotas.mappings,
            function=key,
            maximum=None if trigger.maximum_concurrency is None else quotas.count(trigger.maximum_concurrency),
            reports_failures=trigger.report_batch_item_failures,
            capacity=lambda: capacity,
        )
