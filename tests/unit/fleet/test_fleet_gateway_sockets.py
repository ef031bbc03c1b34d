"""A gateway on a socket: what its server refuses is answered in the gateway's words."""

from typing import Any

import pytest
from gateway_fakes import Api, api_of, policy
from raw_http import Raw, Reply, ask, connected

from fleet.http.limits import RequestLimits
from fleet.http.ports import listen
from fleet.http.server import Server
from shoebox.response_headers import SAFE_HEADERS

ROUTES = [{"path": "/open", "function": "web", "authorize": False}, {"path": "/{proxy+}", "function": "web"}]
SHAPES = {"THROTTLED": {"status": 429, "code": "throttled", "title": "Too Many Requests", "detail": "Wait."}}
TOKEN = b"Authorization: good\r\n"
MARKS = {"rest": {"x-amzn-requestid", "x-amz-apigw-id", "x-amzn-trace-id"}, "http": {"apigw-requestid"}}


def page(_: dict[str, Any]) -> object:
    """Return a page, as a function."""
    return {"statusCode": 200, "body": "{}"}


def gate(event: dict[str, Any]) -> object:
    """Return an authorizer's output, which allows one token."""
    return policy("Allow" if event["multiValueHeaders"]["authorization"] == ["good"] else "Deny")


def made(kind: str = "rest", **changes: Any) -> Api:
    """Return a gateway of this flavour."""
    return api_of({"kind": kind, "routes": ROUTES, **changes}, page, gate)


def served(api: Api, limits: RequestLimits | None = None) -> Server:
    """Serve it on a free port."""
    chosen = limits or RequestLimits()
    return Server(api.gateway, listen(0, "this test"), limits=chosen, refuse=api.gateway.refuse, pages=True)


def get(path: bytes, *headers: bytes) -> bytes:
    """Return a request's bytes."""
    return b"GET %s HTTP/1.1\r\nHost: shop.example\r\n%s\r\n" % (path, b"".join(headers))


TOO_LARGE = (431, "headers_too_large", "Request Header Fields Too Large")
REFUSED = [
    ("two hosts", get(b"/open", b"Host: b\r\n"), (400, "bad_request", "Bad Request")),
    ("an endless header", get(b"/open", b"X: " + b"x" * 100_000), TOO_LARGE),
    ("a header above AWS's limit", get(b"/open", b"X: " + b"x" * 11_000 + b"\r\n"), TOO_LARGE),
    ("two tokens", get(b"/x", TOKEN, TOKEN), (400, "identity_repeated", "Bad Request")),
    ("half a request", get(b"/open")[:-2], (408, "request_timeout", "Request Timeout")),
]


@pytest.mark.parametrize(("request_", "expected"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
async def test_a_refusal_is_the_gateways(request_: bytes, expected: tuple[int, str, str]):
    """As a problem where the stack shapes its answers, else in AWS's form; with ids and safe headers in any case."""
    (status, code, text), limits = expected, RequestLimits(head_seconds=1)
    async with served(made(responses=SHAPES), limits) as server:
        shaped = await ask(server.port, request_)
    assert (shaped.status, shaped.body["code"], shaped.body["status"]) == (status, code, status)
    assert shaped.headers["content-type"] == "application/problem+json"
    for kind, marks in MARKS.items():
        async with served(made(kind), limits) as server:
            plain = await ask(server.port, request_)
        assert (plain.status, plain.body) == (status, {"message": text})
        assert marks <= plain.headers.keys()
        assert SAFE_HEADERS.items() <= plain.headers.items()
    assert SAFE_HEADERS.items() <= shaped.headers.items()


async def test_one_connection_too_many_is_told_so():
    """In the gateway's words."""
    async with (
        served(made(responses=SHAPES), RequestLimits(max_connections=1)) as server,
        connected(server.port) as first,
    ):
        first.send(get(b"/open"))
        assert (await first.reply()).status == 200
        refused = await ask(server.port, get(b"/open"))
    assert (refused.status, refused.body["code"]) == (503, "too_many_connections")


async def test_a_token_in_the_trailers_is_none():
    """It comes after the authorizer has looked; a trailer must not stand among the headers."""
    chunked = b"Transfer-Encoding: chunked\r\n"
    api = made()
    async with served(api) as server:
        late = await ask(server.port, get(b"/x", chunked), b"0\r\n", TOKEN, b"\r\n")
        second = await ask(server.port, get(b"/x", TOKEN, chunked), b"0\r\nAuthorization: bad\r\n\r\n")
    assert (late.status, second.status) == (401, 200)
    assert api.functions.events["web"][0]["multiValueHeaders"]["authorization"] == ["good"]


async def test_a_second_token_is_refused_and_the_first_still_good():
    """Its refusal is kept for nobody."""
    async with served(made()) as server, connected(server.port) as raw:
        raw.send(get(b"/x", TOKEN, b"authorization: bad\r\n"))
        assert (await raw.reply()).status == 400
        assert await _status(raw, get(b"/x", TOKEN)) == 200


LIES = {"content-length": "1", "Transfer-Encoding": "chunked", "Connection": "close", "Trailer": "x"}


@pytest.mark.parametrize("kind", ["rest", "http"])
@pytest.mark.parametrize(
    ("method", "answer", "status"),
    [
        (b"GET", {"statusCode": 204, "body": "{}"}, 204),
        (b"GET", {"statusCode": 304, "body": "{}", "headers": LIES}, 304),
        (b"GET", {"statusCode": 200, "body": "{}", "headers": LIES}, 200),
        (b"HEAD", {"statusCode": 200, "body": "{}", "headers": LIES}, 200),
        (b"GET", {"statusCode": 101, "body": "{}"}, None),
    ],
)
async def test_no_answer_of_a_function_breaks_the_next_on_its_connection(
    kind: str, method: bytes, answer: dict[str, Any], status: int | None
):
    """What frames a response is the server's; a body where none may be would be read as the next response."""
    api = api_of({"kind": kind, "routes": ROUTES}, web=lambda _: answer)
    status = status or {"rest": 502, "http": 500}[kind]
    async with served(api) as server, connected(server.port) as raw:
        for _ in range(2):
            raw.send(get(b"/open").replace(b"GET", method, 1))
            reply = await (raw.head() if method == b"HEAD" else raw.reply())
            assert reply.status == status
            assert not {"transfer-encoding", "trailer", "connection"} & reply.headers.keys()


@pytest.mark.parametrize(("body", "length"), [("{}", "2"), ("", None)])
async def test_an_answer_to_head_claims_no_wrong_length(body: str, length: str | None):
    """A function that left the body out has not said that there is none: GET would have one."""
    api = api_of({"routes": ROUTES}, web=lambda _: {"statusCode": 200, "body": body})
    async with served(api) as server, connected(server.port) as raw:
        raw.send(get(b"/open").replace(b"GET", b"HEAD", 1))
        assert (await raw.head()).headers.get("content-length") == length
        assert await _status(raw, get(b"/open")) == 200


async def test_a_fault_of_the_gateway_is_an_answer_with_an_id():
    """The server would answer without one, and without safe headers."""

    def broken(_: dict[str, Any]) -> object:
        return RuntimeError("nobody expected this")

    async with served(api_of({"routes": ROUTES}, web=broken)) as server:
        failed: Reply = await ask(server.port, get(b"/open"))
    assert (failed.status, failed.body) == (500, {"message": "Internal server error"})
    assert SAFE_HEADERS.items() <= failed.headers.items()
    assert MARKS["rest"] <= failed.headers.keys()


async def _status(raw: Raw, request: bytes) -> int:
    raw.send(request)
    return (await raw.reply()).status
