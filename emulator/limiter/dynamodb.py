"""DynamoDB calls: passed on whole, passed on in part, or refused.

Not limited: PartiQL, streams, the control plane, provisioned tables, and requests that are not of DynamoDB's form,
which the emulator refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import orjson

from emulator.limiter import reads, writes
from emulator.limiter.error_responses import item_too_large, request_too_large, throttled, transaction_canceled
from emulator.limiter.forwarding import BufferedRequest, RecordedResponse
from emulator.limiter.reads import Read
from emulator.limiter.tables import ItemMemory, Schemas, known_item, table_name
from emulator.limiter.writes import Tables, Write
from fleet.http.asgi import App, BodyTooLarge, Disconnected, Receive, Response, Scope, Send, read_body, respond
from fleet.limits.capacity import MAX_ITEM_BYTES
from fleet.limits.dynamodb import DemandRefusal, Direction, DynamoDBLimits
from fleet.limits.use import BilledCount, LimitUse

if TYPE_CHECKING:
    from fleet.limits.quotas import DynamoDBQuotas

MAX_BODY = 17 * 1024 * 1024  # a batch may have 16 MB of items ("BatchWriteItem")
_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})
_READS = frozenset({"GetItem", "BatchGetItem", "TransactGetItems", "Query", "Scan"})
_TABLE_CHANGES = frozenset({"CreateTable", "UpdateTable", "DeleteTable"})
_HANDLED = _WRITES | _READS | _TABLE_CHANGES
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration)

Request: TypeAlias = Mapping[str, Any]
Part = TypeVar("Part", Read, Write)
Entry: TypeAlias = tuple[str, Any, Part]
"""Part of a batch: the table as the request names it; a put, a delete or a key; and its plan."""


class DynamoDBLimiter:
    """Keeps the limits of the DynamoDB behind `app`; `clock` in seconds, never going back."""

    def __init__(self, app: App, quotas: DynamoDBQuotas, clock: Callable[[], float]) -> None:
        self._app = app
        self._clock = clock
        self._limits = DynamoDBLimits(quotas)
        self._memory = ItemMemory()
        self._schemas = Schemas(app)

    def uses(self) -> Iterator[LimitUse]:
        """Yield how much of each limit is used."""
        return self._limits.uses(self._clock())

    def units(self) -> Iterator[BilledCount]:
        """Yield the capacity units that were used."""
        return self._limits.units()

    async def __call__(self, operation: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        if operation not in _HANDLED:
            return await self._app(scope, receive, send)
        try:
            body = await read_body(scope, receive, MAX_BODY)
        except BodyTooLarge:
            return await respond(send, request_too_large())
        except Disconnected:
            return None
        call = BufferedRequest(self._app, scope, body, receive, send)
        if operation in _TABLE_CHANGES:
            return await self._change_table(operation, call)
        try:
            request = orjson.loads(body)
            tables = {name: await self._schemas.get(name, scope) for name in _table_names(request)}
            work = self._planned(operation, request, tables, call) if any(tables.values()) else call.forward()
        except _MALFORMED:  # the emulator says what is wrong with it
            work = call.forward()
        await work
        return None

    async def _change_table(self, operation: str, call: BufferedRequest) -> None:
        response = await call.forward()
        if response.status != 200:
            return
        name = response.document()["TableDescription"]["TableName"]
        self._schemas.forget(name)
        self._memory.forget(name)
        if operation != "UpdateTable":
            self._limits.forget(name)

    def _planned(
        self, operation: str, request: Request, tables: Tables, call: BufferedRequest
    ) -> Coroutine[Any, Any, object]:
        """Return the work on a call, planned but not begun, so that a malformed request is found before it costs."""
        table, memory, size = next(iter(tables.values())), self._memory, len(call.body)
        plan: Callable[[], Write]
        match operation:
            case "GetItem":
                return self._get(call, reads.get(table, request["Key"], request))
            case "Query" | "Scan":
                return self._search(call, reads.search(table, request))
            case "BatchGetItem":
                keys: list[Entry[Read]] = [
                    (name, key, reads.get(tables[table_name(name)], key, wanted))
                    for name, wanted in request["RequestItems"].items()
                    for key in wanted["Keys"]
                ]
                return self._batch_get(call, request, keys)
            case "TransactGetItems":
                return self._transact_get(call, reads.transaction(tables, request))
            case "BatchWriteItem":
                entries: list[Entry[Write]] = [
                    (name, entry, writes.batch_entry(tables[table_name(name)], entry, memory, size))
                    for name, table_entries in request["RequestItems"].items()
                    for entry in table_entries
                ]
                return self._batch_write(call, request, entries)
            case "TransactWriteItems":
                return self._transact_write(call, writes.transaction(tables, request, memory, size))
            case "PutItem":
                plan = partial(writes.put, table, request["Item"], memory, size)
            case "UpdateItem":
                plan = partial(writes.update, table, request, memory)
            case _:
                plan = partial(writes.delete, table, request["Key"], memory)
        return self._write(call, request, plan(), plan)

    async def _write(self, call: BufferedRequest, request: Request, write: Write, plan: Callable[[], Write]) -> None:
        if write.size > MAX_ITEM_BYTES:
            return await call.respond(item_too_large())
        if refused := self._limits.admit(Direction.WRITE, write.demands, self._clock()):
            return await call.respond(_throttled(refused, write))
        response = await call.forward()
        if response.status == 200 and request.get("ReturnValues", "NONE") != "NONE":
            write = self._corrected(write, request["ReturnValues"], response, plan)
        writes.settle([write], response, self._limits, self._memory, self._clock())
        return None

    def _corrected(self, write: Write, returned: str, response: RecordedResponse, plan: Callable[[], Write]) -> Write:
        """Return the write as the item in the response shows it; what was charged is corrected."""
        item = response.document().get("Attributes")
        if not item or write.table is None or write.item is None:
            return write
        if returned == "ALL_NEW":
            return replace(write, after=known_item(write.table, item))
        if returned != "ALL_OLD":
            return write
        self._memory.put(write.item, known_item(write.table, item))
        actual, now = plan(), self._clock()
        self._limits.give_back(Direction.WRITE, write.demands, now)
        self._limits.charge(Direction.WRITE, actual.demands, now)
        return actual

    async def _batch_write(self, call: BufferedRequest, request: Request, entries: list[Entry[Write]]) -> None:
        if any(write.size > MAX_ITEM_BYTES for *_, write in entries):
            return await call.respond(item_too_large())
        passed, refused, reason = self._admit_each(Direction.WRITE, entries)
        if not passed:
            return await call.respond(reason)
        response = await _forward_in_part(call, request, "UnprocessedItems", passed, refused, _by_table)
        writes.settle([write for *_, write in passed], response, self._limits, self._memory, self._clock())
        return None

    async def _transact_write(self, call: BufferedRequest, actions: list[Write]) -> None:
        wanted = [action.demands for action in actions]
        if refused := self._limits.admit_together(Direction.WRITE, wanted, self._clock()):
            return await call.respond(transaction_canceled(refused))
        response = await call.forward()
        writes.settle(actions, response, self._limits, self._memory, self._clock())
        return None

    async def _get(self, call: BufferedRequest, read: Read) -> None:
        if refused := self._limits.admit(Direction.READ, read.demands, self._clock()):
            return await call.respond(_throttled(refused, read))
        response = await call.forward()
        self._settle_reads([read], response, lambda document: [(read, document.get("Item"))])
        return None

    async def _batch_get(self, call: BufferedRequest, request: Request, entries: list[Entry[Read]]) -> None:
        passed, refused, reason = self._admit_each(Direction.READ, entries)
        if not passed:
            return await call.respond(reason)

        def regroup(part: list[Entry[Read]]) -> dict[str, Any]:
            keys = _by_table(part)
            return {name: {**request["RequestItems"][name], "Keys": keys[name]} for name in keys}

        response = await _forward_in_part(call, request, "UnprocessedKeys", passed, refused, regroup)
        wanted = [read for *_, read in passed]
        self._settle_reads(wanted, response, lambda document: _found_in_batch(wanted, document))
        return None

    async def _transact_get(self, call: BufferedRequest, items: list[Read]) -> None:
        wanted = [item.demands for item in items]
        if refused := self._limits.admit_together(Direction.READ, wanted, self._clock()):
            return await call.respond(transaction_canceled(refused))
        response = await call.forward()

        def found(document: Mapping[str, Any]) -> Iterator[tuple[Read, Mapping[str, Any] | None]]:
            for read, item in zip(items, document.get("Responses", []), strict=False):
                yield read, item.get("Item")

        self._settle_reads(items, response, found)
        return None

    async def _search(self, call: BufferedRequest, read: Read) -> None:
        if refused := self._limits.admit(Direction.READ, read.demands, self._clock()):
            return await call.respond(_throttled(refused, read))
        response = await call.forward()
        if response.status != 200:
            reads.give_back([read], self._limits, self._clock())
        else:
            reads.settle_search(read, response, self._limits, self._clock())
        return None

    def _settle_reads(
        self,
        wanted: list[Read],
        response: RecordedResponse,
        found: Callable[[Mapping[str, Any]], Iterable[tuple[Read, Mapping[str, Any] | None]]],
    ) -> None:
        """Charge reads of items by what the response shows; `found` pairs them with the items of its document."""
        if response.status != 200:
            reads.give_back(wanted, self._limits, self._clock())
        elif reads.must_parse(wanted, response, self._memory):
            reads.settle_items(found(response.document()), self._limits, self._memory, self._clock())

    def _admit_each(
        self, direction: Direction, entries: Sequence[Entry[Part]]
    ) -> tuple[list[Entry[Part]], list[Entry[Part]], Response]:
        """Return the entries that pass, those that do not, and the response if none does."""
        now = self._clock()
        passed: list[Entry[Part]] = []
        refused: list[Entry[Part]] = []
        reason = Response(400)
        for entry in entries:
            if decision := self._limits.admit(direction, entry[2].demands, now):
                refused.append(entry)
                reason = _throttled(decision, entry[2])
            else:
                passed.append(entry)
        return passed, refused, reason


def _table_names(request: Request) -> set[str]:
    if "TableName" in request:
        return {table_name(request["TableName"])}
    if "RequestItems" in request:
        return {table_name(name) for name in request["RequestItems"]}
    return {table_name(content["TableName"]) for action in request["TransactItems"] for content in action.values()}


def _throttled(refused: DemandRefusal, part: Read | Write) -> Response:
    assert part.table is not None  # what is unlimited is never refused
    return throttled(refused, part.table.arn_of(refused.resource))


async def _forward_in_part(
    call: BufferedRequest,
    request: Request,
    unprocessed: str,
    passed: list[Entry[Part]],
    refused: list[Entry[Part]],
    regroup: Callable[[list[Entry[Part]]], dict[str, Any]],
) -> RecordedResponse:
    """Pass on what may pass of a batch; the rest comes back as `unprocessed`, as "Batch operations" has it."""
    if not refused:
        return await call.forward()
    response = await call.fetch(orjson.dumps({**request, "RequestItems": regroup(passed)}))
    document = response.document()
    if response.status == 200:
        document[unprocessed] = _merge_unprocessed(document.get(unprocessed, {}), regroup(refused))
    await call.respond_with(response, document)
    return response


def _merge_unprocessed(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Join what the emulator has not processed and what it was not given: lists of writes, or keys with parameters."""
    merged = dict(theirs)
    for name, entries in ours.items():
        former = merged.get(name)
        if former is None:
            merged[name] = entries
        elif isinstance(former, list):
            merged[name] = former + entries
        else:
            merged[name] = {**entries, "Keys": former["Keys"] + entries["Keys"]}
    return merged


def _by_table(entries: Sequence[Entry[Part]]) -> dict[str, Any]:
    """Group entries by table, as a request has them."""
    tables: dict[str, Any] = {}
    for name, entry, _ in entries:
        tables.setdefault(name, []).append(entry)
    return tables


def _found_in_batch(wanted: list[Read], document: Mapping[str, Any]) -> Iterator[tuple[Read, Mapping[str, Any] | None]]:
    """Yield a BatchGetItem's items, each with its read; one whose key a projection leaves out cannot be matched."""
    by_id = {read.item: read for read in wanted}
    tables = {read.table.resource.table: read.table for read in wanted if read.table}
    for name, items in document.get("Responses", {}).items():
        table = tables.get(table_name(name))
        if table is None:
            continue
        for item in items:
            key = table.keys.of(item)
            read = by_id.get((table.resource.table, *key)) if key else None
            if read:
                yield read, item
