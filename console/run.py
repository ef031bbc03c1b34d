"""Runs a command's coroutine: Ctrl-C, SIGTERM and SIGHUP cancel it; a client's error ends it with one message."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from console.exits import from_client_error
from shoebox_client.errors import ClientError

Result = TypeVar("Result")


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end.

    Raises:
        CliError: it ended with a client's error.
        KeyboardInterrupt: it was interrupted, and has cleaned up.
    """
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_terminable(work))
    except ClientError as error:
        raise from_client_error(error) from error


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's where there is one: a fleet and its gateway do twice as much with it."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def _terminable(work: Coroutine[Any, Any, Result]) -> Result:
    """SIGTERM, and a terminal that is closed, do as Ctrl-C."""
    task = asyncio.ensure_future(work)
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        task.cancel()

    if threading.current_thread() is threading.main_thread():  # only there may a loop be told of signals
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, terminate)
    try:
        return await task
    except asyncio.CancelledError:
        if terminated:
            raise KeyboardInterrupt from None
        raise
