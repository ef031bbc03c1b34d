"""What the limiter knows of tables and their items.

Keys and indexes of a table are asked of the emulator when it is first used, and again after CreateTable, UpdateTable
and DeleteTable: that needs no configuration, and holds for tables that were there before this process.

Sizes and index keys of items are remembered, because an UpdateItem tells neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import orjson

from emulator.limiter.forwarding import fetch
from fleet.http.asgi import App, Scope, header
from fleet.limits.capacity import Item, item_size
from fleet.limits.dynamodb import Resource

TARGET = b"DynamoDB_20120810."
_SCOPE = re.compile(r"Credential=[^/]+/[0-9]+/([a-z0-9-]+)/")
_REGION = "us-east-1"
_NO_RANGE: Mapping[str, Any] = {"S": ""}
MAX_ITEMS = 50_000  # about 28 MB

IndexKey: TypeAlias = tuple[str, str] | None
ItemId: TypeAlias = tuple[str, str, str]
"""Table, partition key and sort key."""


def text_of(value: Mapping[str, Any]) -> str:
    """Return a key attribute's value without its type, which the schema gives."""
    return str(next(iter(value.values())))


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of the key attributes."""

    hash: str
    range: str | None

    def of(self, item: Mapping[str, Mapping[str, Any]]) -> tuple[str, str] | None:
        """Return their values in an item, as text; None if it lacks one: then a sparse index does not have the item."""
        first = item.get(self.hash)
        second = item.get(self.range) if self.range else _NO_RANGE
        if not first or not second:
            return None
        return text_of(first), text_of(second)


@dataclass(frozen=True, slots=True)
class IndexSchema:
    """A global secondary index; `whole` if it projects all attributes."""

    resource: Resource
    keys: Keys
    whole: bool


@dataclass(frozen=True, slots=True)
class TableSchema:
    """A table; `arn` as the emulator gives it. Provisioned tables are not limited."""

    resource: Resource
    arn: str
    keys: Keys
    indexes: tuple[IndexSchema, ...]
    on_demand: bool

    def index(self, name: str | None) -> IndexSchema | None:
        """Return the global secondary index of that name; a local one uses the table's partitions."""
        return next((index for index in self.indexes if index.resource.gsi == name), None)

    def arn_of(self, resource: Resource) -> str:
        """Return the ARN of the table or one of its indexes."""
        return f"{self.arn}/index/{resource.gsi}" if resource.gsi else self.arn


def table_name(text: str) -> str:
    """Return a table's name, of which requests may give the ARN instead."""
    return text.rpartition("/")[2]


def schema_of(description: Mapping[str, Any]) -> TableSchema:
    """Read what DescribeTable says of a table, as far as the limits need it."""
    name = description["TableName"]
    indexes = (
        IndexSchema(
            Resource(name, index["IndexName"]),
            _keys(index["KeySchema"]),
            whole=index.get("Projection", {}).get("ProjectionType") == "ALL",
        )
        for index in description.get("GlobalSecondaryIndexes", ())
    )
    return TableSchema(
        Resource(name),
        description["TableArn"],
        _keys(description["KeySchema"]),
        tuple(indexes),
        on_demand=description.get("BillingModeSummary", {}).get("BillingMode") == "PAY_PER_REQUEST",
    )


def _keys(schema: list[dict[str, str]]) -> Keys:
    names = {element["KeyType"]: element["AttributeName"] for element in schema}
    return Keys(names["HASH"], names.get("RANGE"))


class Schemas:
    """The schemas of all tables behind `app`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._tables: dict[str, TableSchema] = {}

    def forget(self, table: str) -> None:
        """Ask for the table again when it is next used: it has changed, or is gone."""
        self._tables.pop(table, None)

    async def get(self, table: str, scope: Scope) -> TableSchema | None:
        """Return the schema of a table that is limited; None for others and for one that is not there.

        `scope` is the request that needs it: the same connection and region serve for asking.
        """
        schema = self._tables.get(table)
        if schema is None:
            body = orjson.dumps({"TableName": table})
            response = await fetch(self._app, {**scope, "headers": _describe_headers(scope, body)}, body)
            if response.status != 200:
                return None
            schema = self._tables[table] = schema_of(response.document()["Table"])
        return schema if schema.on_demand else None


def _describe_headers(scope: Scope, body: bytes) -> list[tuple[bytes, bytes]]:
    """Sign as the administrator, whom emulators do not verify: the caller may lack the permission to describe."""
    found = _SCOPE.search(header(scope, b"authorization"))
    credential = f"test/20260101/{found[1] if found else _REGION}/dynamodb/aws4_request"
    authorization = f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature={'0' * 64}"
    return [
        (b"host", header(scope, b"host").encode("latin-1")),
        (b"content-type", b"application/x-amz-json-1.0"),
        (b"content-length", str(len(body)).encode()),
        (b"x-amz-target", TARGET + b"DescribeTable"),
        (b"x-amz-date", b"20260101T000000Z"),
        (b"authorization", authorization.encode()),
    ]


class KnownItem(NamedTuple):
    """An item's bytes, and its key in each of the table's indexes, None where it is not in one."""

    size: int
    index_keys: tuple[IndexKey, ...]


def known_item(table: TableSchema, item: Item, size: int | None = None) -> KnownItem:
    """Return what a whole item shows; its size may be known already."""
    return KnownItem(item_size(item) if size is None else size, tuple(index.keys.of(item) for index in table.indexes))


class ItemMemory:
    """What is known of the items that were used last.

    An item that is not known is taken for new and small, so that limits are kept too loosely rather than too strictly.
    """

    def __init__(self, max_items: int = MAX_ITEMS) -> None:
        self._max_items = max_items
        self._items: dict[ItemId, KnownItem] = {}

    def __len__(self) -> int:
        """Return how many are known."""
        return len(self._items)

    def get(self, item: ItemId) -> KnownItem | None:
        """Return what is known of an item."""
        return self._items.get(item)

    def put(self, item: ItemId, known: KnownItem | None) -> None:
        """Remember an item; None forgets it. When there are too many, the one that was put longest ago goes."""
        self._items.pop(item, None)
        if known is None:
            return
        if len(self._items) >= self._max_items:
            del self._items[next(iter(self._items))]
        self._items[item] = known

    def forget(self, table: str) -> None:
        """Forget a table's items: it has other indexes now, or is gone."""
        self._items = {item: known for item, known in self._items.items() if item[0] != table}
