"""The API on the emulator, with its own role, asked as API Gateway asks it: by proxy events."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import aiohttp
import httpx
import pytest
import pytest_asyncio

from api.app import build_app
from api.services import Services, open_services
from emulator.embedded import ROOT_CREDENTIALS
from emulator.provision import RoleSource
from shoebox.aws.clients import Clients
from shoebox.aws.credentials import Credentials, fixed_credentials
from shoebox.aws.s3 import open_s3
from shoebox.config import FunctionSettings, Limits
from shoebox.files.model import FileKey, Generation, Owner, Picture, RenditionInfo
from shoebox.files.pictures import Original, PhotoBytes
from shoebox.files.table import Stages
from shoebox.stack.deployment import ResolvedStack
from tests.emulator.conftest import EmulatorAt
from workers.runtime.asgi import AsgiHandler, asgi_handler
from workers.runtime.context import Context

PART = 5 * 1024 * 1024


class Clock:
    """The real time, but for what a test adds to it."""

    def __init__(self) -> None:
        self.later = timedelta()

    def __call__(self) -> datetime:
        """The time in UTC."""
        return datetime.now(UTC) + self.later


class Gateway(httpx.AsyncBaseTransport):
    """Sends requests as proxy events (payload version 1.0) to a handler, with an authorizer's context or none."""

    def __init__(self, handler: AsgiHandler, authorizer: dict[str, str] | None) -> None:
        self._handler = handler
        self._authorizer = authorizer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request, one event, one answer."""
        body = await request.aread()
        query: dict[str, list[str]] = {}
        for name, value in request.url.params.multi_items():
            query.setdefault(name, []).append(value)
        headers: dict[str, list[str]] = {}
        for name, value in request.headers.multi_items():
            headers.setdefault(name, []).append(value)
        context = {"requestId": str(uuid.uuid4()), **({"authorizer": self._authorizer} if self._authorizer else {})}
        event = {
            "httpMethod": request.method,
            "path": request.url.raw_path.partition(b"?")[0].decode(),
            "multiValueHeaders": headers,
            "multiValueQueryStringParameters": query or None,
            "requestContext": context,
            "body": base64.b64encode(body).decode() if body else None,
            "isBase64Encoded": bool(body),
        }
        answer = await self._handler(event, Context(aws_request_id=str(uuid.uuid4())))
        content = base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"].encode()
        sent = [(name, value) for name, values in answer["multiValueHeaders"].items() for value in values]
        return httpx.Response(answer["statusCode"], headers=sent, content=content, request=request)


@dataclass
class Bench:
    """The API with what stands behind it, and a user whom no other test knows."""

    handler: AsgiHandler
    services: Services
    clock: Clock
    http: aiohttp.ClientSession
    owner: Owner = field(default_factory=lambda: Owner("demo", f"anna{uuid.uuid4().hex[:12]}"))

    def client(self, owner: Owner | None = None, *, scope: str = "files:read files:write") -> httpx.AsyncClient:
        """A client of `owner`, or of the bench's own user, whom the authorizer let in with `scope`."""
        owner = owner or self.owner
        context = {
            "tenant": owner.tenant,
            "user": owner.user,
            "scope": scope,
            "expires_at": str(int(time.time()) + 600),
        }
        return self.client_with(context)

    def client_with(self, authorizer: dict[str, str] | None) -> httpx.AsyncClient:
        """A client of whom the authorizer said this."""
        return httpx.AsyncClient(transport=Gateway(self.handler, authorizer), base_url="https://api.test")

    async def register(self, data: bytes = b"picture", **given: Any) -> dict[str, Any]:
        """Register one file; its entry in the answer."""
        answer = await self.client().post("/v1/files", json={"files": [entry(data, **given)]})
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()["files"][0]
        return found

    async def put(self, link: dict[str, Any], data: bytes, **headers: str | None) -> int:
        """Send bytes by a presigned URL; the status. `headers` replace those of the link, None leaves one out."""
        asked = {name: value for name, value in link["headers"].items() if name != "content-length"}
        asked |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in asked.items() if value is not None}
        skip = {"content-type"} if "content-type" not in sent else set()
        async with self.http.request(
            link["method"], link["url"], data=data, headers=sent, skip_auto_headers=skip
        ) as answer:
            return answer.status

    async def generation(self, file_id: str) -> Generation:
        """The generation of the bench's own file."""
        key = FileKey(self.owner, file_id)
        return (await self.services.files.states([key]))[key].generation

    async def stored(self, file_id: str) -> bytes | None:
        """The bytes that S3 has of the bench's own file."""
        original = await self.original(file_id)
        return original.data if original else None

    async def original(self, file_id: str) -> Original | None:
        """The original that S3 has of the bench's own file; with root's eyes, as the API may not list the bucket."""
        generation = await self.generation(file_id)
        settings, root = self.services.settings, fixed_credentials(ROOT_CREDENTIALS)
        region, bucket = self.services.region, settings.personal_bucket
        async with open_s3(settings.s3_url, root, region=region, bucket=bucket) as s3:
            return await PhotoBytes(s3).fetch(generation, max_bytes=100 * 2**20)

    async def finish(self, file_id: str, picture: Picture | None = None) -> Generation:
        """Make a registered file READY as ingest would, or REJECTED without a picture."""
        generation, stages = await self.generation(file_id), Stages(self.clock(), self.clock())
        files = self.services.files
        if picture:
            assert await files.mark_ready(generation, picture, stages)
        else:
            assert await files.mark_rejected(generation, "corrupt", "It cannot be decoded.", stages)
        return generation


PICTURE = Picture(
    width=4032,
    height=3024,
    placeholder="1QcSHQRnh493V4dIh4eXh1h4kJUI",
    renditions=(RenditionInfo("2048", 2048, 1536, 401), RenditionInfo("320", 320, 240, 21)),
    metadata={"captured_at": "2024-07-05T10:11:12", "captured_at_source": "EXIF:CreateDate", "camera_make": "Shoebox"},
    warnings=("icc_profile_broken",),
)


def entry(data: bytes = b"picture", **given: Any) -> dict[str, Any]:
    """A good entry of a registration of `data`, but for what is given."""
    good = {
        "name": "beach.jpg",
        "size": len(data),
        "content_type": "image/jpeg",
        "sha256": sha256(data).hexdigest(),
    }
    return {**good, **given}


@asynccontextmanager
async def serving(
    emulator: EmulatorAt, role: Credentials, settings: FunctionSettings, clock: Clock
) -> AsyncIterator[tuple[AsgiHandler, Services]]:
    """The API with some settings, its lifespan open."""
    limits = Limits(part_bytes=PART)
    async with open_services(emulator.aws, settings, limits, credentials=role, now=clock) as services:

        @asynccontextmanager
        async def given() -> AsyncIterator[Services]:
            yield services

        handler = asgi_handler(build_app(given))
        async with handler.lifespan():
            yield handler, services


# Opening AWS clients takes most of a second: they live as long as the session, and so does their loop.


@pytest.fixture(scope="session")
def settings(provisioned: ResolvedStack) -> FunctionSettings:
    """The settings that stack.yaml gives the function `api`."""
    return FunctionSettings.from_environment(provisioned.environment("api"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def root(emulator: EmulatorAt) -> AsyncIterator[Clients]:
    """Clients that may do anything."""
    async with Clients(emulator.aws, ROOT_CREDENTIALS) as clients:
        yield clients


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def role(provisioned: ResolvedStack, root: Clients) -> Credentials:
    """The credentials of the function `api`."""
    return (await RoleSource(provisioned, root)("api")).keys


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def opened(emulator: EmulatorAt, role: Credentials, settings: FunctionSettings) -> AsyncIterator[Bench]:
    """The API as stack.yaml describes it."""
    clock = Clock()
    async with serving(emulator, role, settings, clock) as (handler, services), aiohttp.ClientSession() as http:
        yield Bench(handler, services, clock, http)


@pytest.fixture
def bench(opened: Bench) -> Bench:
    """The API at the real time, and a user whom no other test knows."""
    opened.clock.later = timedelta()
    return Bench(opened.handler, opened.services, opened.clock, opened.http)
