# ruff: noqa: T201  # what a function prints is what its test waits for
"""Functions that the tests start in real processes, under this runtime and under AWS's."""

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from workers.runtime.asgi import Receive, Scope, Send, asgi_handler
from workers.runtime.context import Context
from workers.runtime.lifespan import with_lifespan
from workers.runtime.streaming import StreamingResponse


def echo(event: Any, context: Context) -> Any:
    """Return the event."""
    return event


def in_bytes(event: Any, context: Context) -> Any:
    """No JSON, but bytes."""
    return b"\xff\x00"


def fails(event: Any, context: Context) -> Any:
    """Raise an error."""
    raise LookupError(event)


def no_json(event: Any, context: Context) -> Any:
    """Neither JSON nor bytes."""
    return {1}


def describe(event: Any, context: Context) -> Any:
    """All of the context."""
    client = context.client_context
    return {
        "request_id": context.aws_request_id,
        "arn": context.invoked_function_arn,
        "name": context.function_name,
        "version": context.function_version,
        "memory": str(context.memory_limit_in_mb),
        "log_group": context.log_group_name,
        "log_stream": context.log_stream_name,
        "tenant": context.tenant_id,
        "seconds": context.get_remaining_time_in_millis() // 10_000,
        "custom": client and client.custom,
        "app": client and client.client and client.client.app_title,
        "identity": context.identity.cognito_identity_id,
    }


def leave(event: Any, context: Context) -> Any:
    """End the process."""
    sys.exit(3)


async def wait(event: Any, context: Context) -> Any:
    """Return the event, some time later."""
    if event == "wait":
        print("waiting", flush=True)
        await asyncio.sleep(0.3)
    return event


async def leave_in_a_task(event: Any, context: Context) -> Any:
    """End the process from a task."""

    async def leave() -> None:
        sys.exit(0)

    await asyncio.create_task(leave())


async def log(event: Any, context: Context) -> Any:
    """Lines of both kinds."""
    logging.getLogger("app").info("hello", extra={"photo": 7})
    print("printed")
    return {
        "trace": context.trace_id,
        "environment": os.environ.get("_X_AMZN_TRACE_ID"),
        "loop": type(asyncio.get_running_loop()).__module__,
    }


def stuck(event: Any, context: Context) -> Any:
    """Never return."""
    print("stuck", flush=True)
    while True:
        time.sleep(60)


async def stuck_shielded(event: Any, context: Context) -> Any:
    """Ignore the cancellation."""
    print("stuck", flush=True)
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue


async def stuck_in_a_thread(event: Any, context: Context) -> Any:
    """Start a thread that never ends."""
    await asyncio.to_thread(threading.Event().wait)


@asynccontextmanager
async def open_resource() -> AsyncIterator[str]:
    """Open and close."""
    print("opened", flush=True)
    yield "resource"
    print("closed", flush=True)


@with_lifespan(open_resource)
async def with_resource(event: Any, context: Context, resource: str | None) -> Any:
    """Its resource."""
    return resource


@asynccontextmanager
async def open_nothing() -> AsyncIterator[None]:
    """Fails to open."""
    raise OSError("no such table")
    yield


@with_lifespan(open_nothing)
async def without_resource(event: Any, context: Context, resource: str | None) -> Any:
    """Never called."""
    return None


@asynccontextmanager
async def open_for_ever() -> AsyncIterator[None]:
    """Never opens."""
    try:
        print("opening", flush=True)
        await asyncio.Event().wait()
        yield
    finally:
        print("given up", flush=True)


@with_lifespan(open_for_ever)
async def never_ready(event: Any, context: Context, resource: str | None) -> Any:
    """Never called."""
    return None


@asynccontextmanager
async def close_badly() -> AsyncIterator[None]:
    """Fails to close."""
    yield
    raise OSError("cannot close")


@with_lifespan(close_badly)
async def closes_badly(event: Any, context: Context, resource: str | None) -> Any:
    """Nothing."""
    return None


async def web_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve as a bare ASGI application."""
    if scope["type"] == "lifespan":
        while True:
            phase = (await receive())["type"]
            print(phase, flush=True)
            await send({"type": f"{phase}.complete"})
            if phase == "lifespan.shutdown":
                return
    await send({"type": "http.response.start", "status": 201, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


web = asgi_handler(web_app)


async def where(event: Any, context: Context) -> Any:
    """Describe the process; or end it, or wait in it."""
    if event == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if event == "exit":
        sys.exit(3)
    if event == "wait":
        print(f"waiting in {os.getpid()}", flush=True)
        await asyncio.sleep(60)
    return {"pid": os.getpid(), "parent": os.getppid(), "slots": os.environ["AWS_LAMBDA_MAX_CONCURRENCY"]}


async def busy(event: Any, context: Context) -> Any:
    """Describe the process, after work that keeps its loop."""
    until = time.perf_counter() + event
    while time.perf_counter() < until:
        pass
    return os.getpid()


async def stream_page(event: Any, context: Context) -> StreamingResponse:
    """Return an HTTP response in parts."""

    async def body() -> AsyncIterator[str]:
        yield "<p>"
        yield "hi"

    return StreamingResponse.http(body(), 201, {"Content-Type": "text/html"}, ["a=1"])


streaming_web = asgi_handler(web_app, streaming=True)
