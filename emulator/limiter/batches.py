"""BatchGetItem and BatchWriteItem: part of one may pass. Source: "Batch operations and error handling"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import orjson

from emulator.limiter.exchange import Answer, Call
from emulator.limiter.reads import Read
from emulator.limiter.schemas import table_name
from emulator.limiter.writes import Write

Part = TypeVar("Part", Read, Write)
Entry: TypeAlias = tuple[str, Any, Part]
"""The table as the request names it; a put, a delete or a key; and what it wants."""


async def in_part(
    call: Call,
    request: Mapping[str, Any],
    unprocessed: str,
    passed: list[Entry[Part]],
    refused: list[Entry[Part]],
    regroup: Callable[[list[Entry[Part]]], dict[str, Any]],
) -> Answer:
    """Pass on what may pass; the rest comes back as unprocessed ("Batch operations and error handling")."""
    if not refused:
        return await call.pass_on()
    answer = await call.ask_for(orjson.dumps({**request, "RequestItems": regroup(passed)}))
    document = answer.document()
    if answer.status == 200:
        document[unprocessed] = _merged(document.get(unprocessed, {}), regroup(refused))
    await call.answer_with(answer, document)
    return answer


def _merged(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """What the emulator has not processed, and what it was not given: lists of writes, or keys with parameters."""
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


def by_table(entries: Sequence[Entry[Part]]) -> dict[str, Any]:
    """Entries by table, as a request has them."""
    tables: dict[str, Any] = {}
    for name, entry, _ in entries:
        tables.setdefault(name, []).append(entry)
    return tables


def found_of(
    wanted: Mapping[Any, Read], document: Mapping[str, Any]
) -> Iterator[tuple[Read, Mapping[str, Any] | None]]:
    """The items of a BatchGetItem with what asked for them; keys that a projection leaves out cannot be matched."""
    tables = {read.table.resource.table: read.table for read in wanted.values() if read.table}
    for name, items in document.get("Responses", {}).items():
        table = tables.get(table_name(name))
        if table is None:
            continue
        for item in items:
            key = table.keys.of(item)
            read = wanted.get((table.resource.table, *key)) if key else None
            if read:
                yield read, item
