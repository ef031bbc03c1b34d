"""A process's life: load the handler, open its resources, run the slots, drain, close, exit.

Exit codes: 0 drained; 1 the function could not start (init/error was posted), or the Runtime API went away, or
resources failed to close; a handler that exits gives its own code, and 1 for 0. With several processes the supervisor
exits: 0 drained, 1 no process could start, or one did not drain.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import asdict
from functools import partial

from workers.runtime.client import post_init_failure
from workers.runtime.drain import Drain, end_process_after, on_signals
from workers.runtime.errors import Failure, SettingsError
from workers.runtime.handlers import Handler, caller_factory, is_synchronous, load_handler
from workers.runtime.lifespan import LifespanHandler
from workers.runtime.logs import configure_logging
from workers.runtime.main_thread import MainThread
from workers.runtime.settings import Settings, read_settings
from workers.runtime.slots import Slots
from workers.runtime.supervisor import Supervisor

CLOSING_S = 2.0
"""Seconds that posting, closing resources and ending threads may take after the drain."""

_log = logging.getLogger("runtime")


def main() -> int:
    """Run the function that the environment's variables name; return the exit code."""
    try:
        settings = read_settings()
    except SettingsError as error:
        sys.stderr.write(f"workers.runtime: {error}\n")
        return 1
    if settings.worker is not None:
        settings.worker.attach(settings.log_socket)
    configure_logging(settings.log_level, text=settings.text_logs, descriptor=settings.log_descriptor)
    slots = settings.slots
    if settings.processes > 1:
        supervisor = Supervisor(slots.endpoint, slots=slots.slots, processes=settings.processes, drain=slots.drain)
        return asyncio.run(supervisor.run())
    # Before the handler's module is loaded: it may ask for the event loop, or set signal handlers.
    main_thread = MainThread() if slots.single_concurrency else None
    try:
        # Before the loop runs: a module may call asyncio.run while it is imported.
        handler = load_handler(settings.handler, settings.task_root)
    except BaseException as error:  # noqa: BLE001  # whatever a module raises, Lambda is to know
        return asyncio.run(_report_init_failure(settings, error))
    if main_thread is not None and is_synchronous(handler):
        return main_thread.run(partial(_run, settings, handler, main_thread))
    return _run(settings, handler)


def _run(settings: Settings, handler: Handler, main_thread: MainThread | None = None) -> int:
    with asyncio.Runner(loop_factory=_loop_factory(settings.loop)) as runner:
        try:
            return runner.run(serve(settings, handler, main_thread))
        except (SystemExit, KeyboardInterrupt) as error:  # from a task that a handler started
            failure = Failure.of(error)
            _log.critical("process_exited", extra=failure.fields())
            return failure.exit_code or 1


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return uvloop's, or the standard one's. Raises ImportError if uvloop is demanded and missing."""
    if name == "asyncio":
        return asyncio.new_event_loop
    try:
        import uvloop
    except ImportError:
        if name == "uvloop":
            raise
        return asyncio.new_event_loop
    return uvloop.new_event_loop


async def serve(settings: Settings, handler: Handler, main_thread: MainThread | None = None) -> int:
    """Open the handler's resources, run its slots until drained, close; return the exit code.

    With `main_thread` synchronous handlers run there, and signals come from there; the loop runs in another thread.
    """
    drain = Drain()
    lifespan = handler.lifespan() if isinstance(handler, LifespanHandler) else nullcontext()
    task = asyncio.current_task()
    assert task is not None
    with on_signals(drain.request) if main_thread is None else main_thread.on_signals(drain.request):
        try:
            with drain.on_request(task.cancel):
                await lifespan.__aenter__()
        except BaseException as error:  # noqa: BLE001  # whatever the resources raise, Lambda is to know
            if drain.requested:
                return drain.exit_code
            return await _report_init_failure(settings, error)
        async with _closing(lifespan, drain):
            gc.freeze()  # what is loaded by now stays; going through it again and again cost a seventh of the CPU
            slots = Slots(
                settings.slots, settings.function, caller_factory(handler, main_thread), drain, settings.worker
            )
            with drain.on_request(lambda: end_process_after(settings.slots.drain + CLOSING_S, drain)):
                await slots.run()
            end_process_after(CLOSING_S, drain)
            _log.info("process_drained", extra=asdict(slots.statistics))
    return drain.exit_code


async def _report_init_failure(settings: Settings, error: BaseException) -> int:
    """Post init/error; one of several processes reports to its supervisor instead. Return the exit code."""
    failure = Failure.of(error)
    if settings.worker is not None:
        settings.worker.report_init_failure(failure)
    else:
        _log.critical("function_start_failed", extra=failure.fields())
        await post_init_failure(settings.slots.endpoint, failure)
    return failure.exit_code or 1


@asynccontextmanager
async def _closing(lifespan: AbstractAsyncContextManager[None], drain: Drain) -> AsyncIterator[None]:
    try:
        yield
    finally:
        try:
            await lifespan.__aexit__(None, None, None)
        except Exception:  # noqa: BLE001  # it is the handler's code, and the process ends anyway
            _log.exception("resources_close_failed")
            drain.exit_code = drain.exit_code or 1
