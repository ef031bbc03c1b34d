"""The emulator's own process: ministack under uvicorn, on a socket it inherits, for as long as its parent lives.

Run as `python -P emulator/server/main.py FD [QUOTAS]` with ministack's settings in the environment. When stdin closes,
the parent is gone, and the emulator stops as on SIGTERM, which saves its data. QUOTAS are those that the limiter keeps,
as `emulator.limiter.middleware.to_json` writes them. Of ours only what runs here is imported. It may inherit more
descriptors: the data folder's lock is held for as long as any of those who have it live.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import parse_qs

import uvicorn

GRACE_SECONDS = 1  # what a long poll may still take after SIGTERM before it is cancelled
_KEY_NAMES = (b"x-amz-credential", b"awsaccesskeyid")

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


def _signed_by_role(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether a web page may send a request: only one whose URL a role has signed.

    ministack takes anyone who calls himself "test" for root, lets root run code, and serves browsers from any site:
    every page that a developer visits could read the photos, wipe them, or worse.
    """
    if scope["method"] == "OPTIONS":  # a preflight asks, and does nothing
        return True
    query = {name.lower(): values for name, values in parse_qs(scope["query_string"]).items()}
    keys = [key for name in _KEY_NAMES for key in query.get(name, [])]
    signed_by_role = bool(keys) and all(key.startswith(b"ASIA") for key in keys)
    return signed_by_role and b"authorization" not in headers and not scope["path"].startswith("/_")


def main(descriptor: int, quotas: str | None = None) -> None:
    """Serve until SIGTERM, or until stdin closes."""
    threading.Thread(target=_stop_with_parent, daemon=True).start()
    sys.path.append(str(Path(__file__).resolve().parents[2]))  # our package, which need not be installed
    from ministack.app import app

    from emulator.server import s3_rules
    from emulator.server.signing import SigningGuard
    from emulator.server.tuning import tune, tune_collector
    from fleet.http.guard import BrowserGuard
    from fleet.http.limits import RequestLimits
    from fleet.http.server import LimitedServer, limited

    tune()
    s3_rules.install()
    tune_collector()
    served: Application = app
    if quotas:
        from emulator.limiter.middleware import Limiter, from_json

        served = Limiter(served, from_json(quotas))
    if folder := os.environ.get("STATE_DIR"):
        from emulator.server.space_guard import SpaceGuard
        from emulator.server.state import StatePersistence

        served = guard = SpaceGuard(served, Path(folder), s3_rules.triggers_event, s3_rules.receives_events)
        StatePersistence(Path(folder), guard.note_save).install()
    config = uvicorn.Config(
        BrowserGuard(SigningGuard(served), "127.0.0.1", _signed_by_role),
        loop="uvloop",
        http=limited(RequestLimits()),
        ws="none",
        lifespan="on",  # it loads and saves the data: without it there is no use in going on
        timeout_graceful_shutdown=GRACE_SECONDS,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,  # ministack sends one
        log_level="warning",
    )
    LimitedServer(config).run(sockets=[socket.socket(fileno=descriptor)])


def _stop_with_parent() -> None:
    os.read(0, 1)  # returns when the parent's end of the pipe closes, however it ended
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
