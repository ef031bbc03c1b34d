"""The API asked as API Gateway asks it, by proxy events; on the stores in memory or on an emulator's."""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import httpx

from api.app import build_app
from api.dependencies import Services
from shoebox.config import ApiSettings
from shoebox.files.memory import LinkResponse
from shoebox.files.model import FileKey, Generation, Owner, Picture, RenditionInfo
from shoebox.files.pictures import Original, PictureStore
from shoebox.files.store import Stages
from workers.runtime.asgi import AsgiHandler, asgi_handler
from workers.runtime.context import Context

PART = 5 * 1024 * 1024
SETTINGS = ApiSettings(
    files_table="files",
    personal_bucket="personal",
    deletions_queue_url="",
    s3_url="https://s3.example.test",
    s3_public_url="https://s3.example.test/base",
)
PICTURE = Picture(
    width=4032,
    height=3024,
    placeholder="1QcSHQRnh493V4dIh4eXh1h4kJUI",
    renditions=(RenditionInfo("2048", 2048, 1536, 401), RenditionInfo("320", 320, 240, 21)),
    metadata={"captured_at": "2024-07-05T10:11:12", "captured_at_source": "EXIF:CreateDate", "camera_make": "Shoebox"},
    warnings=("icc_profile_broken",),
)


class Clock:
    """The real time, but for what a test adds to it."""

    def __init__(self) -> None:
        self.later = timedelta()

    def __call__(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC) + self.later


class Gateway(httpx.AsyncBaseTransport):
    """Sends requests as proxy events (payload version 1.0) to a handler, with an authorizer's context or none."""

    def __init__(self, handler: AsgiHandler, authorizer: dict[str, str] | None) -> None:
        self._handler = handler
        self._authorizer = authorizer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make an event of a request, and a response of what the handler returns."""
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
        returned = await self._handler(event, Context(aws_request_id=str(uuid.uuid4())))
        content = base64.b64decode(returned["body"]) if returned["isBase64Encoded"] else returned["body"].encode()
        sent = [(name, value) for name, values in returned["multiValueHeaders"].items() for value in values]
        return httpx.Response(returned["statusCode"], headers=sent, content=content, request=request)


Send = Callable[[str, str, bytes, dict[str, str]], Awaitable[LinkResponse]]


@dataclass
class Bench:
    """The API with what stands behind it, and a user whom no other test knows.

    `send` does what a client does with a link: method, URL, body and headers. `eyes` looks at what is stored with all
    rights, which the API's own role has not.
    """

    handler: AsgiHandler
    services: Services
    clock: Clock
    send: Send
    eyes: PictureStore
    owner: Owner = field(default_factory=lambda: Owner("demo", f"anna{uuid.uuid4().hex[:12]}"))

    def client(self, owner: Owner | None = None, *, scope: str = "files:read files:write") -> httpx.AsyncClient:
        """Return a client of `owner`, or of the bench's own user, whom the authorizer let in with `scope`."""
        owner = owner or self.owner
        context = {
            "tenant": owner.tenant,
            "user": owner.user,
            "scope": scope,
            "expires_at": str(int(time.time()) + 600),
        }
        return self.client_with(context)

    def client_with(self, authorizer: dict[str, str] | None) -> httpx.AsyncClient:
        """Return a client of whom the authorizer said this."""
        return httpx.AsyncClient(transport=Gateway(self.handler, authorizer), base_url="https://api.test")

    async def register(self, data: bytes = b"picture", **given: Any) -> dict[str, Any]:
        """Register one file; return its entry in the response."""
        response = await self.client().post("/v1/files", json={"files": [entry(data, **given)]})
        assert response.status_code == 200
        found: dict[str, Any] = response.json()["files"][0]
        return found

    async def put(self, link: dict[str, Any], data: bytes, **headers: str | None) -> int:
        """Send bytes by a presigned link; return the status.

        `headers` replace those of the link, None leaves one out.
        """
        asked = {name: value for name, value in link["headers"].items() if name != "content-length"}
        asked |= {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {name: value for name, value in asked.items() if value is not None}
        return (await self.send(link["method"], link["url"], data, sent)).status

    async def get(self, url: str) -> LinkResponse:
        """Get what a presigned URL leads to."""
        return await self.send("GET", url, b"", {})

    async def generation(self, file_id: str) -> Generation:
        """Return the generation of the bench's own file."""
        key = FileKey(self.owner, file_id)
        return (await self.services.files.states([key]))[key].generation

    async def stored(self, file_id: str) -> bytes | None:
        """Return the bytes that are stored of the bench's own file."""
        original = await self.original(file_id)
        return original.data if original else None

    async def original(self, file_id: str) -> Original | None:
        """Return the original of the bench's own file."""
        return await self.eyes.fetch(await self.generation(file_id), max_bytes=100 * 2**20)

    async def finish(self, file_id: str, picture: Picture | None = None) -> Generation:
        """Make a registered file READY as ingest would, or REJECTED without a picture."""
        generation, stages = await self.generation(file_id), Stages(self.clock(), self.clock())
        files = self.services.files
        if picture:
            assert await files.mark_ready(generation, picture, stages)
        else:
            assert await files.mark_rejected(generation, "corrupt", "It cannot be decoded.", stages)
        return generation


def entry(data: bytes = b"picture", **given: Any) -> dict[str, Any]:
    """Return a good entry of a registration of `data`, but for what is given."""
    good = {
        "name": "beach.jpg",
        "size": len(data),
        "content_type": "image/jpeg",
        "sha256": sha256(data).hexdigest(),
    }
    return {**good, **given}


@asynccontextmanager
async def serving(services: Services) -> AsyncIterator[AsgiHandler]:
    """Open the API's handler with these services, its lifespan with it."""

    @asynccontextmanager
    async def given() -> AsyncIterator[Services]:
        yield services

    handler = asgi_handler(build_app(given))
    async with handler.lifespan():
        yield handler
