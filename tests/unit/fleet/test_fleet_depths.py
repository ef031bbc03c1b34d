"""How full the queues are, as /metrics shows it: asked of SQS, at most once a second."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from fleet.async_events import AsyncStatistics
from fleet.gateway.authorizer import CacheStatistics
from fleet.limit_registry import LimitRegistry
from fleet.limits.quotas import load_quotas
from fleet.limits.use import BilledCount, DataUse
from fleet.metrics import Metrics
from fleet.queues.batches import SqsMessage
from fleet.queues.depths import Depth, Depths, MonitoredQueue
from fleet.queues.queue_monitor import QueueMonitor
from fleet.statistics import FleetStatistics, show_counts, show_gauges, show_queues
from shoebox.aws.connections import Connections
from shoebox.aws.credentials import Credentials, fixed_credentials
from shoebox.aws.sqs import SqsClient
from tests.scripted_server import Request, ScriptedServer, json_response, refusal, scripted_server

HELD = {"uploads": (7, 2, 1), "uploads-dead": (3, 0, 0)}
NAMES = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")


class Bench:
    """Two queues at a scripted SQS; time stands still unless a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.refuses = False
        self.monitor = QueueMonitor(max_receives=5)

    def script(self, number: int, request: Request) -> bytes:
        """GetQueueAttributes."""
        if self.refuses:
            return refusal("AccessDenied", 403)
        name = orjson.loads(request.body)["QueueUrl"].rpartition("/")[2]
        return json_response({"Attributes": dict(zip(NAMES, map(str, HELD[name]), strict=True))})

    def depths(self, server: ScriptedServer) -> Depths:
        """Return what looks at them."""
        self.connections = Connections(server.url)
        sqs = SqsClient(self.connections, fixed_credentials(Credentials("test", "test")), region="eu-west-1")
        queues = [
            MonitoredQueue("uploads", f"{server.url}/1/uploads", self.monitor, "uploads-dead"),
            MonitoredQueue("uploads-dead", f"{server.url}/1/uploads-dead", QueueMonitor()),
        ]
        return Depths(sqs, queues, clock=lambda: self.now, now=lambda: self.now)


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Bench, Depths, ScriptedServer]]:
    """Run the bench with its server."""
    bench = Bench()
    async with scripted_server(bench.script) as server:
        yield bench, bench.depths(server), server
        bench.connections.close()


async def test_every_queue_is_looked_at():
    """Its messages by state, what its dead-letter queue holds, and the oldest one's age as far as it is known."""
    async with running() as (bench, depths, _):
        bench.monitor.received(990, [SqsMessage("a", "h", b"{}", 0.0, sent_at=985)], 30)
        await depths.refresh()
        assert depths.known == [Depth("uploads", 7, 2, 1, 15.0, 3), Depth("uploads-dead", 3, 0, 0, None, None)]


async def test_looks_are_at_least_a_second_apart():
    """However often somebody asks: SQS is called once a queue."""
    async with running() as (bench, depths, server):
        for _ in range(5):
            await depths.refresh()
        assert len(server.requests) == 2
        bench.now += 1
        await depths.refresh()
        assert len(server.requests) == 4


async def test_what_sqs_refuses_is_not_known():
    """No depth rather than the last one; the next look may see again."""
    async with running() as (bench, depths, _):
        await depths.refresh()
        bench.refuses, bench.now = True, bench.now + 1
        await depths.refresh()
        assert depths.known == ()
        bench.refuses, bench.now = False, bench.now + 1
        await depths.refresh()
        assert len(depths.known) == 2


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    """Nothing counted yet."""
    return Metrics(tmp_path / "metrics")


async def test_queues_are_in_the_metrics(metrics: Metrics):
    """What is not known has no sample: a gap, no zero."""
    async with running() as (bench, depths, _):
        bench.monitor.received(990, [SqsMessage("a", "h", b"{}", 0.0, sent_at=985, receive_count=2)], 30)
        bench.monitor.calls["ReceiveMessage"] += 2
        show_queues(metrics, depths, {"uploads": bench.monitor})
        assert b"fleet_queue_messages{" not in metrics.exposition()
        await depths.refresh()
    shown = metrics.exposition().decode().splitlines()
    assert {line for line in shown if line.startswith("fleet_queue")} == {
        'fleet_queue_messages{queue="uploads",state="waiting"} 7.0',
        'fleet_queue_messages{queue="uploads",state="in_flight"} 2.0',
        'fleet_queue_messages{queue="uploads",state="delayed"} 1.0',
        'fleet_queue_messages{queue="uploads-dead",state="waiting"} 3.0',
        'fleet_queue_messages{queue="uploads-dead",state="in_flight"} 0.0',
        'fleet_queue_messages{queue="uploads-dead",state="delayed"} 0.0',
        'fleet_queue_oldest_seconds{queue="uploads"} 15.0',
        'fleet_queue_dead_letters{queue="uploads"} 3.0',
        'fleet_queue_received_again_total{queue="uploads"} 1.0',
        'fleet_queue_calls_total{operation="ReceiveMessage",queue="uploads"} 2.0',
    }


async def test_what_is_billed_is_in_the_metrics(metrics: Metrics):
    """Requests by service and operation, units by table."""

    async def data_limits() -> DataUse:
        return DataUse([], [BilledCount("s3", "PUT", 7)], [BilledCount("dynamodb", "Write", 2.5, "files")])

    registry = LimitRegistry(load_quotas(), list, data_limits)
    show_counts(metrics, registry)
    await registry.refresh()
    assert set(metrics.exposition().decode().splitlines()) >= {
        'fleet_emulator_requests_total{operation="PUT",service="s3"} 7.0',
        'fleet_emulator_units_total{operation="Write",service="dynamodb",subject="files"} 2.5',
    }


def test_asynchronous_events_are_in_the_metrics(metrics: Metrics):
    """By function: what is pending and how old, what became of the others, and the tries in vain."""
    events = AsyncStatistics("ingest", pending=2, oldest=7.5, succeeded=5, given_up=1, throttled=9, failed=3)
    statistics = FleetStatistics([], [], [events], CacheStatistics(0, 0, 0))
    show_gauges(metrics, lambda: statistics, LimitRegistry(load_quotas(), list))
    shown = metrics.exposition().decode().splitlines()
    assert {line for line in shown if line.startswith("fleet_async")} == {
        'fleet_async_pending{function="ingest"} 2.0',
        'fleet_async_oldest_seconds{function="ingest"} 7.5',
        'fleet_async_events_total{fate="succeeded",function="ingest"} 5.0',
        'fleet_async_events_total{fate="given_up",function="ingest"} 1.0',
        'fleet_async_tries_total{function="ingest",outcome="throttled"} 9.0',
        'fleet_async_tries_total{function="ingest",outcome="failed"} 3.0',
    }
