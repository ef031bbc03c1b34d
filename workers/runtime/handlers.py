"""The function's handler: loaded by its name, and called by a slot.

An async handler is awaited on the loop. A sync one runs in its slot's own thread, so that it blocks no other slot, or
in the main thread where the environment has one slot (`workers.runtime.main_thread`).
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import inspect
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from types import ModuleType
from typing import Any, Protocol

from workers.runtime.context import Context, current_context
from workers.runtime.errors import (
    BuiltInModuleConflict,
    HandlerNotFound,
    ImportModuleError,
    MalformedHandlerName,
    UserCodeSyntaxError,
)
from workers.runtime.lifespan import LifespanHandler
from workers.runtime.main_thread import MainThread

Handler = Callable[[Any, Any], Any]


def load_handler(name: str, task_root: str | None = None) -> Handler:
    """Import the object that `name`, `package.module.attribute`, stands for; slashes count as dots.

    `task_root` is where the function's code lies; it is searched first. Raises InitFault with AWS's names and messages
    ("Define Lambda function handler in Python"), and whatever else the module raises while it is imported.
    """
    module_name, dot, attribute = name.rpartition(".")
    if not dot or not module_name or not attribute:
        raise MalformedHandlerName(f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)")
    if task_root and task_root not in sys.path:
        sys.path.insert(0, task_root)
    module = _import(module_name)
    try:
        handler = getattr(module, attribute)
    except AttributeError:
        raise HandlerNotFound(f"Handler '{attribute}' missing on module '{module_name}'") from None
    if not callable(handler):
        raise HandlerNotFound(f"Handler '{attribute}' on module '{module_name}' is not callable")
    return handler  # type: ignore[no-any-return]


def _import(name: str) -> ModuleType:
    if name.partition(".")[0] in sys.builtin_module_names:
        raise BuiltInModuleConflict(f"Cannot use built-in module {name} as a handler module")
    try:
        return importlib.import_module(name.replace("/", "."))
    except ImportError as error:
        raise ImportModuleError(f"Unable to import module '{name}': {error}") from error
    except SyntaxError as error:
        where = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise UserCodeSyntaxError(f"Syntax error in module '{name}': {error}", stack=[where]) from error


def is_async(handler: Handler) -> bool:
    """Tell whether calling `handler` gives a coroutine: `async def`, or an object whose `__call__` is."""
    if isinstance(handler, LifespanHandler):
        return handler.is_async
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__)


def is_generator(handler: Handler) -> bool:
    """Tell whether calling `handler` gives an async generator: `async def` with `yield`, or such a `__call__`."""
    if isinstance(handler, LifespanHandler):
        return handler.is_generator
    return inspect.isasyncgenfunction(handler) or inspect.isasyncgenfunction(type(handler).__call__)


def is_synchronous(handler: Handler) -> bool:
    """Tell whether calling `handler` may block."""
    return not (is_async(handler) or is_generator(handler))


class Caller(Protocol):
    """Calls one handler for one slot."""

    async def __call__(self, event: Any, context: Context) -> Any:
        """Return what the handler returns, or raise what it raises."""

    def abandon_call(self) -> None:
        """Prepare for the next call, although the last one has not ended and perhaps never will."""

    def close(self) -> None:
        """Release what the calls needed; no more will come."""


def caller_factory(handler: Handler, main_thread: MainThread | None = None) -> Callable[[], Caller]:
    """Return what makes a slot's caller; a synchronous handler of an only slot runs in `main_thread`."""
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
        """Return what the handler returns, or raise what it raises."""
        return await self._handler(event, context)

    def abandon_call(self) -> None:
        """Do nothing: a coroutine that runs on is not in the way."""

    def close(self) -> None:
        """Do nothing."""


class GeneratorCaller(LoopCaller):
    """Makes the async generator, which runs while its parts are sent."""

    async def __call__(self, event: Any, context: Context) -> Any:
        """Return the generator."""
        return self._handler(event, context)


class ThreadCaller:
    """Runs a sync handler in one thread, so that it never blocks the other slots.

    A thread cannot be cancelled: a cancelled call waits on, until `abandon_call` takes a new thread.
    """

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._thread = self._new_thread()

    async def __call__(self, event: Any, context: Context) -> Any:
        """Return what the handler returns, or raise what it raises. An awaitable result is awaited."""
        in_context = contextvars.copy_context()
        return await _call_in(self._thread, partial(in_context.run, _call, self._handler, event, context))

    def abandon_call(self) -> None:
        """Leave the thread to the call that does not end, and take a new one."""
        self._thread.shutdown(wait=False)
        self._thread = self._new_thread()

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False)

    def _new_thread(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="handler")


class MainThreadCaller:
    """Runs a sync handler in the main thread, whose context variables last from one invocation to the next."""

    def __init__(self, handler: Handler, main_thread: MainThread) -> None:
        self._handler = handler
        self._main_thread = main_thread

    async def __call__(self, event: Any, context: Context) -> Any:
        """Return what the handler returns, or raise what it raises. An awaitable is awaited, on the runtime's loop."""
        return await _call_in(self._main_thread, partial(self._call, event, context))

    def abandon_call(self) -> None:
        """Do nothing: the process ends with its only slot's leak."""

    def close(self) -> None:
        """Do nothing."""

    def _call(self, event: Any, context: Context) -> tuple[Any, BaseException | None]:
        # Not in a copy of the loop thread's context, as ThreadCaller: AWS's runtime keeps what handlers set.
        token = current_context.set(context)
        try:
            return _call(self._handler, event, context)
        finally:
            current_context.reset(token)


def _call(handler: Handler, event: Any, context: Context) -> tuple[Any, BaseException | None]:
    """Return an exception as a value: futures refuse some, such as StopIteration, and SystemExit would end the loop."""
    try:
        return handler(event, context), None
    except BaseException as error:  # noqa: BLE001  # raised again in the invocation's own task
        return None, error


async def _call_in(thread: Executor, call: Callable[[], tuple[Any, BaseException | None]]) -> Any:
    running = asyncio.get_running_loop().run_in_executor(thread, call)
    while not running.done():
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            continue  # the thread goes on, and what it returns in the rest of its time still counts
    result, error = running.result()
    if error is not None:
        raise error
    return await result if inspect.isawaitable(result) else result
