"""Handlers as people write them for AWS's own Python runtime; nothing here knows of this one."""

# ruff: noqa: ANN001, ANN202, T201  # written as people write them; what is printed is what a test waits for

import asyncio
import base64
import logging
import os
import signal
import sys
import threading
import time
from collections import namedtuple
from contextvars import ContextVar
from decimal import Decimal

loop = asyncio.get_event_loop()
seen = ContextVar("seen", default=0)
seen.set(7)
Size = namedtuple("Size", "width height")


async def _loop():
    return asyncio.get_running_loop()


def main_thread(event, context):
    """Do what a synchronous handler may do only in the main thread."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    seen.set(seen.get() + 1)
    own = asyncio.get_event_loop()
    return {
        "main": threading.current_thread() is threading.main_thread(),
        "imported_loop": own is loop,
        "running": own.is_running(),
        "awaited": own.run_until_complete(_loop()) is own,
        "another": asyncio.run(asyncio.sleep(0, "ran")) if event == "run" else None,
        "seen": seen.get(),
    }


def own_loop(event, context):
    """Run a loop of the handler's own."""
    asyncio.set_event_loop(asyncio.new_event_loop())
    return asyncio.get_event_loop().run_until_complete(asyncio.sleep(0, "ran"))


def closes_the_loop(event, context):
    """As adapters did that took the loop to be theirs."""
    own = asyncio.get_event_loop()
    result = own.run_until_complete(asyncio.sleep(0, "ran"))
    own.close()
    return result


def context_object(event, context):
    """AWS's context is an ordinary object."""
    context.note = "kept"
    return {
        "note": context.note,
        "memory": context.memory_limit_in_mb,
        "hashed": {context: 1}[context],
        "shown": repr(context),
        "w3c": context.w3c(),
        "custom": context.client_context.custom,
        "hidden": hasattr(context.client_context, "w3c"),
        "trace": os.environ.get("_X_AMZN_TRACE_ID"),
    }


def values(event, context):
    """Values that AWS's client writes as JSON."""
    return {
        "body": base64.b64encode(b"photo"),
        "size": Size(3, 2),
        "price": Decimal("1.10"),
        3: None,
    }


def log(event, context):
    """Lines of each way to write one, also from a thread and in a format of the handler's own."""
    root = logging.getLogger()
    print("printed")
    context.log("written\n")
    thread = threading.Thread(target=root.error, args=("from a thread",))
    thread.start()
    thread.join()
    root.handlers[0].setFormatter(logging.Formatter("%(aws_request_id)s says %(message)s\n"))
    root.error("hello")
    return logging.getLevelName(root.level)


def leave(event, context):
    """End the process."""
    sys.exit(event)


def wait(event, context):
    """Return the event some time later; Python code runs meanwhile, so that signals are handled."""
    print("waiting", flush=True)
    until = time.monotonic() + event
    while time.monotonic() < until:
        time.sleep(0.01)
    return event


def stuck(event, context):
    """Never return."""
    print("stuck", flush=True)
    while True:
        time.sleep(60)


def _say_goodbye(number, frame):
    print("goodbye", flush=True)
    sys.exit(0)


def graceful(event, context):
    """AWS's sample of a graceful shutdown: the function's own SIGTERM handler."""
    signal.signal(signal.SIGTERM, _say_goodbye)
    return "ready"


def _signalled_here():
    time.sleep(0.1)  # the main thread waits for the next invocation by then
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)


def signalled_elsewhere(event, context):
    """SIGTERM comes soon, in a thread that is not the main one: the system does not wake that for it."""
    threading.Thread(target=_signalled_here).start()
    return "soon"
