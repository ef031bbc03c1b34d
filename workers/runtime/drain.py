"""The request to end the process: no new invocation is taken, the running ones end, and the exit code is kept."""

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
    """A request to stop, from a signal, from a handler that exits, or because the Runtime API is gone.

    The first request counts, but none makes a failure a success.
    """

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self._callbacks: list[Callable[[], object]] = []
        self.exit_code = 0

    @property
    def requested(self) -> bool:
        """Whether to take no more invocations."""
        return self._requested.is_set()

    def request(self, exit_code: int = 0) -> None:
        """Start to drain."""
        self.exit_code = self.exit_code or exit_code
        self._requested.set()
        for callback in self._callbacks:
            callback()

    @contextmanager
    def on_request(self, callback: Callable[[], object]) -> Iterator[None]:
        """Inside this, have a request also call `callback`, before anything else runs."""
        self._callbacks.append(callback)
        try:
            yield
        finally:
            self._callbacks.remove(callback)

    async def wait(self, timeout: float | None = None) -> None:
        """Return when a drain is requested, or after `timeout` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._requested.wait()


@contextmanager
def on_signals(callback: Callable[[], object]) -> Iterator[None]:
    """Have SIGTERM and SIGINT call `callback` on the running loop, instead of ending the process."""
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
        _log.warning("process_killed", extra={"reason": f"something still runs {seconds:.0f} s after the drain"})
        sys.stdout.flush()
        os._exit(drain.exit_code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
