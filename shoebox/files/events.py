"""The topic `file-events`: what happened to files, for whoever subscribes a queue.

Delivered at least once; `event_id` is the same for every delivery of one fact, and another after a new registration.
Shape: docs/reference/events.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from shoebox.aws.botocore_errors import aws_errors
from shoebox.errors import Unavailable
from shoebox.files.items import iso
from shoebox.files.model import Generation, Picture, State

_PER_CALL = 10  # "Amazon SNS quotas": entries in one PublishBatch


@dataclass(frozen=True, slots=True)
class FileEvent:
    """A file reached a final state: `file.ready`, with its `picture`, or `file.rejected`, with the reason."""

    generation: Generation
    state: State
    at: datetime
    reason: str | None = None
    picture: Picture | None = None

    @property
    def event(self) -> str:
        """The event's name."""
        return f"file.{self.state.lower()}"

    def document(self) -> dict[str, Any]:
        """The message as subscribers get it."""
        key = self.generation.key
        metadata = self.picture.metadata if self.picture else {}
        return {
            "event": self.event,
            "event_id": ":".join(part for part in (key.file_id, self.generation.ulid, self.event) if part),
            "tenant": key.owner.tenant,
            "user": key.owner.user,
            "file_id": key.file_id,
            "reason": self.reason,
            "warnings": self.picture.warnings if self.picture else (),
            "captured_at": metadata.get("captured_at"),
            "captured_at_source": metadata.get("captured_at_source"),  # older items have none
            "at": iso(self.at),
        }


class FileEvents:
    """Publishes file events. `client` gives an aiobotocore SNS client, which is made when it is first needed."""

    def __init__(self, client: Callable[[], Awaitable[Any]], topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    async def publish(self, events: Sequence[FileEvent]) -> None:
        """Publish events, ten a call; subscribers may filter by the attributes `event` and `tenant`.

        Raises:
            Unavailable: SNS took only some of them; publish all again.
            AwsError: SNS refuses, or cannot be reached.
        """
        for start in range(0, len(events), _PER_CALL):
            entries = [_entry(n, event) for n, event in enumerate(events[start : start + _PER_CALL])]
            with aws_errors():
                client = await self._client()
                answer = await client.publish_batch(TopicArn=self._topic_arn, PublishBatchRequestEntries=entries)
            if answer.get("Failed"):
                raise Unavailable("Some file events could not be published.")


def _entry(number: int, event: FileEvent) -> dict[str, Any]:
    return {
        "Id": str(number),
        "Message": orjson.dumps(event.document()).decode(),
        "MessageAttributes": {
            "event": {"DataType": "String", "StringValue": event.event},
            "tenant": {"DataType": "String", "StringValue": event.generation.key.owner.tenant},
        },
    }
