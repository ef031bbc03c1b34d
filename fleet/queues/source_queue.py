"""An SQS queue as an event source mapping uses it: receive and delete, with the function's role."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Protocol, Self

from botocore.exceptions import BotoCoreError, ClientError

from fleet.credentials import CredentialsCache, CredentialsError
from fleet.queues.sqs_event import SqsMessage, message_of
from shoebox.aws import Clients
from shoebox.config import AwsSettings

_GONE = ("ReceiptHandleIsInvalid", "AWS.SimpleQueueService.ReceiptHandleIsInvalid")
_DENIED = ("AccessDenied", "AccessDeniedException", "AWS.SimpleQueueService.AccessDenied", "UnauthorizedOperation")
_BATCH_MOST = 10  # SQS: entries of one batch call
_ACTIONS = {
    "receive": "sqs:ReceiveMessage",
    "delete": "sqs:DeleteMessage",
    "release": "sqs:ChangeMessageVisibility",
}


class QueueError(Exception):
    """A call to SQS failed; `code` is SQS's, or the name of the fault on the way to it."""

    def __init__(self, call: str, code: str, message: str) -> None:
        super().__init__(message)
        self.call = call
        self.code = code

    @property
    def denied(self) -> str | None:
        """The IAM action that the role lacks, where that is the reason."""
        return _ACTIONS[self.call] if self.code in _DENIED else None


class SourceQueue(Protocol):
    """Where a mapping's messages come from; each call raises `QueueError`."""

    async def receive(self, most: int, wait: int) -> list[SqsMessage]:
        """Up to `most` (1..10) messages, waiting up to `wait` seconds for the first."""

    async def delete(self, messages: Sequence[SqsMessage]) -> None:
        """Delete messages; those that are gone already count as deleted."""

    async def release(self, messages: Sequence[SqsMessage]) -> None:
        """Let others receive messages at once; nothing was done about them."""


@dataclass(frozen=True, slots=True)
class QueueAddress:
    """A queue's URL, ARN and region; visibility timeout in seconds."""

    name: str
    url: str
    arn: str
    region: str
    visibility_timeout: int


class RoleQueue:
    """The queue through the clients of `function`'s role; they are opened anew when the credentials are renewed."""

    def __init__(
        self,
        function: str,
        address: QueueAddress,
        credentials: CredentialsCache,
        aws: AwsSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._function = function
        self._address = address
        self._credentials = credentials
        self._aws = aws
        self._clock = clock
        self._keys: object = None
        self._client: Any = None
        self._open = AsyncExitStack()
        self._former = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._former.aclose()
        await self._open.aclose()

    async def receive(self, most: int, wait: int) -> list[SqsMessage]:
        """Up to `most` (1..10) messages, waiting up to `wait` seconds for the first.

        Raises:
            QueueError: SQS refuses, or cannot be reached.
        """
        answer = await self._call(
            "receive",
            "receive_message",
            MaxNumberOfMessages=most,
            WaitTimeSeconds=wait,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        now = self._clock()
        return [
            message_of(message, queue_arn=self._address.arn, region=self._address.region, now=now)
            for message in answer.get("Messages", [])
        ]

    async def delete(self, messages: Sequence[SqsMessage]) -> None:
        """Delete messages, ten a call; those that are gone already count as deleted.

        Raises:
            QueueError: SQS refuses, or cannot be reached; the other calls have been made.
        """
        errors: list[QueueError] = []
        for start in range(0, len(messages), _BATCH_MOST):
            try:
                await self._delete(messages[start : start + _BATCH_MOST])
            except QueueError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    async def _delete(self, messages: Sequence[SqsMessage]) -> None:
        entries = [{"Id": str(index), "ReceiptHandle": m.receipt_handle} for index, m in enumerate(messages)]
        try:
            answer = await self._call("delete", "delete_message_batch", Entries=entries)
        except QueueError as error:
            if error.code in _GONE:
                return
            raise
        for failed in answer.get("Failed", []):
            if failed["Code"] not in _GONE:
                raise QueueError("delete", failed["Code"], failed.get("Message", ""))

    async def release(self, messages: Sequence[SqsMessage]) -> None:
        """Let others receive messages at once, ten a call.

        Raises:
            QueueError: SQS refuses, or cannot be reached.
        """
        for start in range(0, len(messages), _BATCH_MOST):
            entries = [
                {"Id": str(index), "ReceiptHandle": m.receipt_handle, "VisibilityTimeout": 0}
                for index, m in enumerate(messages[start : start + _BATCH_MOST])
            ]
            await self._call("release", "change_message_visibility_batch", Entries=entries)

    async def _call(self, call: str, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            client = await self._current()
            answer: dict[str, Any] = await getattr(client, operation)(QueueUrl=self._address.url, **arguments)
        except ClientError as error:
            fault: Any = error.response.get("Error", {})
            raise QueueError(call, fault.get("Code", "Unknown"), fault.get("Message", "")) from error
        except (BotoCoreError, CredentialsError, OSError) as error:
            raise QueueError(call, type(error).__name__, str(error)) from error
        return answer

    async def _current(self) -> Any:
        """A client with valid credentials; the former one stays open for the calls that still use it."""
        lease = await self._credentials.get(self._function)
        if lease is not self._keys:
            clients = Clients(self._aws, lease.keys)
            client = await clients.open("sqs")
            await self._former.aclose()
            self._former, self._open = self._open, AsyncExitStack()
            self._open.push_async_exit(clients)
            self._client, self._keys = client, lease
        return self._client
