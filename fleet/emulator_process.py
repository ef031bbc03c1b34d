"""The emulator's own process: ministack under uvicorn, on a socket it inherits, for as long as its parent lives.

Run as `python -P emulator_process.py FD` with ministack's settings in the environment; stdin is the parent's lifeline:
when it closes, the parent is gone, and the emulator stops as on SIGTERM, which saves its data. Imports nothing of ours.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

import uvicorn

GRACE_SECONDS = 1  # what a long poll may still take after SIGTERM before it is cancelled


def main(descriptor: int) -> None:
    """Serve until SIGTERM, or until stdin closes."""
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    config = uvicorn.Config(
        "ministack.app:app",
        loop="uvloop",
        http="httptools",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
        access_log=False,
        log_level="warning",
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])


def _stop_with_parent() -> None:
    os.read(0, 1)  # returns when the parent's end of the pipe closes, however it ended
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]))
