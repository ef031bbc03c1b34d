"""SNS over plain signed HTTP: PublishBatch, which ingest calls for every batch.

Through aiobotocore a call costs 2.6 ms of CPU, here a tenth of that (`./run bench photo_calls`). It takes, gives and
raises what aiobotocore's client does, so that the port works with either.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from xml.etree import ElementTree as ET

from shoebox.aws.botocore_errors import as_botocore
from shoebox.aws.clients import service_url
from shoebox.aws.connections import Connections
from shoebox.aws.credentials import Credentials, CredentialsSource
from shoebox.aws.json_service import AwsError, Patience
from shoebox.aws.query_service import QueryService
from shoebox.config import AwsSettings

PATIENCE = Patience(attempts=4, first_pause=0.05, answer_seconds=25.0)
_VERSION = "2010-03-31"


class SnsHttp:
    """PublishBatch. `credentials` gives those of the moment: they may be renewed while the process lives."""

    def __init__(
        self, connections: Connections, credentials: CredentialsSource, *, region: str, patience: Patience = PATIENCE
    ) -> None:
        self._connections = connections
        self._credentials = credentials
        self._region = region
        self._patience = patience
        self._keys: Credentials | None = None
        self._service: QueryService | None = None

    async def publish_batch(
        self,
        *,
        TopicArn: str,  # noqa: N803 - the names of SNS's API, as aiobotocore has them
        PublishBatchRequestEntries: Sequence[Mapping[str, Any]],  # noqa: N803
    ) -> dict[str, Any]:
        """Publish up to ten messages: Id, Message and MessageAttributes of strings. Raises botocore's errors."""
        service = await self._current()
        try:
            root = await service.call("PublishBatch", [("TopicArn", TopicArn), *_fields(PublishBatchRequestEntries)])
        except AwsError as error:
            raise as_botocore(error, "PublishBatch", self._connections.host) from error
        return {"Successful": _members(root, "Successful"), "Failed": _members(root, "Failed")}

    async def _current(self) -> QueryService:
        keys = await self._credentials()
        if self._service is None or keys != self._keys:
            self._keys = keys
            self._service = QueryService(
                self._connections, keys, region=self._region, service="sns", version=_VERSION, patience=self._patience
            )
        return self._service


def _fields(entries: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Lists and maps as the Query protocol flattens them: `member.1`, `entry.1`."""
    for number, entry in enumerate(entries, 1):
        name = f"PublishBatchRequestEntries.member.{number}"
        yield f"{name}.Id", entry["Id"]
        yield f"{name}.Message", entry["Message"]
        for index, (key, value) in enumerate(entry.get("MessageAttributes", {}).items(), 1):
            yield f"{name}.MessageAttributes.entry.{index}.Name", key
            yield f"{name}.MessageAttributes.entry.{index}.Value.DataType", value["DataType"]
            yield f"{name}.MessageAttributes.entry.{index}.Value.StringValue", value["StringValue"]


def _members(root: ET.Element, name: str) -> list[dict[str, str | None]]:
    found = root.iterfind(f"{{*}}PublishBatchResult/{{*}}{name}/{{*}}member")
    return [{child.tag.rpartition("}")[2]: child.text for child in member} for member in found]


@asynccontextmanager
async def open_sns(settings: AwsSettings, credentials: CredentialsSource) -> AsyncIterator[SnsHttp]:
    """A client of the settings' SNS, whose connections are closed at the end."""
    connections = Connections(service_url(settings, "sns"))
    try:
        yield SnsHttp(connections, credentials, region=settings.region)
    finally:
        connections.close()
