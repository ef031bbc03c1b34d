"""Resources that a handler needs: opened once a process before its first invocation, closed when it drains.

    @asynccontextmanager
    async def open_resources() -> AsyncIterator[Resources]: ...

    @with_lifespan(open_resources)
    async def handler(event, context, resources): ...

If opening fails, the function's start fails (init error). A test opens the handler itself:
`async with handler.lifespan(): await handler(event, Context())`.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, TypeVar, cast

from workers.runtime.context import Context

R = TypeVar("R")


class LifespanHandler(ABC):
    """Base of handlers that live as long as the process; the runtime enters `lifespan` once."""

    is_async = True
    is_generator = False

    @abstractmethod
    def __call__(self, event: Any, context: Context) -> Any:
        """Handle one event."""

    @abstractmethod
    def lifespan(self) -> AbstractAsyncContextManager[None]:
        """Return a context manager inside which everything that the handler needs is open."""


class ResourceHandler(LifespanHandler, Generic[R]):
    """A handler that takes its resources as third argument; made by `with_lifespan`."""

    def __init__(
        self,
        handler: Callable[[Any, Context, R], Any],
        open_resources: Callable[[], AbstractAsyncContextManager[R] | AsyncIterator[R]],
    ) -> None:
        self._handler = handler
        self._open_resources = open_resources
        self._opened: list[R] = []
        self.is_async = inspect.iscoroutinefunction(handler)
        self.is_generator = inspect.isasyncgenfunction(handler)
        self.__doc__ = handler.__doc__
        self.__name__ = getattr(handler, "__name__", type(handler).__name__)
        self.__module__ = handler.__module__

    def __call__(self, event: Any, context: Context) -> Any:
        """Handle one event: a coroutine if the wrapped handler is `async def`."""
        if not self._opened:
            raise RuntimeError(f"{self.__name__} has no resources yet: call it inside `async with lifespan()`")
        return self._handler(event, context, self._opened[-1])

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Open the resources, then close them."""
        opening = self._open_resources()
        if not isinstance(opening, AbstractAsyncContextManager):
            opening = asynccontextmanager(cast("Callable[[], AsyncIterator[R]]", self._open_resources))()
        async with opening as resources:
            self._opened.append(resources)
            try:
                yield
            finally:
                self._opened.remove(resources)


def with_lifespan(
    open_resources: Callable[[], AbstractAsyncContextManager[R] | AsyncIterator[R]],
) -> Callable[[Callable[[Any, Context, R], Any]], ResourceHandler[R]]:
    """Give a handler resources that live as long as the process.

    `open_resources` is an async generator function that yields them once, or makes an async context manager. The
    handler, sync or async, is called as `handler(event, context, resources)`.
    """
    return lambda handler: ResourceHandler(handler, open_resources)
