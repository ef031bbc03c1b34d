"""The HTTP API: an ASGI application, and the function that runs it behind API Gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI

from api import docs, health, openapi, pages, problems
from api.dependencies import Services, open_services
from api.edge import Edge
from api.files import multipart, routes
from api.health import HealthCheck
from api.responses import COMPRESSION_LEVEL, MIN_COMPRESSED, Compression
from shoebox.config import ApiSettings, AwsSettings, Limits
from shoebox.telemetry import configure_logging
from workers.runtime.asgi import asgi_handler

VERSION = "1"


def build_app(opener: Callable[[], AbstractAsyncContextManager[Services]]) -> FastAPI:
    """Return the application; `opener` opens what its routes work with, once, at its start."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with opener() as services:
            yield {"services": services, "health": HealthCheck(services)}

    app = FastAPI(
        title="Shoebox",
        version=VERSION,
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    routers = [part.router for part in (routes, multipart, health, openapi, docs, pages)]
    for router in routers:
        app.include_router(router)
    problems.add_handlers(app, [route for router in routers for route in router.routes])
    # BREACH, which learns a secret from the sizes of compressed responses, needs a victim's browser that sends requests
    # of the attacker's making with the victim's rights; the token is in no cookie, so no other site's page can send it.
    app.add_middleware(Compression, minimum_size=MIN_COMPRESSED, compresslevel=COMPRESSION_LEVEL)
    app.add_middleware(Edge)
    return app


@asynccontextmanager
async def open_from_environment() -> AsyncIterator[Services]:
    """Open what the function works with: settings of stack.yaml, credentials of its role."""
    configure_logging()
    aws, settings = AwsSettings.from_environment(), ApiSettings.from_environment()
    async with open_services(aws, settings, Limits.from_environment()) as services:
        yield services


app = build_app(open_from_environment)
handler = asgi_handler(app)
