"""DynamoDB calls: let through, in part, or refused.

Not limited: PartiQL, streams, the control plane, provisioned tables, and requests that are not of DynamoDB's form,
which are the emulator's to refuse.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import orjson

from emulator.limiter import reads, writes
from emulator.limiter.answers import item_too_large, request_too_large, throttled, transaction_canceled
from emulator.limiter.batches import Entry, Part, by_table, found_of, in_part
from emulator.limiter.exchange import Answer, Call
from emulator.limiter.memory import ItemMemory, known_of
from emulator.limiter.reads import Read
from emulator.limiter.schemas import Schemas, TableSchema, table_name
from emulator.limiter.writes import Tables, Write
from fleet.http.asgi import App, BodyTooLarge, Disconnected, Receive, Response, Scope, Send, read_body, respond
from fleet.limits.capacity import MAX_ITEM_BYTES
from fleet.limits.dynamodb import Direction, DynamoDBLimits, Throttled
from fleet.limits.use import Count, LimitUse

if TYPE_CHECKING:
    from fleet.limits.quotas import DynamoDBQuotas

BODY_MOST = 17 * 1024 * 1024  # a batch may have 16 MB of items ("BatchWriteItem")
_CHANGE_A_TABLE = ("CreateTable", "UpdateTable", "DeleteTable")
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration)

Request: TypeAlias = Mapping[str, Any]


class DynamoDB:
    """Keeps the limits of the DynamoDB behind `app`; `clock` in seconds, never going back."""

    def __init__(self, app: App, quotas: DynamoDBQuotas, clock: Callable[[], float]) -> None:
        self._app = app
        self._clock = clock
        self._limits = DynamoDBLimits(quotas)
        self._memory = ItemMemory()
        self._schemas = Schemas(app)
        self._plans: dict[str, Callable[[Call, Request, Tables], Coroutine[Any, Any, object]]] = {
            "PutItem": self._put,
            "UpdateItem": self._update,
            "DeleteItem": self._delete,
            "BatchWriteItem": self._batch_write,
            "TransactWriteItems": self._transact_write,
            "GetItem": self._get,
            "BatchGetItem": self._batch_get,
            "TransactGetItems": self._transact_get,
            "Query": self._search,
            "Scan": self._search,
        }

    def uses(self) -> Iterator[LimitUse]:
        """How much of each limit is used."""
        return self._limits.uses(self._clock())

    def units(self) -> Iterator[Count]:
        """The capacity units that were used."""
        return self._limits.units()

    async def __call__(self, operation: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one call."""
        plan = self._plans.get(operation)
        if plan is None and operation not in _CHANGE_A_TABLE:
            return await self._app(scope, receive, send)
        try:
            body = await read_body(scope, receive, BODY_MOST)
        except BodyTooLarge:
            return await respond(send, request_too_large())
        except Disconnected:
            return None
        call = Call(self._app, scope, body, receive, send)
        await (self._planned(plan, call) if plan else self._change(operation, call))
        return None

    async def _planned(self, plan: Callable[[Call, Request, Tables], Coroutine[Any, Any, object]], call: Call) -> None:
        try:
            request = orjson.loads(call.body)
            tables = {name: await self._schemas.of(name, call.scope) for name in _tables_of(request)}
            work = plan(call, request, tables) if any(tables.values()) else call.pass_on()
        except _MALFORMED:
            work = call.pass_on()
        await work

    async def _change(self, operation: str, call: Call) -> None:
        """A table comes, changes or goes: what is known of it goes."""
        answer = await call.pass_on()
        if answer.status != 200:
            return
        name = answer.document()["TableDescription"]["TableName"]
        self._schemas.forget(name)
        self._memory.forget(name)
        if operation != "UpdateTable":
            self._limits.forget(name)

    def _put(self, call: Call, request: Request, tables: Tables) -> Coroutine[Any, Any, object]:
        table = _only(tables)
        return self._write(call, request, lambda: writes.put(table, request["Item"], self._memory, len(call.body)))

    def _update(self, call: Call, request: Request, tables: Tables) -> Coroutine[Any, Any, object]:
        table = _only(tables)
        return self._write(call, request, lambda: writes.update(table, request, self._memory))

    def _delete(self, call: Call, request: Request, tables: Tables) -> Coroutine[Any, Any, object]:
        table = _only(tables)
        return self._write(call, request, lambda: writes.delete(table, request["Key"], self._memory))

    def _write(self, call: Call, request: Request, plan: Callable[[], Write]) -> Coroutine[Any, Any, object]:
        write = plan()
        if write.size > MAX_ITEM_BYTES:
            return call.answer(item_too_large())
        return self._run_write(call, request, write, plan)

    async def _run_write(self, call: Call, request: Request, write: Write, plan: Callable[[], Write]) -> None:
        if refused := self._limits.admit(Direction.WRITE, write.demands, self._clock()):
            return await call.answer(_throttled(refused, write))
        answer = await call.pass_on()
        if answer.status == 200 and request.get("ReturnValues", "NONE") != "NONE":
            write = self._corrected(write, request["ReturnValues"], answer, plan)
        writes.settle([write], answer, self._limits, self._memory, self._clock())
        return None

    def _corrected(self, write: Write, returned: str, answer: Answer, plan: Callable[[], Write]) -> Write:
        """The write as the returned item shows it; what was charged is set right."""
        item = answer.document().get("Attributes")
        if not item or write.table is None or write.item is None:
            return write
        if returned == "ALL_NEW":
            return replace(write, after=known_of(write.table, item))
        if returned != "ALL_OLD":
            return write
        self._memory.put(write.item, known_of(write.table, item))
        actual, now = plan(), self._clock()
        self._limits.give_back(Direction.WRITE, write.demands, now)
        self._limits.charge(Direction.WRITE, actual.demands, now)
        return actual

    def _batch_write(self, call: Call, request: Request, tables: Tables) -> Coroutine[Any, Any, object]:
        entries: list[Entry[Write]] = [
            (name, entry, writes.batch(tables[table_name(name)], entry, self._memory, len(call.body)))
            for name, table_entries in request["RequestItems"].items()
            for entry in table_entries
        ]
        if any(write.size > MAX_ITEM_BYTES for *_, write in entries):
            return call.answer(item_too_large())
        return self._run_batch_write(call, request, entries)

    async def _run_batch_write(self, call: Call, request: Request, entries: list[Entry[Write]]) -> None:
        passed, refused, reason = self._admit_each(Direction.WRITE, entries)
        if not passed:
            return await call.answer(reason)
        answer = await in_part(call, request, "UnprocessedItems", passed, refused, by_table)
        settled = [write for *_, write in passed]
        writes.settle(settled, answer, self._limits, self._memory, self._clock())
        return None

    def _transact_write(self, call: Call, request: Request, tables: Tables) -> Coroutine[Any, Any, object]:
        return self._run_transact_write(call, writes.actions(tables, request, self._memory, len(call.body)))

    async def _run_transact_write(self, call: Call, actions: list[Write]) -> None:
        wanted = [action.demands for action in actions]
        if refused := self._limits.admit_together(Direction.WRITE, wanted, self._clock()):
            return await call.answer(transaction_canceled(refused))
        answer = await call.pass_on()
        writes.settle(actions, answer, self._limits, self._memory, self._clock())
        return None

    def _get(self, call: Call, request: Request, tables: Tables) -> Coroutine[Any, Any, object]:
        return self._run_get(call, reads.get(_only(tables), request["Key"], request))

    async def _run_get(self, call: Call, read: Read) -> None:
        if refused := self._limits.admit(Direction.READ, read.demands, self._clock()):
            return await call.answer(_throttled(refused, read))
        answer = await call.pass_on()
        if self._is_told([read], answer):
            self._settle([(read, answer.document().get("Item"))])
        return None

    def _batch_get(self, call: Call, request: Request, tables: Tables) -> Coroutine[Any, Any, object]:
        entries: list[Entry[Read]] = [
            (name, key, reads.get(tables[table_name(name)], key, wanted))
            for name, wanted in request["RequestItems"].items()
            for key in wanted["Keys"]
        ]
        return self._run_batch_get(call, request, entries)

    async def _run_batch_get(self, call: Call, request: Request, entries: list[Entry[Read]]) -> None:
        passed, refused, reason = self._admit_each(Direction.READ, entries)
        if not passed:
            return await call.answer(reason)

        def regroup(part: list[Entry[Read]]) -> dict[str, Any]:
            keys = by_table(part)
            return {name: {**request["RequestItems"][name], "Keys": keys[name]} for name in keys}

        answer = await in_part(call, request, "UnprocessedKeys", passed, refused, regroup)
        if self._is_told([read for *_, read in passed], answer):
            by_id = {read.item: read for *_, read in passed}
            self._settle(found_of(by_id, answer.document()))
        return None

    def _transact_get(self, call: Call, request: Request, tables: Tables) -> Coroutine[Any, Any, object]:
        return self._run_transact_get(call, reads.gets(tables, request))

    async def _run_transact_get(self, call: Call, items: list[Read]) -> None:
        wanted = [item.demands for item in items]
        if refused := self._limits.admit_together(Direction.READ, wanted, self._clock()):
            return await call.answer(transaction_canceled(refused))
        answer = await call.pass_on()
        if self._is_told(items, answer):
            responses = answer.document().get("Responses", [])
            self._settle([(read, found.get("Item")) for read, found in zip(items, responses, strict=False)])
        return None

    def _search(self, call: Call, request: Request, tables: Tables) -> Coroutine[Any, Any, object]:
        return self._run_search(call, reads.search(_only(tables), request))

    async def _run_search(self, call: Call, read: Read) -> None:
        if refused := self._limits.admit(Direction.READ, read.demands, self._clock()):
            return await call.answer(_throttled(refused, read))
        answer = await call.pass_on()
        if answer.status != 200:
            reads.give_back([read], self._limits, self._clock())
        else:
            reads.settle_search(read, answer, self._limits, self._clock())
        return None

    def _admit_each(
        self, direction: Direction, entries: Sequence[Entry[Part]]
    ) -> tuple[list[Entry[Part]], list[Entry[Part]], Response]:
        """Those that pass, those that do not, and the answer if none does."""
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

    def _is_told(self, wanted: list[Read], answer: Answer) -> bool:
        """Whether to look at an answer; what a failed one took is given back."""
        if answer.status != 200:
            reads.give_back(wanted, self._limits, self._clock())
            return False
        return reads.must_look(wanted, answer, self._memory)

    def _settle(self, found: Iterable[tuple[Read, Mapping[str, Any] | None]]) -> None:
        reads.settle_items(found, self._limits, self._memory, self._clock())


def _tables_of(request: Request) -> set[str]:
    """The names of the tables that a request is about."""
    if "TableName" in request:
        return {table_name(request["TableName"])}
    if "RequestItems" in request:
        return {table_name(name) for name in request["RequestItems"]}
    return {table_name(content["TableName"]) for action in request["TransactItems"] for content in action.values()}


def _only(tables: Tables) -> TableSchema | None:
    return next(iter(tables.values()))


def _throttled(refused: Throttled, part: Read | Write) -> Response:
    assert part.table is not None  # what is unlimited is never refused
    return throttled(refused, part.table)
