"""A whole fleet: gateway, control port, a pool per function, a mapping per queue trigger, and S3's deliveries."""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Self

from fleet.async_events import AsyncEvents, QueueDestination
from fleet.control import Control
from fleet.credentials import CredentialsCache, CredentialsSource
from fleet.environments.invocation import InvokeResult
from fleet.environments.launcher import Launcher
from fleet.environments.pool import Pool, Timeouts
from fleet.environments.process import EnvironmentConfig
from fleet.environments.runtime_api import RuntimeApi
from fleet.environments.scheduler import Scheduler
from fleet.functions import Functions
from fleet.gateway.factory import gateway_cache, gateway_of, gateway_throttle
from fleet.hosts.api import HostApi
from fleet.hosts.messages import PREFIX as HOSTS
from fleet.http.asgi import Receive, Scope, Send
from fleet.http.limits import RequestLimits
from fleet.http.ports import LOOPBACK, listen
from fleet.http.server import Server
from fleet.invoke import InvokeApi, Invoker
from fleet.limit_registry import LimitRegistry
from fleet.limits.concurrency import LambdaLimits
from fleet.limits.use import DataUse, Limit, LimitUse
from fleet.logs import FunctionLog, LineCallback
from fleet.metrics import Metrics
from fleet.queues.depths import Depths, MonitoredQueue
from fleet.queues.event_source import EventSourceMapping
from fleet.queues.mappings import Mappings
from fleet.settings import FleetSettings
from fleet.statistics import FleetStatistics, show_counts, show_gauges, show_queues
from shoebox.aws.connections import Connections
from shoebox.aws.credentials import Credentials, fixed_credentials
from shoebox.aws.sqs import SqsClient
from shoebox.config import AwsSettings
from shoebox.stack.deployment import ResolvedStack


class Fleet:
    """Runs the functions of a stack from `async with` to its end.

    `credentials` assumes a function's role; `on_line` gets every line that a function prints; `data_limits` asks for
    the limits that are kept in front of the emulator; `administrator` may look at every queue, for /metrics. Entering
    raises `fleet.http.ports.PortTaken` when a port belongs to another program.
    """

    def __init__(
        self,
        stack: ResolvedStack,
        settings: FleetSettings,
        credentials: CredentialsSource,
        *,
        on_line: LineCallback | None = None,
        data_limits: Callable[[], Awaitable[DataUse]] | None = None,
        administrator: Credentials | None = None,
    ) -> None:
        self._stack = stack
        self._settings = settings
        self._on_line = on_line
        self._administrator = administrator
        self._credentials = CredentialsCache(credentials)
        self._functions = Functions.of_stack(stack)
        self._metrics = Metrics(settings.metrics_dir)
        self._pools: dict[str, Pool] = {}
        self._runtime_api = RuntimeApi(self._pools)
        self._invoker = Invoker(self._pools)
        self._mappings = Mappings(stack, settings, self._credentials, self._metrics, self._invoker, self._pools)
        self._limits = LambdaLimits(
            settings.quotas.functions,
            self._functions.reserved(settings.quotas.count),
            {function.key: function.slots for function in self._functions},
        )
        self._throttle = gateway_throttle(stack, settings.quotas)
        self._limit_registry = LimitRegistry(settings.quotas, self._uses, data_limits)
        self._runtime: Server | None = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            await self._start(opening)
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._open.aclose()

    @property
    def gateway_url(self) -> str:
        """Where clients reach the HTTP API."""
        return f"http://{LOOPBACK}:{self._gateway.port}"

    @property
    def runtime_url(self) -> str:
        """The control port: Runtime API, Invoke, /metrics and /healthz."""
        return f"http://{LOOPBACK}:{self._control.port}"

    @property
    def hosts_url(self) -> str | None:
        """Where hosts join; None when no function is joined."""
        return f"http://{LOOPBACK}:{self._runtime.port}" if self._runtime else None

    @property
    def mappings(self) -> list[EventSourceMapping]:
        """The event source mappings."""
        return list(self._mappings.made)

    @property
    def pools(self) -> dict[str, Pool]:
        """The pools, by the functions' names in stack.yaml."""
        return dict(self._pools)

    def statistics(self) -> FleetStatistics:
        """Return the fleet's state now."""
        return FleetStatistics(
            pools=[pool.statistics() for pool in self._pools.values()],
            mappings=[mapping.statistics() for mapping in (*self._mappings.made, *self._mappings.deliveries)],
            events=self._events.statistics(),
            authorizer=self._cache.statistics(),
        )

    def _uses(self) -> list[LimitUse]:
        now = time.monotonic()
        limits: tuple[Limit, ...] = (self._limits, self._throttle, self._mappings, self._events)
        return [use for limit in limits for use in limit.uses(now)]

    async def invoke(self, function: str, payload: bytes, trace_id: str = "") -> InvokeResult:
        """Invoke a function by its name in stack.yaml; raises as `fleet.invoke.Invoker.invoke`."""
        return await self._invoker.invoke(function, payload, trace_id=trace_id)

    def renew_credentials(self) -> None:
        """Forget the roles' credentials, and replace every environment that has them by one with new ones."""
        self._credentials.forget()
        for pool in self._pools.values():
            pool.renew()

    async def _start(self, opening: AsyncExitStack) -> None:
        # The order matters, since the end is the reverse: no new work, then the environments, then what they talk to.
        settings = self._settings
        max_pending = settings.quotas.functions.async_queue
        self._events = AsyncEvents(self._pools, max_pending=max_pending, destinations=self._destinations())
        depths = self._queue_depths(opening)
        control = Control(
            runtime=self._runtime_api,
            invoke=InvokeApi(self._functions, self._invoker, self._events),
            metrics=self._metrics,
            statistics=self.statistics,
            limits=self._limit_registry,
            depths=depths,
        )
        control_socket = self._listen(opening, settings.control_port, "the fleet's control port")
        gateway_socket = self._listen(opening, settings.gateway_port, "the gateway")
        self._control = await opening.enter_async_context(Server(control, control_socket))
        if settings.joined:
            self._runtime = await opening.enter_async_context(self._runtime_server(opening))
        await self._start_pools(opening)
        await opening.enter_async_context(self._events)
        self._cache = gateway_cache(self._stack)
        gateway = gateway_of(
            self._stack,
            settings.stage,
            invoke=self.invoke,
            cache=self._cache,
            throttle=self._throttle,
            metrics=self._metrics,
        )
        serving = Server(gateway, gateway_socket, limits=RequestLimits(), refuse=gateway.refuse, pages=True)
        self._gateway = await opening.enter_async_context(serving)
        await self._start_mappings(opening)
        show_gauges(self._metrics, self.statistics, self._limit_registry)
        show_counts(self._metrics, self._limit_registry)
        if depths:
            show_queues(self._metrics, depths, self._mappings.monitors)

    def _queue_depths(self, opening: AsyncExitStack) -> Depths | None:
        """Return what reads the depths of all queues; None without an administrator, whose permission that takes."""
        if self._administrator is None:
            return None
        deployment = self._stack.deployment
        connections = Connections(deployment.sqs_url)
        opening.callback(connections.close)
        sqs = SqsClient(connections, fixed_credentials(self._administrator), region=deployment.region)
        queues = [
            MonitoredQueue(name, self._stack.queue_url(name), self._mappings.monitors[name], queue.dead_letter)
            for name, queue in self._stack.stack.queues.items()
        ]
        return Depths(sqs, queues)

    def _listen(self, opening: AsyncExitStack, port: int, purpose: str) -> socket.socket:
        listening = listen(port, purpose, self._settings.host)
        opening.callback(listening.close)
        return listening

    def _runtime_server(self, opening: AsyncExitStack) -> Server:
        """Return the server for hosts and their environments."""
        # Apart from the control port, which stays on this machine: this one hands out credentials.
        hosts = HostApi(self._pools, self._stack.deployment, self._settings, self._credentials)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await (hosts if scope["path"].startswith(HOSTS) else self._runtime_api)(scope, receive, send)

        return Server(app, self._listen(opening, self._settings.runtime_port, "the fleet's runtime port"))

    async def _start_pools(self, opening: AsyncExitStack) -> None:
        settings, deployment = self._settings, self._stack.deployment
        config = EnvironmentConfig(
            region=deployment.region,
            endpoint_url=deployment.endpoint_url,
            task_root=settings.task_root,
            metrics_dir=settings.metrics_dir.resolve(),
            environment=settings.environment,
        )
        for function in self._functions:
            launcher = Launcher(
                command=settings.command,
                config=config,
                credentials=self._credentials,
                server=self._control,
                api=self._runtime_api,
                log=opening.enter_context(FunctionLog(settings.log_folder, function.key, settings.log_bytes)),
                on_line=self._on_line,
            )
            scheduler = Scheduler(function.slots, settings.max_environments, settings.idle_seconds)
            if function.key in settings.joined:  # hosts bring its environments, and decide when they end
                scheduler = Scheduler(function.slots, max_environments=0, idle=math.inf)
            init = function.init_limit(settings.init_seconds)
            pool = Pool(
                function,
                launch=launcher,
                admission=self._limits,
                scheduler=scheduler,
                metrics=self._metrics,
                timeouts=Timeouts(init, settings.stop_seconds, settings.wait_seconds),
            )
            self._pools[function.key] = await opening.enter_async_context(pool)
        for pool in self._pools.values():  # all stop before the first of them is waited for
            opening.callback(pool.stop)

    async def _start_mappings(self, opening: AsyncExitStack) -> None:
        """Start the mappings of functions with a queue, and S3's deliveries to functions."""
        for function in self._functions:
            trigger = self._stack.stack.functions[function.key].queue
            if trigger is not None:
                mapping = await self._mappings.make(opening, function, trigger)
                await opening.enter_async_context(mapping)
        for mapping in self._mappings.made:  # all stop polling before the first of them is waited for
            opening.callback(mapping.stop_polling)
        for name in self._stack.stack.invoked_by_s3:
            delivery = await self._mappings.make_delivery(opening, self._functions.by_key(name), self._events)
            await opening.enter_async_context(delivery)
        for delivery in self._mappings.deliveries:
            opening.callback(delivery.stop_polling)

    def _destinations(self) -> dict[str, QueueDestination]:
        deployment = self._stack.deployment
        aws = AwsSettings(region=deployment.region, endpoint_url=deployment.endpoint_url)
        return {
            function.key: QueueDestination(
                function.key, self._stack.queue_url(function.on_failure), self._credentials, aws
            )
            for function in self._functions
            if function.on_failure
        }
