"""HTTP/1.1 on one connection: uvicorn's protocol on httptools, with limits, and refusing ambiguous requests.

uvicorn waits for ever for the rest of a request, and httptools bounds no header. A request that two programs could
read differently is refused with 400 (RFC 9112, 3.2 and 6; RFC 9110, 6.5.1), whatever httptools thinks of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from fleet.http.asgi import ON_UNREAD
from fleet.http.limits import RequestLimits

if TYPE_CHECKING:
    from fleet.http.asgi import Response

BAD_REQUEST = "BAD_REQUEST"
HEADERS_TOO_LARGE = "HEADERS_TOO_LARGE"
REQUEST_TIMEOUT = "REQUEST_TIMEOUT"
TOO_MANY_CONNECTIONS = "TOO_MANY_CONNECTIONS"

Refuse: TypeAlias = Callable[[str], "Response"]
"""The response to a request that no application gets to see; its argument is one of the four above."""

_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")  # RFC 3986, 3.2.2, not empty


class Ambiguous(Exception):
    """The request's head can be read in more ways than one."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection. `tick` must be called about once a second; unlike timers it costs nothing for each request.

    Trailers are in `scope["trailers"]`: among the headers they could replace one that was checked already.
    """

    def __init__(self, *args: Any, limits: RequestLimits, refuse: Refuse, **options: Any) -> None:
        super().__init__(*args, **options)
        self._limits = limits
        self._refusal = refuse
        self._in_head = False
        self._in_request = False  # from a request's first byte to the last of its body
        self._unframed = 0  # bytes since there was a whole head, or a part of a body
        self._body_bytes = 0
        self._waited = 0.0  # seconds for the client, in the present state
        self._unsent = 0  # bytes of responses that wait for the client
        self._unsent_for = 0.0
        self._upgrade_ignored = False  # the head of the present request is to be read again
        self._discarding = False  # what comes is thrown away
        self._once: dict[bytes, bytes] = {}
        self._host: bytes | None = None  # the last one that was checked

    def connection_made(self, transport: Any) -> None:
        """Take a connection, or refuse it when there are too many."""
        super().connection_made(transport)
        if len(self.connections) > 2 * self._limits.max_connections:  # so many do not even wait for their refusal
            transport.abort()
        elif len(self.connections) > self._limits.max_connections:
            self._hang_up(TOO_MANY_CONNECTIONS)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the connection; an application that asked for it learns that the client has not read its response."""
        super().connection_lost(exc)
        # Who dies or closes before it has read everything resets the connection (RFC 9293, 3.6.1; Linux does so).
        if isinstance(exc, ConnectionResetError) and self.scope and ON_UNREAD in self.scope:
            self.scope[ON_UNREAD]()  # type: ignore[literal-required]

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        if self._discarding:
            return
        self._unframed += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._upgrade_ignored:
                self._read_as_plain(data[upgrade.args[0] :])
                return
            self.cycle.keep_alive = False  # served like any other request, but httptools reads no more after it
            self._discarding = True
        except httptools.HttpParserError:
            self._refuse(BAD_REQUEST)
        else:
            if self._unframed > self._limits.max_head_bytes:
                self._refuse(HEADERS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._in_head = self._in_request = True
        self._body_bytes = 0
        self._waited = 0.0
        self._once = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, or a trailer."""
        name = name.lower()
        if not self._in_head:
            self.scope.setdefault("trailers", []).append((name, value))  # type: ignore[typeddict-item]
            return
        if name in _ONCE:
            if name in self._once:
                raise Ambiguous(name)
            self._once[name] = value
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Check the head, and start the application."""
        self._unframed = 0
        self._waited = 0.0
        self._check_head(self._once, self.parser.get_http_version())
        framed = b"transfer-encoding" in self._once or b"content-length" in self._once
        if framed and self.parser.should_upgrade():  # httptools drops the body
            if not any(name == b"upgrade" for name, _ in self.headers):
                raise Ambiguous("CONNECT")
            self._upgrade_ignored = True
        if not self._upgrade_ignored:
            super().on_headers_complete()
            self._in_head = False

    def on_body(self, body: bytes) -> None:
        """Hand a part of the body on."""
        self._unframed = 0
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if self._upgrade_ignored:  # httptools ends it here, but its body is still to come
            return
        self._unframed = 0
        self._waited = 0.0
        self._in_request = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request; `tick` bounds how long it may take to come."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self._waited = 0.0
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._in_request and self.expect_100_continue:
            self.transport.close()  # a client that was not told to continue keeps its body

    def tick(self, seconds: float) -> None:
        """Count `seconds` against what the client has to do now, and end the connection if that took too long."""
        if self._stalls(seconds):
            self.transport.abort()
            return
        if self.transport.is_closing() or (allowed := self._allowed()) == math.inf:
            return
        self._waited += seconds
        if self._waited <= allowed:
            return
        if self._discarding:
            self.transport.abort()
        elif self._in_request:
            self._refuse(REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _allowed(self) -> float:
        """Return the seconds that the client may take in the present state; infinite where it waits for us."""
        limits, cycle = self._limits, self.cycle
        if self.flow.read_paused or (cycle and cycle.waiting_for_100_continue):
            return math.inf
        responded = cycle is None or cycle.response_complete or cycle.disconnected
        if self._discarding:
            return limits.linger_seconds if responded else math.inf
        if self._in_head:
            return limits.head_seconds
        if self._in_request:
            return limits.linger_seconds if responded else limits.body_seconds + self._body_bytes / limits.body_rate
        if cycle is None:
            return limits.head_seconds
        return limits.idle_seconds if responded else math.inf

    def _stalls(self, seconds: float) -> bool:
        """Tell whether the client takes nothing of what was sent to it."""
        unsent = self.transport.get_write_buffer_size()
        self._unsent_for = self._unsent_for + seconds if unsent and unsent == self._unsent else 0.0
        self._unsent = unsent
        return self._unsent_for > self._limits.send_seconds

    def _check_head(self, once: dict[bytes, bytes], version: str) -> None:
        """Raise `Ambiguous` for what httptools lets pass."""
        host = once.get(b"host")
        if host is None:
            if version != "1.0":
                raise Ambiguous("no host")
        elif host != self._host:  # of one connection it is mostly the same
            if not _HOST.fullmatch(host):
                raise Ambiguous("host")
            self._host = host
        if version not in ("1.1", "1.0"):
            raise Ambiguous("version")
        coding = once.get(b"transfer-encoding")
        if coding is not None and (version == "1.0" or coding.lower() != b"chunked"):
            raise Ambiguous("transfer-encoding")
        if not self.url.startswith(b"/") and self.url != b"*":
            authority = b"http://" + (host or b"").lower()
            if not self.url.lower().startswith((authority + b"/", authority + b"?")):
                raise Ambiguous("target")
        self.expect_100_continue = once.get(b"expect", b"").lower() == b"100-continue"

    def _read_as_plain(self, rest: bytes) -> None:
        """Read the request once more, without its Upgrade; `rest` is what came after its head."""
        # A server may ignore Upgrade (RFC 9110, 7.8), but httptools reads no body after it. Java's HttpClient asks for
        # h2c with every first request.
        parts = [self.parser.get_method(), b" ", self.url, b" HTTP/", self.parser.get_http_version().encode(), b"\r\n"]
        for name, value in self.headers:
            if name != b"upgrade":
                parts += [name, b": ", value, b"\r\n"]
        self._upgrade_ignored = False
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        self.data_received(b"".join([*parts, b"\r\n", rest]))

    def _refuse(self, kind: str) -> None:
        """Respond to the request that is being read, if that is still possible."""
        cycle = self.cycle
        if self._in_head or not self._in_request:
            if cycle is None or cycle.response_complete:
                self._hang_up(kind)
            else:  # a request before this one has no response yet: that is the last one
                cycle.keep_alive = False
                self._discarding = True
        elif cycle.response_started or self.pipeline:
            self.transport.close()
        else:
            cycle.disconnected = True
            cycle.message_event.set()
            self._hang_up(kind)

    def _hang_up(self, kind: str) -> None:
        """Send a refusal as the last thing, and discard what comes."""
        # Closing at once would reset the connection before the client reads the refusal (RFC 9112, 9.6).
        self._discarding = True
        self._waited = 0.0
        response = self._refusal(kind)
        lines = [STATUS_LINE[response.status]]
        for name, value in response.headers:
            lines += [name, b": ", value, b"\r\n"]
        lines += [b"content-length: %d\r\nconnection: close\r\n\r\n" % len(response.body), response.body]
        self.transport.write(b"".join(lines))
        self.transport.write_eof()
