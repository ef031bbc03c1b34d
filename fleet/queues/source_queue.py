"""An SQS queue as an event source mapping uses it: receive and delete, with the function's role."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self
from urllib.parse import urlsplit

from fleet.credentials import CredentialsCache, CredentialsError
from fleet.queues.batches import SqsMessage, message_of
from shoebox.aws.connections import Connections
from shoebox.aws.credentials import Credentials
from shoebox.aws.errors import AwsError
from shoebox.aws.sqs import SqsClient
from shoebox.config import AwsSettings
from shoebox.stack.deployment import ResolvedStack

_GONE = ("ReceiptHandleIsInvalid", "AWS.SimpleQueueService.ReceiptHandleIsInvalid")
_DENIED = ("AccessDenied", "AccessDeniedException", "AWS.SimpleQueueService.AccessDenied", "UnauthorizedOperation")
MAX_PER_CALL = 10  # SQS: messages of one receive call, and entries of one batch call
_ACTIONS = {
    "receive": "sqs:ReceiveMessage",
    "delete": "sqs:DeleteMessage",
    "release": "sqs:ChangeMessageVisibility",
    "visibility": "sqs:GetQueueAttributes",
}
_RECEIVE_ALL = {"MessageSystemAttributeNames": ["All"], "MessageAttributeNames": ["All"]}


class QueueError(Exception):
    """A call to SQS failed; `code` is SQS's, or the name of the fault on the way to it."""

    def __init__(self, call: str, code: str, message: str) -> None:
        super().__init__(message)
        self.call = call
        self.code = code

    @property
    def denied(self) -> str | None:
        """The IAM action that the role lacks, where that is the reason."""
        return _ACTIONS.get(self.call) if self.code in _DENIED else None


class SourceQueue(Protocol):
    """Where a mapping's messages come from; each call raises `QueueError`."""

    async def receive(self, count: int, wait: int) -> list[SqsMessage]:
        """Receive up to `count` (1..10) messages, waiting up to `wait` seconds for the first."""

    async def delete(self, messages: Sequence[SqsMessage]) -> None:
        """Delete messages; those that are gone already count as deleted."""

    async def release(self, messages: Sequence[SqsMessage]) -> None:
        """Let others receive messages at once; nothing was done about them."""

    async def visibility_timeout(self) -> int:
        """Return the queue's own, in seconds."""


class SqsQueue:
    """The queue at `url`, with the role of `function`."""

    def __init__(
        self,
        function: str,
        url: str,
        arn: str,
        credentials: CredentialsCache,
        aws: AwsSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._function = function
        self._url = url
        self._arn = arn
        self._region = aws.region
        self._credentials = credentials
        self._clock = clock
        parts = urlsplit(url)
        self._connections = Connections(aws.endpoint_url or f"{parts.scheme}://{parts.netloc}")
        self._client = SqsClient(self._connections, self._role_keys, region=aws.region)

    @classmethod
    def of_stack(cls, resolved: ResolvedStack, name: str, function: str, credentials: CredentialsCache) -> Self:
        """Return the queue with this name in stack.yaml, with the role of `function`."""
        deployment = resolved.deployment
        endpoint_url = deployment.sqs_url if deployment.endpoint_url else None
        aws = AwsSettings(region=deployment.region, endpoint_url=endpoint_url)
        return cls(function, resolved.queue_url(name), resolved.arn_of("queue", name), credentials, aws)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._connections.close()

    async def receive(self, count: int, wait: int) -> list[SqsMessage]:
        """Receive up to `count` (1..10) messages, waiting up to `wait` seconds for the first.

        Raises:
            QueueError: SQS refuses, or cannot be reached.
        """
        request = {"MaxNumberOfMessages": count, "WaitTimeSeconds": wait, **_RECEIVE_ALL}
        response = await self._call("receive", "ReceiveMessage", request, seconds=wait)
        now, arn, region = self._clock(), self._arn, self._region
        return [message_of(message, queue_arn=arn, region=region, now=now) for message in response.get("Messages", [])]

    async def delete(self, messages: Sequence[SqsMessage]) -> None:
        """Delete messages, ten a call, the calls at once; those that are gone already count as deleted.

        Raises:
            QueueError: SQS refuses, or cannot be reached; the other calls have been made.
        """
        starts = range(0, len(messages), MAX_PER_CALL)
        calls = [self._delete(messages[start : start + MAX_PER_CALL]) for start in starts]
        if len(calls) == 1:
            await calls[0]
            return
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    async def _delete(self, messages: Sequence[SqsMessage]) -> None:
        entries = [{"Id": str(index), "ReceiptHandle": m.receipt_handle} for index, m in enumerate(messages)]
        try:
            response = await self._call("delete", "DeleteMessageBatch", {"Entries": entries})
        except QueueError as error:
            if error.code in _GONE:
                return
            raise
        for failed in response.get("Failed", []):
            if failed["Code"] not in _GONE:
                raise QueueError("delete", failed["Code"], failed.get("Message", ""))

    async def release(self, messages: Sequence[SqsMessage]) -> None:
        """Let others receive messages at once, ten a call, in their order.

        Raises:
            QueueError: SQS refuses, or cannot be reached.
        """
        for start in range(0, len(messages), MAX_PER_CALL):
            entries = [
                {"Id": str(index), "ReceiptHandle": m.receipt_handle, "VisibilityTimeout": 0}
                for index, m in enumerate(messages[start : start + MAX_PER_CALL])
            ]
            await self._call("release", "ChangeMessageVisibilityBatch", {"Entries": entries})

    async def visibility_timeout(self) -> int:
        """Return the queue's own, in seconds.

        Raises:
            QueueError: SQS refuses, or cannot be reached.
        """
        name = "VisibilityTimeout"
        response = await self._call("visibility", "GetQueueAttributes", {"AttributeNames": [name]})
        try:
            return int(response["Attributes"][name])
        except (KeyError, ValueError) as error:
            raise QueueError("visibility", "InvalidResponse", f"SQS gives no {name}") from error

    async def _call(
        self, call: str, operation: str, request: dict[str, Any], *, seconds: float = 0.0
    ) -> dict[str, Any]:
        try:
            return await self._client.call(operation, {"QueueUrl": self._url, **request}, seconds=seconds)
        except AwsError as error:
            raise QueueError(call, error.code, error.message) from error
        except (CredentialsError, OSError) as error:
            raise QueueError(call, type(error).__name__, str(error)) from error

    async def _role_keys(self) -> Credentials:
        return (await self._credentials.get(self._function)).keys
