"""What can be read in two ways is refused; the rest is understood in the only way that there is."""

import pytest
from raw_http import GET, POST, ask, connected, echo, serving

from fleet.http.asgi import Receive, Response, Scope, Send, respond

CHUNKED = b"Transfer-Encoding: chunked\r\n"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAA\r\n"
NO_MORE = b"0\r\n\r\n"

REFUSED = [
    ("no host", b"GET /a HTTP/1.1\r\n\r\n"),
    ("two hosts", b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("the same host twice", b"GET /a HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
    ("two hosts, HTTP/1.0", b"GET /a HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
    ("an empty host", b"GET /a HTTP/1.1\r\nHost:\r\n\r\n"),
    ("a list of hosts", b"GET /a HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    ("a host with a path", b"GET /a HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    ("a host with a user", b"GET /a HTTP/1.1\r\nHost: a@b\r\n\r\n"),
    ("a host with a strange port", b"GET /a HTTP/1.1\r\nHost: a:80b\r\n\r\n"),
    ("another host in the target", b"GET http://b/a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a host that begins like it", b"GET http://ab/a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("a target without a slash", b"GET a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("CONNECT", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("HTTP/0.9", b"GET /a\r\n\r\n"),
    ("HTTP/2.0", b"GET /a HTTP/2.0\r\nHost: a\r\n\r\n"),
    ("HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("no such version", b"GET /a HTTP/1.2\r\nHost: a\r\n\r\n"),
    ("no such method", b"FETCH /a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("obs-fold", b"GET /a HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"),
    ("a blank before the colon", b"GET /a HTTP/1.1\r\nHost : a\r\n\r\n"),
    ("a blank before the first header", b"GET /a HTTP/1.1\r\n Host: a\r\n\r\n"),
    ("a header without a colon", b"GET /a HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
    ("a header without a name", b"GET /a HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
    ("NUL", b"GET /a HTTP/1.1\r\nHost: a\r\nX: b\x00c\r\n\r\n"),
    ("a bare CR", b"GET /a HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"),
    ("bare LFs", b"GET /a HTTP/1.1\nHost: a\n\n"),
    ("length, then coding", POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n" + NO_MORE),
    ("coding, then length", POST + CHUNKED + b"Content-Length: 5\r\n\r\n" + NO_MORE),
    ("two lengths", POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    ("the same length twice", POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
    ("a list of lengths", POST + b"Content-Length: 1, 1\r\n\r\nx"),
    ("a signed length", POST + b"Content-Length: +1\r\n\r\nx"),
    ("a negative length", POST + b"Content-Length: -1\r\n\r\nx"),
    ("an empty length", POST + b"Content-Length:\r\n\r\nx"),
    ("a hexadecimal length", POST + b"Content-Length: 0x1\r\n\r\nx"),
    ("a length above 2^64", POST + b"Content-Length: 99999999999999999999999\r\n\r\nx"),
    ("no such coding", POST + b"Transfer-Encoding: xchunked\r\n\r\n" + NO_MORE),
    ("identity", POST + b"Transfer-Encoding: identity\r\n\r\n" + NO_MORE),
    ("chunked, identity", POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + NO_MORE),
    ("chunked, chunked", POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + NO_MORE),
    ("gzip, chunked", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + NO_MORE),
    ("quoted", POST + b'Transfer-Encoding: "chunked"\r\n\r\n' + NO_MORE),
    ("a vertical tab before the coding", POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + NO_MORE),
    ("a blank before the coding's colon", POST + b"Transfer-Encoding : chunked\r\n\r\n" + NO_MORE),
    ("two codings", POST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + NO_MORE),
    ("two codings, the last one chunked", POST + b"Transfer-Encoding: identity\r\n" + CHUNKED + b"\r\n" + NO_MORE),
    ("chunked, HTTP/1.0", b"POST /a HTTP/1.0\r\nHost: a\r\n" + CHUNKED + b"\r\n" + NO_MORE),
    ("a chunk's size with a prefix", POST + CHUNKED + b"\r\n0x1\r\nx\r\n" + NO_MORE),
    ("a chunk's size with a blank before it", POST + CHUNKED + b"\r\n 1\r\nx\r\n" + NO_MORE),
    ("a chunk's size with a bare LF", POST + CHUNKED + b"\r\n1\nx\r\n" + NO_MORE),
    ("a chunk that is longer than it says", POST + CHUNKED + b"\r\n1\r\nxx\r\n" + NO_MORE),
    ("another protocol, two lengths", POST + H2C + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    ("another protocol, length and coding", POST + H2C + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n" + NO_MORE),
    ("another protocol, gzip, chunked", POST + H2C + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + NO_MORE),
    ("CONNECT with a body", b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"),
    ("two expectations", POST + b"Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n"),
]
UNDERSTOOD = [
    ("a request", GET, ""),
    ("HTTP/1.0 without a host", b"GET /a HTTP/1.0\r\n\r\n", ""),
    ("a port", b"GET /a HTTP/1.1\r\nHost: a:80\r\n\r\n", ""),
    ("an IPv6 address", b"GET /a HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", ""),
    ("empty lines before it", b"\r\n\r\n" + GET, ""),
    ("the host in the target, too", b"GET http://Shop.example/a HTTP/1.1\r\nHost: shop.example\r\n\r\n", ""),
    ("a length", POST + b"Content-Length: 3\r\n\r\nabc", "abc"),
    ("chunks", POST + CHUNKED + b"\r\n1\r\na\r\n2;why=not\r\nbc\r\n" + NO_MORE, "abc"),
    ("CHUNKED", POST + b"Transfer-Encoding:\tCHUNKED\r\n\r\n3\r\nabc\r\n" + NO_MORE, "abc"),
    (
        "an underscore is no dash",
        POST + b"Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\n" + NO_MORE,
        "0\r\n\r\n",
    ),
    ("a GET with a body", b"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", "abc"),
    ("another protocol", b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", ""),
    ("another protocol, with a length", POST + H2C + b"Content-Length: 3\r\n\r\nabc", "abc"),
    ("another protocol, with chunks", POST + H2C + CHUNKED + b"\r\n3\r\nabc\r\n" + NO_MORE, "abc"),
]


@pytest.mark.parametrize("request_", [row[1] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_what_can_be_read_in_two_ways_is_refused(request_: bytes):
    """RFC 9112 (3.2, 5, 6.1, 6.3, 7.1): 400, and the connection ends, so that nothing after it counts as a request."""
    async with serving(echo) as server, connected(server.port) as raw:
        raw.send(request_, GET)
        reply = await raw.reply()
        assert reply.status == 400
        assert reply.headers["connection"] == "close"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert await raw.closed() == b""


@pytest.mark.parametrize(("request_", "body"), [row[1:] for row in UNDERSTOOD], ids=[row[0] for row in UNDERSTOOD])
async def test_what_has_one_meaning_is_served(request_: bytes, body: str):
    """Also in the finest pieces."""
    async with serving(echo) as server:
        whole = await ask(server.port, request_)
        async with connected(server.port) as raw:
            for byte in request_:
                raw.send(bytes([byte]))
                await raw.drain()
            pieces = await raw.reply()
    assert (whole.status, whole.body["path"], whole.body["body"]) == (200, "/a", body)
    assert pieces == whole


async def test_a_request_before_a_malformed_one_gets_its_response():
    """And the malformed one none: there is no telling where it began."""
    async with serving(echo) as server, connected(server.port) as raw:
        raw.send(GET, b"GARBAGE\r\n\r\n", GET)
        reply = await raw.reply()
        assert (reply.status, reply.headers["connection"]) == (200, "close")
        assert await raw.closed() == b""


async def test_requests_on_one_connection_may_name_different_hosts():
    """A host that was looked at is remembered; a bad one after it is still bad."""
    async with serving(echo) as server, connected(server.port) as raw:
        for host in ("a", "a", "b:80"):
            raw.send(b"GET /a HTTP/1.1\r\nHost: %s\r\n\r\n" % host.encode())
            assert (await raw.reply()).body["headers"]["host"] == host
        raw.send(b"GET /a HTTP/1.1\r\nHost: b/80\r\n\r\n")
        assert (await raw.reply()).status == 400


async def test_trailers_are_no_headers():
    """They come after the checks of headers (RFC 9110, 6.5.1)."""
    async with serving(echo) as server:
        reply = await ask(server.port, POST, CHUNKED, b"\r\n0\r\nHost: b\r\nAuthorization: c\r\n\r\n")
    assert reply.body["headers"] == {"host": "shop.example", "transfer-encoding": "chunked"}
    assert reply.body["trailers"] == 2


async def test_another_protocol_ends_the_connection():
    """What comes after such a request is not read, so it must not seem to be."""
    async with serving(echo) as server, connected(server.port) as raw:
        raw.send(b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", GET)
        assert (await raw.reply()).headers["connection"] == "close"
        assert await raw.closed() == b""


async def test_a_request_that_asks_for_another_protocol_is_read_to_its_end():
    """Upgrade is ignored (RFC 9110, 7.8): the body belongs to it, what follows is the next request."""
    request = POST + H2C + b"Content-Length: 19\r\n\r\nGET /b HTTP/1.1\r\n\r\n"
    async with serving(echo) as server, connected(server.port) as raw:
        raw.send(GET, request, request, GET)
        bodies = [(await raw.reply()).body["body"] for _ in range(4)]
        raw.send(POST + H2C + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert await raw._reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        raw.send(b"abc")
        bodies.append((await raw.reply()).body["body"])
    assert bodies == ["", "GET /b HTTP/1.1\r\n\r\n", "GET /b HTTP/1.1\r\n\r\n", "", "abc"]


@pytest.mark.parametrize("status", [204, 205, 304])
async def test_a_status_without_content_goes_without_a_body(status: int):
    """The bytes would be read as the next response (RFC 9110, 6.4.1 and 8.6)."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(send, Response(status, b"{}"))

    async with serving(app) as server, connected(server.port) as raw:
        raw.send(GET, GET)
        for _ in range(2):
            reply = await raw.reply()
            assert (reply.status, reply.body) == (status, None)
            assert ("content-length" in reply.headers) == (status != 204)
