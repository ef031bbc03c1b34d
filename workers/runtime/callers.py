"""How a slot calls the handler: on the loop if it is async, in the slot's own thread if not."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

from workers.runtime.context import Context
from workers.runtime.lifespan import LifespanHandler
from workers.runtime.loader import Handler


class Caller(Protocol):
    """Calls one handler for one slot."""

    async def __call__(self, event: Any, context: Context) -> Any:
        """The handler's answer, or what it raises."""

    def replace(self) -> None:
        """The last call will not end: be ready for the next all the same."""

    def close(self) -> None:
        """No more calls."""


def is_async(handler: Handler) -> bool:
    """Whether calling `handler` gives a coroutine: `async def`, or an object whose `__call__` is."""
    if isinstance(handler, LifespanHandler):
        return handler.is_async
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


def is_generator(handler: Handler) -> bool:
    """Whether calling `handler` gives an async generator: `async def` with `yield`, or such a `__call__`."""
    if isinstance(handler, LifespanHandler):
        return handler.is_generator
    return inspect.isasyncgenfunction(handler) or inspect.isasyncgenfunction(type(handler).__call__)


def caller_for(handler: Handler) -> Callable[[], Caller]:
    """Makes one caller for each slot."""
    if is_generator(handler):
        return partial(GeneratorCaller, handler)
    return partial(LoopCaller if is_async(handler) else ThreadCaller, handler)


class LoopCaller:
    """Awaits an async handler."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, event: Any, context: Context) -> Any:
        """The handler's answer, or what it raises."""
        return await self._handler(event, context)

    def replace(self) -> None:
        """Nothing to do: a coroutine that runs on is not in the way."""

    def close(self) -> None:
        """Nothing to do."""


class GeneratorCaller(LoopCaller):
    """Makes the async generator, which runs while its parts are sent."""

    async def __call__(self, event: Any, context: Context) -> Any:
        """The generator."""
        return self._handler(event, context)


class ThreadCaller:
    """Runs a sync handler in one thread, so that it never blocks the other slots.

    A thread cannot be cancelled: a cancelled call waits on. Whoever tires of that calls `replace`.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._thread = _new_thread()

    async def __call__(self, event: Any, context: Context) -> Any:
        """The handler's answer, or what it raises. An awaitable answer is awaited."""
        in_context = contextvars.copy_context()
        call = partial(in_context.run, _call, self._handler, event, context)
        running = asyncio.get_running_loop().run_in_executor(self._thread, call)
        answer, error = await _to_the_end(running)
        if error is not None:
            raise error
        return await answer if inspect.isawaitable(answer) else answer

    def replace(self) -> None:
        """Leave the thread to its endless call, and take a new one."""
        self._thread.shutdown(wait=False)
        self._thread = _new_thread()

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False)


def _new_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="handler")


def _call(handler: Handler, event: Any, context: Context) -> tuple[Any, BaseException | None]:
    """An exception as value: futures refuse some, such as StopIteration, and let SystemExit through the loop."""
    try:
        return handler(event, context), None
    except BaseException as error:  # noqa: BLE001  # raised again in the invocation's own task
        return None, error


async def _to_the_end(running: asyncio.Future[tuple[Any, BaseException | None]]) -> tuple[Any, BaseException | None]:
    while not running.done():
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            continue
    return running.result()
