"""The topic `file-events`: an `EventPublisher` in SNS."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import orjson

from shoebox.aws.botocore_errors import aws_errors
from shoebox.errors import Unavailable
from shoebox.files.events import FileEvent
from shoebox.files.faults import retryable_as_unavailable

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sns.type_defs import PublishBatchRequestEntryTypeDef

_PER_CALL = 10  # "Amazon SNS quotas": entries in one PublishBatch


class SnsEventPublisher:
    """Publishes file events to one topic, ten a call.

    `client` gives an aiobotocore client, which is made when it is first needed.
    """

    def __init__(self, client: Callable[[], Awaitable[SNSClient]], topic_arn: str) -> None:
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
            client = await self._client()
            with aws_errors():
                response = await client.publish_batch(TopicArn=self._topic_arn, PublishBatchRequestEntries=entries)
            if response.get("Failed"):
                raise Unavailable("Some file events could not be published.")


def _entry(number: int, event: FileEvent) -> PublishBatchRequestEntryTypeDef:
    return {
        "Id": str(number),
        "Message": orjson.dumps(event.document()).decode(),
        "MessageAttributes": {
            "event": {"DataType": "String", "StringValue": event.event},
            "tenant": {"DataType": "String", "StringValue": event.generation.key.owner.tenant},
        },
    }
