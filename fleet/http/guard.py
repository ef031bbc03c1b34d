"""Keeps web pages away from ports that are for programs.

Every page that a developer visits may send requests to ports of this machine; without this it could invoke functions or
read quotas and metrics. A page is known by its Origin or Sec-Fetch-Mode header (Fetch; Fetch Metadata Request Headers),
or by reaching us under a name of its own, which may resolve to our address (DNS rebinding). Programs pass.
The emulator's process imports this module, so it imports next to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from fleet.http.asgi import App, Receive, Scope, Send

PagesMay: TypeAlias = "Callable[[Scope, Mapping[bytes, bytes]], bool]"
_PAGE = b'{"message":"Not for web pages."}'
_BY_NAME = (
    b'{"message":"Reach this port as 127.0.0.1, localhost or a name ending in .localhost; in a network, also by '
    b'another address, a name without a dot, or one ending in .internal or .local."}'
)
_LOOPBACK = re.compile(rb"127(?:\.[0-9]+){3}|\[::1\]|(?:[^.]+\.)*localhost")  # RFC 6761, 6.3
_PRIVATE = (b".internal", b".local")  # never in public DNS: ICANN's reserved .internal; RFC 6762
_PORT = re.compile(rb":[0-9]*\Z")
_ADDRESS = re.compile(rb"[0-9]+(?:\.[0-9]+){3}|\[.*\]")


@lru_cache(maxsize=256)
def is_ours(host: bytes, *, loopback: bool = True) -> bool:
    """Tell whether a Host header cannot be the name of a web site of others.

    A port on the loopback interface has the names of that, those of buckets (photos.localhost) among them. In a network
    there are addresses and names as well that public DNS does not have: without a dot, or under a private domain.
    """
    name = _PORT.sub(b"", host.lower())
    if _LOOPBACK.fullmatch(name):
        return True
    return not loopback and (b"." not in name or name.endswith(_PRIVATE) or bool(_ADDRESS.fullmatch(name)))


def _typed_by_user(scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether the user typed the address in the browser: a page cannot make it send such a request."""
    return scope["method"] == "GET" and b"origin" not in headers and headers.get(b"sec-fetch-site") == b"none"


class BrowserGuard:
    """Refuses web pages with 403, but for what `pages_may` do; `address` is the one that the port was opened on."""

    def __init__(self, app: App, address: str, pages_may: PagesMay = _typed_by_user) -> None:
        self._app = app
        self._loopback = address.startswith("127.")
        self._pages_may = pages_may

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, or refuse it."""
        refusal = self._refusal(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
            return
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(refusal))]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body", "body": refusal})

    def _refusal(self, scope: Scope) -> bytes | None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if not is_ours(headers.get(b"host", b"localhost"), loopback=self._loopback):  # a browser always sends one
            return _BY_NAME
        of_a_page = b"origin" in headers or b"sec-fetch-mode" in headers
        return _PAGE if of_a_page and not self._pages_may(scope, headers) else None
