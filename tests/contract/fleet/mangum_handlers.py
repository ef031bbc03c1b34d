"""A FastAPI application behind Mangum, as for AWS."""

# ruff: noqa: T201  # what a function prints is what its test looks for

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from mangum import Mangum


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
    """Start and end with every invocation, as Mangum has it."""
    print("application starts")
    yield {"opened": "yes"}
    print("application ends")


app = FastAPI(lifespan=lifespan)


@app.get("/photos/{name:path}")
async def show(name: str, request: Request, response: Response, tag: str = "") -> dict[str, Any]:
    """Return what the request has, and where it runs."""
    await asyncio.sleep(0)
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return {
        "name": name,
        "tag": tag,
        "cookies": request.cookies,
        "state": request.state.opened,
        "function": request.scope["aws.context"].function_name,
        "main": threading.current_thread() is threading.main_thread(),
    }


@app.put("/pictures")
async def turn(request: Request) -> Response:
    """Return the body, backwards."""
    return Response((await request.body())[::-1], media_type="image/png")


handler = Mangum(app)
