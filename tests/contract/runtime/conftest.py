"""The fake Runtime API, as a fixture."""

from collections.abc import AsyncIterator

import pytest

from workers.runtime.testing import FakeRuntimeApi


@pytest.fixture
async def api() -> AsyncIterator[FakeRuntimeApi]:
    """A Runtime API that answers as AWS's does: with chunks."""
    async with FakeRuntimeApi() as api:
        yield api
