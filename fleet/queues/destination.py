"""An on-failure destination: the queue that takes the records of asynchronous events that were given up."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from fleet.credentials import CredentialsCache, CredentialsError
from shoebox.aws.clients import Clients
from shoebox.config import AwsSettings


class DeliveryError(Exception):
    """A record could not be sent; the message says why."""


class QueueDestination:
    """Sends records to the queue at `url` with `function`'s role, as Lambda does; events are given up seldom."""

    def __init__(self, function: str, url: str, credentials: CredentialsCache, aws: AwsSettings) -> None:
        self._function = function
        self._url = url
        self._credentials = credentials
        self._aws = aws

    async def __call__(self, record: bytes) -> None:
        """Send one record.

        Raises:
            DeliveryError: the role may not, or SQS cannot be reached.
        """
        try:
            lease = await self._credentials.get(self._function)
            async with Clients(self._aws, lease.keys) as clients:
                sqs = await clients.open("sqs")
                await sqs.send_message(QueueUrl=self._url, MessageBody=record.decode())
        except (BotoCoreError, ClientError, CredentialsError, OSError) as error:
            raise DeliveryError(f"{type(error).__name__}: {error}") from error
