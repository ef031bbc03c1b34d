"""The capacity model: a photo's calls from registration to READY, and what they need of each of AWS's limits.

Counted in the code, and proven against the limiter: tests/e2e/test_quotas_plan.py. `shoebox quotas plan`, the day
simulator and load runs share it.

registration    FileStore.register: BatchGetItem, consistent; TransactWriteItems, which costs twice
                ("Amazon DynamoDB Transactions: How it works"); the index by-owner gets its entry, once
bytes           the client → S3: one PUT below originals/
ingest          FileStore.states: BatchGetItem, consistent; GET of the original; a PUT for each rendition;
                FileStore.mark_ready: UpdateItem, of the table and of the index, which projects all attributes
waiting         GET /v1/files?id=…: BatchGetItem of the upload's files, eventually consistent

Not counted: multipart uploads, looking at the gallery, deletions, and what is tried again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from fleet.limits.capacity import EVENTUAL, STRONG, TRANSACTIONAL, write_units
from fleet.limits.plan import TARGET, Need, at_once, rounded_up
from shoebox.files.model import OWNER_SHARDS
from shoebox.stack.model import StackError
from shoebox_client.renditions import RENDITIONS

if TYPE_CHECKING:
    from fleet.limits.quotas import Quotas
    from shoebox.stack.model import Function, Stack

_API, _AUTHORIZER, _INGEST = "api", "authorizer", "ingest"
_SPREAD = "spread keys over more prefixes"
_MAX_MAPPING_CONCURRENCY = 1000  # MaximumConcurrency ("Configuring scaling behavior for SQS event source mappings")
_MAX_POLLERS = 2000  # provisioned ones, as stack.yaml allows


class Writes(NamedTuple):
    """WCU of one write: of the table, and of its index by-owner."""

    of_table: float
    of_index: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoCalls:
    """A photo's calls, and how long functions take.

    `upload` photos are registered by one request and asked for `polls` times. Times in seconds: an invocation of the
    authorizer and of the API, and of ingest for a full batch. They are measured: docs/operations/capacity.md. Sizes in
    bytes: an item when it is registered, and when it is READY.
    """

    upload: int = 10
    polls: float = 3.0
    authorizer_seconds: float = 0.05
    api_seconds: float = 0.07
    ingest_seconds: float = 0.7
    registered_bytes: int = 620
    ready_bytes: int = 950

    @property
    def registration_writes(self) -> Writes:
        """WCU of a photo's registration: a transaction costs the table twice, and the index once."""
        units = write_units(self.registered_bytes)
        return Writes(TRANSACTIONAL * units, units)

    @property
    def ready_writes(self) -> Writes:
        """WCU of the update that makes a photo READY."""
        units = write_units(self.ready_bytes)
        return Writes(units, units)

    @property
    def table_writes(self) -> float:
        """WCU a photo, of the table."""
        return self.registration_writes.of_table + self.ready_writes.of_table

    @property
    def index_writes(self) -> float:
        """WCU a photo, of the index by-owner."""
        return self.registration_writes.of_index + self.ready_writes.of_index

    @property
    def table_reads(self) -> float:
        """RCU a photo: at registration, at ingest, and for each time that it is asked for."""
        return 2 * STRONG + EVENTUAL * self.polls


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoLoad(PhotoCalls):
    """Photos in a busy second: `rate` of all, and `user_rate` of the busiest user, in photos a second."""

    rate: float
    user_rate: float = 50.0

    @classmethod
    def of_calls(cls, calls: PhotoCalls, rate: float) -> Self:
        """Return the load of so many such photos a second."""
        return cls(rate=rate, **asdict(calls))

    @property
    def requests(self) -> float:
        """Requests a second at the gateway."""
        return self.rate / self.upload * (1 + self.polls)


def needs(stack: Stack, quotas: Quotas, load: PhotoLoad) -> Iterator[Need]:
    """Yield what the load needs of every limit that `quotas` and the stack set.

    Raises:
        StackError: the stack lacks a function that photos go through.
    """
    if missing := {_API, _AUTHORIZER, _INGEST} - stack.functions.keys():
        raise StackError(f"photos go through functions that this stack does not have: {', '.join(sorted(missing))}")
    yield Need("gateway.rate", "account", load.requests, quotas.gateway.rate, "requests/s")
    if throttle := stack.gateway.throttle:
        limit = quotas.rate(throttle.rate)
        yield Need("gateway.rate", "stage", load.requests, limit, "requests/s", where="gateway.throttle in stack.yaml")
    yield from _lambda(stack, quotas, load)
    yield from _mapping(stack, quotas, load)
    yield from _dynamodb(quotas, load)
    yield from _s3(quotas, load)


def _lambda(stack: Stack, quotas: Quotas, load: PhotoLoad) -> Iterator[Need]:
    trigger = stack.functions[_INGEST].queue
    # A token is cached, so the authorizer is asked once for each upload.
    cached = stack.gateway.authorizer and stack.gateway.authorizer.ttl
    rates = {
        _AUTHORIZER: load.rate / load.upload if cached else load.requests,
        _API: load.requests,
        _INGEST: load.rate / (trigger.batch_size if trigger else 1),
    }
    seconds = {_AUTHORIZER: load.authorizer_seconds, _API: load.api_seconds, _INGEST: load.ingest_seconds}
    running = {name: at_once(rate, seconds[name]) for name, rate in rates.items()}
    reserved = {
        name: quotas.count(function.reserved_concurrency)
        for name, function in stack.functions.items()
        if function.reserved_concurrency is not None
    }
    for pool in ("account", *(name for name in reserved if name in rates)):
        members = [name for name in rates if (name if name in reserved else "account") == pool]
        yield from _pool(pool, members, rates, running, quotas, reserved)
    for name, concurrency in running.items():
        yield _scaling(name, stack.functions[name], concurrency, quotas)


def _pool(
    pool: str,
    members: list[str],
    rates: Mapping[str, float],
    running: Mapping[str, float],
    quotas: Quotas,
    reserved: Mapping[str, float],
) -> Iterator[Need]:
    """Yield the concurrency of the account or a reservation, and the ten requests a second of each unit of it."""
    own = pool != "account"
    others = 0.0 if own else sum(reserved.values())
    maximum = reserved[pool] if own else quotas.functions.concurrency - others
    name = "lambda.reserved_concurrency" if own else "lambda.concurrency"
    where = "reserved_concurrency in stack.yaml" if own else ""
    yield Need(name, pool, sum(running[m] for m in members), maximum, "invocations", where=where, reserved=others)
    each = quotas.functions.requests_per_environment
    requests = sum(rates[m] for m in members)
    ceiling = math.inf if math.inf in (each, maximum) else each * maximum
    enough = rounded_up(requests / each / TARGET + others)
    instead = f"it is {each:,.0f} for each unit of concurrency, so raise {name} to {enough:,.0f}"
    yield Need("lambda.requests", pool, requests, ceiling, "requests/s", ceiling=ceiling, instead=instead)


def _scaling(name: str, function: Function, concurrency: float, quotas: Quotas) -> Need:
    """Return the new environments, if the whole peak came at once; a mapping grows no faster than its own limit."""
    lambdas, mappings = quotas.functions, quotas.mappings
    if function.queue and function.queue.provisioned is None:
        grown = mappings.pollers + mappings.concurrency_per_minute / 60 * lambdas.scaling_seconds
        concurrency = min(concurrency, grown)
    new, maximum = math.ceil(concurrency / function.slots), lambdas.scaling_environments
    instead = "keep environments warm (provisioned concurrency), or give each more slots"
    return Need("lambda.scaling", name, new, maximum, "environments/10 s", ceiling=maximum, instead=instead)


def _mapping(stack: Stack, quotas: Quotas, load: PhotoLoad) -> Iterator[Need]:
    trigger = stack.functions[_INGEST].queue
    if trigger is None:
        return
    batches = at_once(load.rate / trigger.batch_size, load.ingest_seconds)
    standard = quotas.mappings.concurrency_max
    maximum, ceiling, where = standard, standard, ""
    if trigger.maximum_concurrency is not None:
        maximum = min(standard, quotas.count(trigger.maximum_concurrency))
        ceiling, where = min(standard, quotas.count(_MAX_MAPPING_CONCURRENCY)), "maximum_concurrency in stack.yaml"
    elif trigger.provisioned:
        maximum, ceiling = (quotas.count(n) * 10 for n in (trigger.provisioned.maximum, _MAX_POLLERS))
        where = "ten for each of provisioned.maximum in stack.yaml"
    instead = "use provisioned pollers, larger batches, or several queues"
    name = "lambda.mapping_concurrency"
    yield Need(name, _INGEST, batches, maximum, "batches", ceiling=ceiling, instead=instead, where=where)
    # A message is in flight from its receipt until its batch is done.
    flying, maximum = at_once(load.rate, load.ingest_seconds), quotas.mappings.in_flight
    instead = "use several queues, or make batches quicker"
    yield Need("sqs.in_flight", trigger.name, flying, maximum, "messages", ceiling=maximum, instead=instead)


def _dynamodb(quotas: Quotas, load: PhotoLoad) -> Iterator[Need]:
    limits, index = quotas.dynamodb, "files/index/by-owner"
    for kind, subject, each in (("table", "files", load.table_writes), ("index", index, load.index_writes)):
        needed = load.rate * each
        yield Need(f"dynamodb.{kind}_writes", subject, needed, limits.table_writes, "WCU/s")
        yield _new_table(f"dynamodb.new_{kind}_writes", subject, needed, limits.new_table_writes, "WCU/s")
    reads = load.rate * load.table_reads
    yield Need("dynamodb.table_reads", "files", reads, limits.table_reads, "RCU/s")
    yield _new_table("dynamodb.new_table_reads", "files", reads, limits.new_table_reads, "RCU/s")
    # A file has a partition key of its own, so only the index of one user's files can be hot.
    hot, maximum = min(load.user_rate, load.rate) / OWNER_SHARDS * load.index_writes, limits.partition_writes
    instead = f"spread keys over more than {OWNER_SHARDS} shards an owner (OWNER_SHARDS)"
    yield Need("dynamodb.partition_writes", index, hot, maximum, "WCU/s", ceiling=maximum, instead=instead)


def _new_table(name: str, subject: str, needed: float, maximum: float, unit: str) -> Need:
    """Return the need of a new on-demand table: no quota, it is warmed ("Understanding DynamoDB warm throughput")."""
    instead = f"warm it to {rounded_up(needed / TARGET):,.0f} before (WarmThroughput)"
    return Need(name, subject, needed, maximum, unit, ceiling=maximum, instead=instead)


def _s3(quotas: Quotas, load: PhotoLoad) -> Iterator[Need]:
    limits = quotas.s3
    for kind, prefix, calls, maximum in (
        ("writes", "personal/originals/", 1, limits.prefix_writes),
        ("reads", "personal/originals/", 1, limits.prefix_reads),
        ("writes", "personal/renditions/", len(RENDITIONS), limits.prefix_writes),
    ):
        needed = load.rate * calls
        yield Need(f"s3.prefix_{kind}", prefix, needed, maximum, "requests/s", ceiling=maximum, instead=_SPREAD)
