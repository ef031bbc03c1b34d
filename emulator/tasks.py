"""Tasks side by side, where the first failure is the one that is raised, and not a group of all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


async def together(*jobs: Coroutine[Any, Any, T]) -> list[T]:
    """Run jobs side by side and return their results in order; the first failure cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
    except BaseExceptionGroup as errors:
        raise _first_of(errors) from errors
    return [task.result() for task in tasks]


@asynccontextmanager
async def running(
    work: Coroutine[Any, Any, NoReturn], *, cause: type[BaseException] = BaseException
) -> AsyncIterator[None]:
    """Run `work` beside the block, until its end; an error of either ends both, and is raised as it is.

    Where there are several, one of the kind `cause` is raised: whatever else failed because of that is left out.
    """
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(work)
            yield
            task.cancel()
    except BaseExceptionGroup as errors:
        raise _first_of(errors.subgroup(cause) or errors) from None


def _first_of(error: BaseException) -> BaseException:
    """Return the first single error in a group of groups."""
    return _first_of(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
