"""/healthz: whether the API works, and if not, which dependency fails.

Each dependency is asked for something that is not there, with the calls and the permissions that the routes use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import datetime, timedelta
from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from api.dependencies import Services
from api.responses import Json
from shoebox.aws.errors import AwsError
from shoebox.errors import ShoeboxError
from shoebox.files.model import FileKey, Generation, Owner
from shoebox.telemetry import get_logger

router = APIRouter(tags=["service"])
_CACHED = timedelta(seconds=2)  # anyone may ask, without a token, and each check costs two calls of AWS
_TIMEOUT = 2.0
_MISSING_FILE = FileKey(Owner("health", "check"), "f" + "a" * 32)
_log = get_logger()


class Dependencies(BaseModel):
    """Whether each part behind the API responds."""

    files_table: Literal["ok", "failed"]
    personal_bucket: Literal["ok", "failed"]


class Health(BaseModel):
    """The state of the API: `ok` when every dependency is."""

    status: Literal["ok", "failed"]
    dependencies: Dependencies


class HealthCheck:
    """Calls the dependencies, at most once in two seconds; concurrent requests share the result."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = asyncio.Lock()
        self._last: tuple[datetime, Health] | None = None

    async def run(self) -> Health:
        """Return the health, two seconds old at most."""
        async with self._lock:
            now = self._services.now()
            if self._last is None or now - self._last[0] >= _CACHED:
                self._last = (now, await self._check())
            return self._last[1]

    async def _check(self) -> Health:
        table, bucket = await asyncio.gather(
            _works("files_table", self._services.files.get(_MISSING_FILE)),
            _works("personal_bucket", self._services.pictures.parts(Generation(_MISSING_FILE, ""), "health-check")),
        )
        dependencies = Dependencies(files_table=table, personal_bucket=bucket)
        status: Literal["ok", "failed"] = "ok" if table == bucket == "ok" else "failed"
        return Health(status=status, dependencies=dependencies)


@router.get("/healthz", response_model=Health, responses={503: {"model": Health, "description": "Not all is well."}})
async def show_health(request: Request) -> Response:
    """Show whether the API works; no token is needed."""
    health = await request.state.health.run()
    return Json(health, 200 if health.status == "ok" else 503)


async def _works(name: str, call: Awaitable[object]) -> Literal["ok", "failed"]:
    try:
        async with asyncio.timeout(_TIMEOUT):
            await call
    except (AwsError, ShoeboxError, TimeoutError) as error:
        _log.error("dependency_failed", dependency=name, error=f"{type(error).__name__}: {error}")
        return "failed"
    return "ok"
