"""The fake Runtime API, as a fixture."""

from collections.abc import AsyncIterator

import pytest

from workers.runtime.testing import FakeRuntimeApi


@pytest.fixture
async def api() -> AsyncIterator[FakeRuntimeApi]:
    """Serve a Runtime API whose responses are chunked, as AWS's are."""
    async with FakeRuntimeApi() as api:
        yield api
