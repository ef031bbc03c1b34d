"""Quantities that AWS bills, counted over a run. Pure. None: not counted here, which is not the same as 0.

gateway     requests that the gateway answered, refused ones too: API Gateway bills what it receives.
functions   invocations that ran, and their seconds times the function's memory: what Lambda would bill, with one
            invocation at a time in an environment, whatever the slots here.
dynamodb    request units of tables and indexes; what was throttled costs nothing.
s3          PUT, COPY, POST and LIST cost one price, GET and the rest another, DELETE nothing ("Amazon S3 pricing").
sqs, sns    calls by operation: SQS and SNS bill a batch of up to 64 KB as one request. The fleet counts what its event
            source mappings call, the emulator's limiter what functions send. Where S3 invokes functions the fleet
            plays S3's part through queues of its own; AWS has none there and bills nothing, so they do not count.

What an emulator does by itself passes nobody and is not in it: S3's notifications, SNS's deliveries. Calls that set a
stack up or look at it (CreateQueue, GetQueueAttributes, CreateTopic) are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from load_tests.observe.increases import Increases
from load_tests.observe.scrape import Scrape

S3_WRITES = frozenset({"PUT", "POST", "LIST"})
S3_READS = frozenset({"GET", "HEAD"})
SQS_CALLS = frozenset({"SendMessage", "SendMessageBatch", "ChangeMessageVisibilityBatch"})
"""Of functions; what mappings receive and delete they tell themselves."""
SNS_WORK = frozenset({"Publish", "PublishBatch"})
GB = 2**30


@dataclass(frozen=True, slots=True)
class BilledUsage:
    """Plain numbers of one run; functions, and operations of SQS and SNS, by name."""

    gateway_requests: float | None = None
    function_requests: Mapping[str, float] = field(default_factory=dict)
    function_gb_seconds: Mapping[str, float] = field(default_factory=dict)
    dynamodb_write_units: float | None = None
    dynamodb_read_units: float | None = None
    s3_puts: float | None = None
    s3_gets: float | None = None
    s3_deletes: float | None = None
    sqs_requests: Mapping[str, float] | None = None
    sns_publishes: Mapping[str, float] | None = None


class BilledUsageOfRun:
    """Counts from the first sample on."""

    def __init__(self) -> None:
        self._gateway: Increases[tuple[str, ...]] = Increases()
        self._invocations: Increases[tuple[str, ...]] = Increases()
        self._seconds: Increases[tuple[str, ...]] = Increases()
        self._requests: Increases[tuple[str, ...]] = Increases()
        self._units: Increases[tuple[str, ...]] = Increases()
        self._memory: dict[str, float] = {}
        self._queue_calls: Increases[tuple[str, ...]] = Increases()
        self._looked = self._emulator_told = self._all_pass = False

    @property
    def restarts(self) -> int:
        """How often invocations' counters fell: the fleet was started anew."""
        return self._invocations.restarts

    def note(self, scrape: Scrape) -> None:
        """Record the counters at this sample."""
        self._looked = True
        self._gateway.note(scrape.by("fleet_gateway_requests_total", "route", "status"))
        self._invocations.note(scrape.by("fleet_invocation_seconds_count", "function"))
        self._seconds.note(scrape.by("fleet_invocation_seconds_sum", "function"))
        self._queue_calls.note(scrape.by("fleet_queue_calls_total", "queue", "operation"))
        self._memory |= {name: value for (name,), value in scrape.by("fleet_function_memory_bytes", "function")}
        requests = list(scrape.by("fleet_emulator_requests_total", "service", "operation"))
        if not requests:  # provisioning makes some: whoever counts did not answer, or nobody does
            return
        self._emulator_told = True
        self._all_pass |= any(operation == "ReceiveMessage" for (_, operation), _ in requests)
        self._requests.note(requests)
        self._units.note(scrape.by("fleet_emulator_units_total", "subject", "operation"))

    def notes(self) -> Iterator[str]:
        """Yield what is not counted."""
        if not self._emulator_told:
            yield "Requests to S3 and SNS, sent messages and DynamoDB's units: --quotas off has nobody who counts them."
        elif not self._all_pass:
            yield "Only the functions' requests to S3 are counted: what clients send goes straight to the emulator."

    def result(self) -> BilledUsage:
        """Return the quantities so far."""
        functions = {name: total for (name,), total in self._invocations.totals.items()}
        seconds = {name: total for (name,), total in self._seconds.totals.items()}
        gb_seconds = {n: s * self._memory[n] / GB for n, s in seconds.items() if n in self._memory}
        gateway = sum(self._gateway.totals.values()) if self._looked else None
        if not self._emulator_told:
            return BilledUsage(gateway, functions, gb_seconds, sqs_requests=self._mappings_calls() or None)
        return BilledUsage(
            gateway_requests=gateway,
            function_requests=functions,
            function_gb_seconds=gb_seconds,
            dynamodb_write_units=self._units_of("Write"),
            dynamodb_read_units=self._units_of("Read"),
            s3_puts=sum(self._operations("s3", S3_WRITES).values()),
            s3_gets=sum(self._operations("s3", S3_READS).values()),
            s3_deletes=sum(self._operations("s3", frozenset({"DELETE"})).values()),
            sqs_requests=self._mappings_calls() | self._operations("sqs", SQS_CALLS),
            sns_publishes=self._operations("sns", SNS_WORK),
        )

    def _units_of(self, direction: str) -> float:
        return sum(total for (_, operation), total in self._units.totals.items() if operation == direction)

    def _mappings_calls(self) -> dict[str, float]:
        totals: defaultdict[str, float] = defaultdict(float)
        for (_, operation), total in self._queue_calls.totals.items():
            totals[operation] += total
        return dict(totals)

    def _operations(self, service: str, wanted: frozenset[str]) -> dict[str, float]:
        totals: defaultdict[str, float] = defaultdict(float)
        for (of, operation), total in self._requests.totals.items():
            if of == service and operation in wanted and total:
                totals[operation] += total
        return dict(totals)
