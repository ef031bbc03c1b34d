"""The request to stop."""

import asyncio

import pytest

from workers.runtime.drain import Drain


@pytest.mark.parametrize(("requests", "code"), [([0], 0), ([1, 0], 1), ([0, 3], 3), ([3, 1], 3)])
async def test_the_first_failure_is_the_exit_code(requests: list[int], code: int) -> None:
    """A SIGTERM after a failure makes no success of it, nor does the order matter."""
    drain = Drain()
    assert not drain.requested
    for request in requests:
        drain.request(request)
    assert (drain.requested, drain.exit_code) == (True, code)


async def test_waiting() -> None:
    """A wait ends with the request, or with its own time."""
    drain = Drain()
    await drain.wait(0.01)
    waiting = asyncio.create_task(drain.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    drain.request()
    await waiting


async def test_calls_are_made_at_once_and_only_inside() -> None:
    """What must happen with the request happens before anything else runs."""
    drain, calls = Drain(), list[str]()
    with drain.on_request(lambda: calls.append("inside")):
        drain.request()
        assert calls == ["inside"]
    drain.request()
    assert calls == ["inside"]
