"""What routes depend on: the stores behind them, and who calls.

The stores are opened once a process and given to each request as state. Who calls is what the authorizer told the
gateway, and nothing that the caller can write.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from shoebox.aws.clients import Clients
from shoebox.aws.credentials import Credentials
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.config import ApiSettings, AwsSettings, Limits
from shoebox.errors import Forbidden, Unauthorized
from shoebox.files.deletions import DeletionQueue
from shoebox.files.dynamodb import DynamoDBFileStore
from shoebox.files.links import LinkLifetimes, Links
from shoebox.files.model import Owner
from shoebox.files.pictures import PictureStore
from shoebox.files.s3 import open_pictures
from shoebox.files.sqs import SqsDeletionQueue
from shoebox.files.store import FileStore
from shoebox.identifiers import TENANT, USER


@dataclass(frozen=True, slots=True)
class Services:
    """Everything behind the routes; `now` gives the time in UTC."""

    settings: ApiSettings
    limits: Limits
    files: FileStore
    pictures: PictureStore
    deletions: DeletionQueue
    now: Callable[[], datetime]


@asynccontextmanager
async def open_services(
    aws: AwsSettings,
    settings: ApiSettings,
    limits: Limits,
    *,
    credentials: Credentials | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[Services]:
    """Open the AWS clients, and close them at the end. Without `credentials` they come from the environment."""
    async with (
        Clients(aws, credentials) as clients,
        DynamoDBClient.open(aws, clients.credentials) as dynamodb,
        open_pictures(
            aws,
            clients,
            settings.personal_bucket,
            s3_url=settings.s3_url,
            s3_public_url=settings.s3_public_url,
            lifetimes=LinkLifetimes(settings.upload_seconds, settings.download_seconds),
        ) as pictures,
    ):
        sqs = clients.when_needed("sqs")
        await sqs()  # now, while the function starts, and not in somebody's request
        await pictures.open_client()
        yield Services(
            settings=settings,
            limits=limits,
            files=DynamoDBFileStore(
                dynamodb, settings.files_table, registration_seconds=settings.registration_seconds, now=now
            ),
            pictures=pictures,
            deletions=SqsDeletionQueue(sqs, settings.deletions_queue_url, ingest_seconds=settings.ingest_seconds),
            now=now,
        )


async def _services(request: Request) -> Services:
    services: Services = request.state.services
    return services


async def _links(request: Request) -> Links:
    services = await _services(request)
    return await services.pictures.links(services.now())


@dataclass(frozen=True, slots=True)
class Caller:
    """The user that a request speaks for, with what its token allows."""

    owner: Owner
    scopes: frozenset[str]

    @property
    def may_read(self) -> bool:
        """Whether responses to this caller may show files: what was found out about them, and links to their bytes."""
        return "files:read" in self.scopes


class RequireScope(SecurityBase):
    """A route's dependency: a caller whose token has `scope`.

    The gateway keeps an authorizer's response for minutes, so a token's end is looked at again here.

    Raises:
        Unauthorized: token_missing without an authorizer's context, token_expired when the token's time has run out.
        Forbidden: scope_missing.
    """

    def __init__(self, scope: str) -> None:
        self._scope = scope
        self.scheme_name = "token"
        self.model = HTTPBearer(
            bearerFormat="JWT", description="Signed by the shop with its own key: docs/reference/tokens.md."
        )

    async def __call__(self, request: Request) -> Caller:
        """Return the caller of `request`."""
        services: Services = request.state.services
        context = (request.scope.get("aws.event") or {}).get("requestContext") or {}
        caller = read_caller(context.get("authorizer") or {}, now=services.now().timestamp())
        if self._scope not in caller.scopes:
            raise Forbidden(f"The token lacks the scope {self._scope}.")
        return caller


def read_caller(authorizer: Mapping[str, Any], *, now: float) -> Caller:
    """Return the caller that an authorizer's context describes, at `now` in epoch seconds.

    Raises:
        Unauthorized: it describes none, or one whose token has ended.
    """
    values = [authorizer.get(name) for name in ("tenant", "user", "expires_at", "scope")]
    tenant, user, ends, scope = [value if isinstance(value, str) else "" for value in values]
    if not TENANT.fullmatch(tenant) or not USER.fullmatch(user) or not ends.isdecimal():
        raise Unauthorized("Send a token: Authorization: Bearer <JWT>.", code="token_missing")
    if int(ends) <= now:
        raise Unauthorized("The token has expired; ask the shop for a new one.", code="token_expired")
    return Caller(Owner(tenant, user), frozenset(scope.split()))


ServicesOf = Annotated[Services, Depends(_services)]
LinksOf = Annotated[Links, Depends(_links)]
Reader = Annotated[Caller, Security(RequireScope("files:read"), scopes=["files:read"])]
Writer = Annotated[Caller, Security(RequireScope("files:write"), scopes=["files:write"])]
