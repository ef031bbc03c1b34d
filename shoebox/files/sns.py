"""The topic `file-events`: an `EventPublisher` in SNS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from shoebox.aws.sns import SnsHttp
from shoebox.errors import Unavailable
from shoebox.files.events import FileEvent
from shoebox.files.faults import retryable_as_unavailable

_PER_CALL = 10  # "Amazon SNS quotas": entries in one PublishBatch


class SnsEventPublisher:
    """Publishes file events to one topic, ten a call."""

    def __init__(self, client: SnsHttp, topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    @retryable_as_unavailable
    async def publish(self, events: Sequence[FileEvent]) -> None:
        """Publish events.

        Raises:
            Unavailable: also where SNS took only some of them.
        """
        for start in range(0, len(events), _PER_CALL):
            entries = [_entry(n, event) for n, event in enumerate(events[start : start + _PER_CALL])]
            response = await self._client.publish_batch(TopicArn=self._topic_arn, PublishBatchRequestEntries=entries)
            if response.get("Failed"):
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
