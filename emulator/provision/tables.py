"""DynamoDB tables: keys, indexes, time to live; paid per request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from emulator.provision.resources import Outcome, ProvisionError, naming_errors, none_if, outcome
from emulator.tasks import together
from shoebox.stack.deployment import ResolvedStack
from shoebox.stack.model import Key, Table

_POLL_SECONDS = 0.5
_MAX_POLLS = 600  # AWS takes seconds for a table, minutes for an index over many items


async def ensure_tables(resolved: ResolvedStack, dynamodb: Any) -> list[Outcome]:
    """Create or update every table. A key cannot be changed: that is a ProvisionError that says so."""
    return await together(
        *(_ensure(dynamodb, resolved.name_of("table", name), table) for name, table in resolved.stack.tables.items())
    )


async def _ensure(dynamodb: Any, name: str, table: Table) -> Outcome:
    with naming_errors("table", name):
        found = await none_if(dynamodb.describe_table(TableName=name), "ResourceNotFoundException")
        if found is None:
            await _create(dynamodb, name, table)
        changed = [] if found is None else await _update(dynamodb, name, table, found["Table"])
        if await _set_ttl(dynamodb, name, table.ttl):
            changed.append("ttl")
        return outcome("table", name, created=found is None, changed=tuple(changed))


async def _create(dynamodb: Any, name: str, table: Table) -> None:
    indexes = [_index(index, key) for index, key in table.indexes.items()]
    created = await dynamodb.create_table(
        TableName=name,
        KeySchema=_schema(table.key),
        AttributeDefinitions=_definitions([table.key, *table.indexes.values()]),
        BillingMode="PAY_PER_REQUEST",
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
    )
    if not _is_active(created["TableDescription"]):
        await _until_active(dynamodb, name)


async def _update(dynamodb: Any, name: str, table: Table, found: dict[str, Any]) -> list[str]:
    """Add missing indexes and drop unknown or different ones, one at a time, as AWS demands."""
    if found["KeySchema"] != _schema(table.key):
        reason = "its key differs from stack.yaml; a key cannot be changed, so remove the table"
        raise ProvisionError(f"table {name}", reason)
    present = {index["IndexName"]: index["KeySchema"] for index in found.get("GlobalSecondaryIndexes", [])}
    wanted = {index: _schema(key) for index, key in table.indexes.items()}
    drop = [index for index, schema in present.items() if wanted.get(index) != schema]
    add = [index for index, schema in wanted.items() if present.get(index) != schema]
    updates = [{"Delete": {"IndexName": index}} for index in drop]
    for update in [*updates, *({"Create": _index(index, table.indexes[index])} for index in add)]:
        await dynamodb.update_table(
            TableName=name,
            AttributeDefinitions=_definitions([table.key, *table.indexes.values()]),
            GlobalSecondaryIndexUpdates=[update],
        )
        await _until_active(dynamodb, name)
    return sorted({f"index {index}" for index in [*drop, *add]})


async def _until_active(dynamodb: Any, name: str) -> None:
    for _ in range(_MAX_POLLS):
        if _is_active((await dynamodb.describe_table(TableName=name))["Table"]):
            return
        await asyncio.sleep(_POLL_SECONDS)
    raise ProvisionError(f"table {name}", f"it or an index is not active after {_MAX_POLLS * _POLL_SECONDS:.0f} s")


def _is_active(table: dict[str, Any]) -> bool:
    indexes = [index["IndexStatus"] for index in table.get("GlobalSecondaryIndexes", [])]
    return {table["TableStatus"], *indexes} == {"ACTIVE"}


async def _set_ttl(dynamodb: Any, name: str, wanted: str | None) -> bool:
    """Set the attribute where it differs (AWS: one change an hour, "UpdateTimeToLive"); tell whether it did."""
    found = (await dynamodb.describe_time_to_live(TableName=name))["TimeToLiveDescription"]
    present = found.get("AttributeName") if found.get("TimeToLiveStatus") in ("ENABLED", "ENABLING") else None
    if present == wanted:
        return False
    for attribute, enabled in ((present, False), (wanted, True)):
        if attribute:
            specification = {"AttributeName": attribute, "Enabled": enabled}
            await dynamodb.update_time_to_live(TableName=name, TimeToLiveSpecification=specification)
    return True


def _schema(key: Key) -> list[dict[str, str]]:
    hash_key = [{"AttributeName": key.hash, "KeyType": "HASH"}]
    return hash_key + ([{"AttributeName": key.range, "KeyType": "RANGE"}] if key.range else [])


def _definitions(keys: Iterable[Key]) -> list[dict[str, str]]:
    names = {name for key in keys for name in (key.hash, key.range) if name}
    return [{"AttributeName": name, "AttributeType": "S"} for name in sorted(names)]


def _index(name: str, key: Key) -> dict[str, Any]:
    return {"IndexName": name, "KeySchema": _schema(key), "Projection": {"ProjectionType": "ALL"}}
