"""Keeps web pages away from ports that are for programs.

Every page that a developer visits may send requests to ports of this machine; without this it could invoke functions or
read quotas and metrics. A page is known by its Origin or Sec-Fetch-Site header (Fetch; Fetch Metadata Request Headers),
or by reaching us under a name of its own, which may resolve to our address (DNS rebinding). Programs are not held.
The emulator's process imports this module, so it imports next to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleet.http.asgi import App, Receive, Scope, Send

_LOOPBACK = frozenset({b"127.0.0.1", b"localhost", b"[::1]"})
_ADDRESS = re.compile(rb"[0-9]+(?:\.[0-9]+){3}|\[.*\]")


@lru_cache(maxsize=256)
def is_ours(host: bytes, *, loopback: bool = True) -> bool:
    """Whether a Host header cannot be the name of somebody's web site.

    A port on the loopback interface has the names of that. In a network of containers there are addresses and names
    without a dot as well, which public DNS does not have.
    """
    name = host.lower().partition(b"]")[0] + b"]" if host.startswith(b"[") else host.lower().partition(b":")[0]
    return name in _LOOPBACK or (not loopback and (b"." not in name or bool(_ADDRESS.fullmatch(name))))


def is_page(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a web page sends this request; an address that somebody typed (`none`) is no page's."""
    return b"origin" in headers or headers.get(b"sec-fetch-site", b"none") != b"none"


class BrowserGuard:
    """Refuses requests of web pages with 403; `address` is the one that the port was opened on."""

    def __init__(self, app: App, address: str) -> None:
        self._app = app
        self._loopback = address.startswith("127.")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        headers = dict(scope["headers"])
        if is_page(headers):
            message = b'{"message":"Not for web pages."}'
        elif not is_ours(headers.get(b"host", b"localhost"), loopback=self._loopback):  # a browser always sends one
            message = b'{"message":"Reach this port by its address, not by a name with a dot."}'
        else:
            await self._app(scope, receive, send)
            return
        await send(
            {
                "type": "http.response.start",
                "status": 403,
                "headers": [(b"content-type", b"application/json"), (b"content-length", str(len(message)).encode())],
            }
        )
        await send({"type": "http.response.body", "body": message})
