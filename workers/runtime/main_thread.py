"""The main thread, where AWS's own runtime calls handlers: libraries may count on it.

Only there `signal.signal` works, and only there asyncio has an event loop without being asked. So a synchronous
handler of an environment with one slot runs in the main thread, and the runtime's own loop in another one.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

from workers.runtime.drain import SIGNALS
from workers.runtime.errors import exit_status

_MAX_WAIT_S = 0.5
"""A signal that comes just before a wait for a lock does not end it; Python runs its handler after the wait."""

P = ParamSpec("P")
T = TypeVar("T")
Callback = Callable[[int], object]
"""Called with an exit code."""


class MainThread(Executor):
    """Runs calls in the thread that makes it, the main one, while `run` serves in another.

    The thread gets an event loop, set but not running, before the handler's module is loaded. Signal handlers that the
    module has set are left alone; else SIGTERM and SIGINT call what `on_signals` was given.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        """None: no more will come."""
        self._first_signal_handlers = {number: signal.getsignal(number) for number in SIGNALS}
        self._on_exit: Callback | None = None
        self._exit_code: int | None = None
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)

    def run(self, serve: Callable[[], int]) -> int:
        """Call `serve` in another thread, and run its calls here until it returns; return its exit code."""
        for number, handler in self._first_signal_handlers.items():
            if signal.getsignal(number) is handler:
                signal.signal(number, lambda *_: self._exit(0))
        served: Future[int] = Future()
        thread = threading.Thread(target=self._serve, args=(serve, served), name="runtime")
        thread.start()
        while thread.is_alive():  # asked, too, since an exit of a signal handler may take the place of the last call
            try:
                if (call := self._calls.get(timeout=_MAX_WAIT_S)) is None:
                    break
                call()
            except Empty:
                continue
            except BaseException as error:  # noqa: BLE001  # a signal handler of the function has raised it, as an exit
                self._exit(exit_status(error))
        thread.join()
        return served.result()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a call in the main thread, after those before it."""
        future: Future[T] = Future()
        self._calls.put(partial(self._run, future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Do nothing: `run` ends when its thread does."""

    @contextmanager
    def on_signals(self, callback: Callback) -> Iterator[None]:
        """Have a signal, or an exit of the function's own signal handler, call `callback` on the running loop."""
        loop = asyncio.get_running_loop()
        self._on_exit = lambda code: loop.call_soon_threadsafe(callback, code)
        if self._exit_code is not None:
            callback(self._exit_code)
        try:
            yield
        finally:
            self._on_exit = None

    def _serve(self, serve: Callable[[], int], served: Future[int]) -> None:
        try:
            served.set_result(serve())
        except BaseException as error:  # noqa: BLE001  # it is raised where the result is asked for
            served.set_exception(error)
        finally:
            self._calls.put(None)

    def _run(self, future: Future[Any], call: Callable[[], Any]) -> None:
        self._set_event_loop()
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001  # it is raised where the result is awaited
            future.set_exception(error)

    def _set_event_loop(self) -> None:
        """Set one again that `asyncio.run` has taken away, or that somebody has closed; AWS's runtime does not."""
        try:
            usable = not asyncio.get_event_loop().is_closed()
        except RuntimeError:
            usable = False
        if usable:
            return
        if self._loop.is_closed():
            self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)

    def _exit(self, code: int) -> None:
        self._exit_code = code
        if (on_exit := self._on_exit) is not None:
            with suppress(RuntimeError):  # the loop is closed already
                on_exit(code)
