"""How a slot calls the handler: on the loop if it is async, else in a thread.

That is the slot's own thread, or the main one where the process has one slot (`workers.runtime.main_thread`).
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

from workers.runtime.context import Context, current_context
from workers.runtime.lifespan import LifespanHandler
from workers.runtime.loader import Handler
from workers.runtime.main_thread import MainThread


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


def is_synchronous(handler: Handler) -> bool:
    """Whether calling `handler` may block."""
    return not (is_async(handler) or is_generator(handler))


def caller_for(handler: Handler, main_thread: MainThread | None = None) -> Callable[[], Caller]:
    """Makes one caller for each slot; a synchronous handler of a lone slot runs in `main_thread`."""
    if is_generator(handler):
        return partial(GeneratorCaller, handler)
    if is_async(handler):
        return partial(LoopCaller, handler)
    if main_thread is not None:
        return partial(MainThreadCaller, handler, main_thread)
    return partial(ThreadCaller, handler)


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
        return await _result(self._thread, partial(in_context.run, _call, self._handler, event, context))

    def replace(self) -> None:
        """Leave the thread to its endless call, and take a new one."""
        self._thread.shutdown(wait=False)
        self._thread = _new_thread()

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False)


class MainThreadCaller:
    """Runs a sync handler in the main thread, whose context variables last from one invocation to the next."""

    def __init__(self, handler: Handler, main_thread: MainThread) -> None:
        self._handler = handler
        self._main_thread = main_thread

    async def __call__(self, event: Any, context: Context) -> Any:
        """The handler's answer, or what it raises. An awaitable answer is awaited, on the runtime's loop."""
        return await _result(self._main_thread, partial(self._call, event, context))

    def replace(self) -> None:
        """Nothing to do: the process ends with its only slot's leak."""

    def close(self) -> None:
        """Nothing to do."""

    def _call(self, event: Any, context: Context) -> tuple[Any, BaseException | None]:
        token = current_context.set(context)
        try:
            return _call(self._handler, event, context)
        finally:
            current_context.reset(token)


def _new_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="handler")


def _call(handler: Handler, event: Any, context: Context) -> tuple[Any, BaseException | None]:
    """An exception as value: futures refuse some, such as StopIteration, and let SystemExit through the loop."""
    try:
        return handler(event, context), None
    except BaseException as error:  # noqa: BLE001  # raised again in the invocation's own task
        return None, error


async def _result(thread: Executor, call: Callable[[], tuple[Any, BaseException | None]]) -> Any:
    answer, error = await _to_the_end(asyncio.get_running_loop().run_in_executor(thread, call))
    if error is not None:
        raise error
    return await answer if inspect.isawaitable(answer) else answer


async def _to_the_end(running: asyncio.Future[tuple[Any, BaseException | None]]) -> tuple[Any, BaseException | None]:
    while not running.done():
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            continue
    return running.result()
