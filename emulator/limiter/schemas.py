"""Keys and global secondary indexes of tables, asked of the emulator when a table is first used.

Asking needs no configuration, and holds for tables that were there before this process. A table is asked for anew after
CreateTable, UpdateTable and DeleteTable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from emulator.limiter.exchange import hold
from fleet.http.asgi import App, Scope, header
from fleet.limits.dynamodb import Resource

TARGET = b"DynamoDB_20120810."
_SCOPE = re.compile(r"Credential=[^/]+/[0-9]+/([a-z0-9-]+)/")
_REGION = "us-east-1"
_NO_RANGE: Mapping[str, Any] = {"S": ""}


def text_of(value: Mapping[str, Any]) -> str:
    """A key attribute's value; its type is the schema's, so it says nothing."""
    return str(next(iter(value.values())))


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of the key attributes."""

    hash: str
    range: str | None

    def of(self, item: Mapping[str, Mapping[str, Any]]) -> tuple[str, str] | None:
        """Their values in an item, as text; None if it lacks one, so that a sparse index does not have it."""
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
        """The global secondary index of that name; a local one lives on the table's partitions."""
        return next((index for index in self.indexes if index.resource.gsi == name), None)

    def arn_of(self, resource: Resource) -> str:
        """ARN of the table or one of its indexes."""
        return f"{self.arn}/index/{resource.gsi}" if resource.gsi else self.arn


def table_name(text: str) -> str:
    """A table's name, of which requests may give the ARN instead."""
    return text.rpartition("/")[2]


def schema_of(description: Mapping[str, Any]) -> TableSchema:
    """What DescribeTable says, as far as the limits need it."""
    name = description["TableName"]
    mode = description.get("BillingModeSummary", {}).get("BillingMode")
    return TableSchema(
        Resource(name),
        description["TableArn"],
        _keys(description["KeySchema"]),
        tuple(_index(name, index) for index in description.get("GlobalSecondaryIndexes", ())),
        on_demand=mode == "PAY_PER_REQUEST",
    )


def _index(table: str, description: Mapping[str, Any]) -> IndexSchema:
    whole = description.get("Projection", {}).get("ProjectionType") == "ALL"
    return IndexSchema(Resource(table, description["IndexName"]), _keys(description["KeySchema"]), whole)


def _keys(schema: list[dict[str, str]]) -> Keys:
    names = {element["KeyType"]: element["AttributeName"] for element in schema}
    return Keys(names["HASH"], names.get("RANGE"))


class Schemas:
    """The schemas of all tables behind `app`."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._tables: dict[str, TableSchema] = {}

    def forget(self, table: str) -> None:
        """It has changed, or is gone."""
        self._tables.pop(table, None)

    async def of(self, table: str, scope: Scope) -> TableSchema | None:
        """The schema of a table that is limited; None for others and for one that is not there.

        `scope` is the request that needs it: the same connection and region serve for asking.
        """
        schema = self._tables.get(table) or await self._ask(table, scope)
        return schema if schema and schema.on_demand else None

    async def _ask(self, table: str, scope: Scope) -> TableSchema | None:
        """Ask in the administrator's name, who is not verified by emulators: the caller may lack the permission."""
        body = orjson.dumps({"TableName": table})
        answer = await hold(self._app, {**scope, "headers": _headers(scope, body)}, body)
        if answer.status != 200:
            return None
        schema = self._tables[table] = schema_of(orjson.loads(answer.body)["Table"])
        return schema


def _headers(scope: Scope, body: bytes) -> list[tuple[bytes, bytes]]:
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
