"""Functions that tell their processes apart, under our runtime and under AWS's."""

from __future__ import annotations

import os
import signal
import time
from typing import Any


def pid(event: Any, context: Any) -> int:
    """Return the process after a while, or end it."""
    if event.get("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(event["seconds"])
    return os.getpid()


def mirror(event: Any, context: Any) -> Any:
    """Return the event; every fifth is an error."""
    if event % 5 == 4:
        raise LookupError(f"no {event}")
    return event
