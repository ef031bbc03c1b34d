"""What the routes work with: ports, settings and the clock; opened once a process, given to each request as state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Request

from api.links import Links
from shoebox.aws.clients import Clients
from shoebox.aws.credentials import Credentials
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.aws.signing import Presigner
from shoebox.config import AwsSettings, FunctionSettings, Limits
from shoebox.files.deletions import Deletions
from shoebox.files.pictures import Pictures
from shoebox.files.table import FilesTable


@dataclass(frozen=True, slots=True)
class Services:
    """Everything behind the routes; `now` gives the time in UTC."""

    settings: FunctionSettings
    limits: Limits
    files: FilesTable
    pictures: Pictures
    deletions: Deletions
    clients: Clients
    region: str
    now: Callable[[], datetime]

    async def links(self) -> Links:
        """What signs URLs at this moment; the credentials may be renewed while the process lives."""
        credentials = await self.clients.credentials()
        presigner = Presigner(credentials, region=self.region, endpoint_url=self.settings.s3_public_url)
        return Links(presigner, self.settings, at=self.now())


@asynccontextmanager
async def open_services(
    aws: AwsSettings,
    settings: FunctionSettings,
    limits: Limits,
    *,
    credentials: Credentials | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[Services]:
    """Open the AWS clients, and close them at the end. Without `credentials` they come from the environment."""
    async with Clients(aws, credentials) as clients, DynamoDBClient.open(aws, clients.credentials) as dynamodb:
        sqs = clients.when_needed("sqs")
        await sqs()  # now, while the function starts, and not in somebody's request
        files = FilesTable(
            dynamodb,
            settings.files_table,
            registration_seconds=settings.registration_seconds,
            now=now,
        )
        yield Services(
            settings=settings,
            limits=limits,
            files=files,
            pictures=Pictures(await clients.open("s3"), settings.personal_bucket),
            deletions=Deletions(sqs, settings.deletions_queue_url),
            clients=clients,
            region=aws.region,
            now=now,
        )


async def _services(request: Request) -> Services:
    services: Services = request.state.services
    return services


async def _links(request: Request) -> Links:
    return await (await _services(request)).links()


ServicesOf = Annotated[Services, Depends(_services)]
LinksOf = Annotated[Links, Depends(_links)]
