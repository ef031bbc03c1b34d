"""How a process ends: asked to, it takes no new invocation, finishes the running ones, and says why it exits."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_log = logging.getLogger("runtime")

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Drain:
    """The request to stop, from a signal, from a handler that exits, or because the Runtime API is gone.

    The first request counts, but none makes a failure a success.
    """

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self._calls: list[Callable[[], object]] = []
        self.exit_code = 0

    @property
    def requested(self) -> bool:
        """Whether to take no more invocations."""
        return self._requested.is_set()

    def request(self, exit_code: int = 0) -> None:
        """Start to drain."""
        self.exit_code = self.exit_code or exit_code
        self._requested.set()
        for call in self._calls:
            call()

    @contextmanager
    def calling(self, call: Callable[[], object]) -> Iterator[None]:
        """Inside this, a request also calls `call`, at once."""
        self._calls.append(call)
        try:
            yield
        finally:
            self._calls.remove(call)

    async def wait(self, timeout: float | None = None) -> None:
        """Return when a drain is requested, or after `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._requested.wait()


@contextmanager
def on_signals(callback: Callable[[], object]) -> Iterator[None]:
    """SIGTERM and SIGINT call `callback` on the running loop, instead of ending the process."""
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, callback)
    try:
        yield
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


def end_process_after(seconds: float, drain: Drain) -> None:
    """End the process in `seconds`, should it still be there: a leaked thread would hold it for ever."""

    def end() -> None:
        _log.warning("ending by force: something still runs %.0f s later", seconds)
        sys.stdout.flush()
        os._exit(drain.exit_code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
