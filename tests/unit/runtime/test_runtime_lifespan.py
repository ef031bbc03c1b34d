"""Resources that live as long as the process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from workers.runtime.context import Context
from workers.runtime.handlers import is_async
from workers.runtime.lifespan import with_lifespan

journal: list[str] = []


async def open_resources() -> AsyncIterator[dict[str, int]]:
    """Note in the journal what it does."""
    journal.append("open")
    yield {"number": 7}
    journal.append("close")


@pytest.fixture(autouse=True)
def empty_journal() -> None:
    """Each test begins anew."""
    journal.clear()


@pytest.mark.parametrize("factory", [open_resources, asynccontextmanager(open_resources)])
async def test_async_handler_gets_its_resources(factory: Any) -> None:
    """A generator function and a context manager's factory do the same."""

    @with_lifespan(factory)
    async def handler(event: Any, context: Context, resources: dict[str, int]) -> Any:
        """Return event and number."""
        return event, resources["number"]

    async with handler.lifespan():
        assert await handler("a", Context()) == ("a", 7)
        assert await handler("b", Context()) == ("b", 7)
    assert journal == ["open", "close"]
    assert is_async(handler)
    assert (handler.__name__, handler.__doc__) == ("handler", "Return event and number.")


async def test_sync_handler_gets_its_resources() -> None:
    """A sync handler stays one, and so runs in a thread."""

    @with_lifespan(open_resources)
    def handler(event: Any, context: Context, resources: dict[str, int]) -> int:
        return resources["number"]

    async with handler.lifespan():
        assert handler(None, Context()) == 7
    assert not is_async(handler)


async def test_resources_are_closed_after_a_failure() -> None:
    """Whatever ends the process, resources are closed."""
    closed = []

    @asynccontextmanager
    async def open_and_note() -> AsyncIterator[None]:
        try:
            yield
        finally:
            closed.append(True)

    @with_lifespan(open_and_note)
    async def handler(event: Any, context: Context, resources: None) -> None:
        """Nothing to do."""

    with pytest.raises(ValueError, match="end"):
        async with handler.lifespan():
            raise ValueError("end")
    assert closed == [True]


async def test_without_lifespan_the_handler_says_so() -> None:
    """Forgetting to open is told by name, before and after."""

    @with_lifespan(open_resources)
    async def handler(event: Any, context: Context, resources: dict[str, int]) -> None:
        """Nothing to do."""

    with pytest.raises(RuntimeError, match="handler has no resources yet"):
        handler(None, Context())
    async with handler.lifespan():
        pass
    with pytest.raises(RuntimeError, match="lifespan"):
        handler(None, Context())
