"""What every test has: reproducible examples from Hypothesis, and an event loop that nobody may block."""

import asyncio
import time
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci")

LONGEST_CALLBACK = 0.5  # seconds of this thread's own CPU time, so that a busy machine changes nothing


@pytest.fixture(autouse=True)
def loop_is_never_blocked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test in which one callback computes for long on the event loop: that belongs into a thread or process."""
    blocked: list[str] = []
    run = asyncio.Handle._run

    def measured(handle: asyncio.Handle) -> None:
        begin = time.thread_time()
        run(handle)
        spent = time.thread_time() - begin
        if spent > LONGEST_CALLBACK:
            blocked.append(f"{spent:.2f} s in {handle!r}")

    monkeypatch.setattr(asyncio.Handle, "_run", measured)
    yield
    assert not blocked, f"the event loop was blocked: {blocked}"
