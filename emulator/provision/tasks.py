"""Running jobs side by side where the first failure is the one that counts."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def together(*jobs: Coroutine[Any, Any, T]) -> list[T]:
    """The results of `jobs` in their order, run side by side; the first failure cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
    except BaseExceptionGroup as errors:
        raise first_of(errors) from errors
    return [task.result() for task in tasks]


def first_of(error: BaseException) -> BaseException:
    """The first single error in a group of groups."""
    return first_of(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
