"""API Gateway's proxy events, both versions, in and out."""

import base64
from typing import Any

import pytest

from workers.runtime.gateway import GatewayRequest, GatewayResponse

V1: dict[str, Any] = {
    "resource": "/v1/files/{id}",
    "path": "/v1/files/a b",
    "httpMethod": "GET",
    "headers": {"Accept": "b", "Host": "api.example.org"},
    "multiValueHeaders": {"Accept": ["a", "b"], "Host": ["api.example.org"], "X-Forwarded-Proto": ["https"]},
    "queryStringParameters": {"state": "y"},
    "multiValueQueryStringParameters": {"state": ["x&", "y"], "cursor": ["=ü"]},
    "requestContext": {"stage": "prod", "identity": {"sourceIp": "203.0.113.7"}},
    "body": None,
    "isBase64Encoded": False,
}
V2: dict[str, Any] = {
    "version": "2.0",
    "rawPath": "/v1/files/a b",
    "rawQueryString": "state=x%26&state=y",
    "cookies": ["a=1", "b=2"],
    "headers": {"accept": "a,b", "host": "api.example.org:8443"},
    "requestContext": {"http": {"method": "POST", "path": "/v1/files/a b", "sourceIp": "203.0.113.7"}},
    "body": base64.b64encode(b"\xff\x00").decode(),
    "isBase64Encoded": True,
}


def test_version_1_request() -> None:
    """Repeated headers and parameters survive, and what came decoded is encoded again."""
    request = GatewayRequest.of(V1)
    assert (request.version, request.method, request.path) == ("1.0", "GET", "/v1/files/a b")
    assert request.raw_path == b"/v1/files/a%20b"
    assert request.query == b"state=x%26&state=y&cursor=%3D%C3%BC"
    assert [value for name, value in request.headers if name == b"accept"] == [b"a", b"b"]
    assert (request.scheme, request.server) == ("https", ("api.example.org", 443))
    assert (request.body, request.source_ip) == (b"", "203.0.113.7")


def test_version_1_without_multi_values() -> None:
    """Hand-made and local events often have the single values only, or null."""
    bare = {"httpMethod": "post", "path": "/", "headers": {"A": "b"}, "queryStringParameters": {"q": "1"}, "body": "é"}
    request = GatewayRequest.of({**bare, "multiValueHeaders": None, "multiValueQueryStringParameters": None})
    assert (request.method, request.headers, request.query) == ("POST", [(b"a", b"b")], b"q=1")
    assert request.body == "é".encode()
    assert GatewayRequest.of({"httpMethod": "GET", "path": "/"}).headers == []


@pytest.mark.parametrize(
    ("domain", "path", "raw_path"),
    [
        ("api1.execute-api.eu-west-1.amazonaws.com", "/a%41 b", b"/a%2541%20b"),
        ("url1.lambda-url.eu-west-1.on.aws", "/aA b", b"/a%41 b"),
    ],
    ids=["an HTTP API has decoded the path", "a function URL has not"],
)
def test_a_path_is_decoded_once(domain: str, path: str, raw_path: bytes) -> None:
    """`%2541` is the text %41, and no way around a rule about A."""
    context = {**V2["requestContext"], "domainName": domain}
    request = GatewayRequest.of({**V2, "rawPath": "/a%41 b", "requestContext": context})
    assert (request.path, request.raw_path) == (path, raw_path.replace(b" ", b"%20"))


@pytest.mark.parametrize(
    ("version", "path", "raw_path"),
    [({}, "/aA b", b"/a%41 b"), ({"version": "1.0"}, "/a%41 b", b"/a%2541%20b")],
    ids=["a REST API has not decoded the path", "an HTTP API has"],
)
def test_a_path_of_version_1_is_decoded_once(version: dict[str, str], path: str, raw_path: bytes) -> None:
    """Only HTTP APIs name the version."""
    request = GatewayRequest.of({"httpMethod": "GET", "path": "/a%41 b", **version})
    assert (request.path, request.raw_path) == (path, raw_path.replace(b" ", b"%20"))


def test_version_2_request() -> None:
    """Cookies become one header, bodies are decoded, the query is left as the client wrote it."""
    request = GatewayRequest.of(V2)
    assert (request.version, request.method, request.path) == ("2.0", "POST", "/v1/files/a b")
    assert request.raw_path == b"/v1/files/a%20b"
    assert request.query == b"state=x%26&state=y"
    assert request.headers[-1] == (b"cookie", b"a=1; b=2")
    assert (request.body, request.server) == (b"\xff\x00", ("api.example.org", 8443))


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"requestContext": None}])
def test_other_events_are_refused(event: dict[str, Any]) -> None:
    """An event of another source is named as such."""
    with pytest.raises(ValueError, match="not an API Gateway proxy event"):
        GatewayRequest.of(event)


HEADERS = [(b"Content-Type", b"application/json"), (b"Set-Cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"Vary", b"x")]


def test_version_1_response() -> None:
    """Every header keeps all its values."""
    assert GatewayResponse(200, HEADERS, b'"\xc3\xa9"').proxy_response(GatewayRequest.of(V1)) == {
        "statusCode": 200,
        "body": '"é"',
        "isBase64Encoded": False,
        "multiValueHeaders": {"content-type": ["application/json"], "set-cookie": ["a=1", "b=2"], "vary": ["x"]},
    }


def test_version_2_response() -> None:
    """Cookies have a list of their own, other repeated headers are joined."""
    response = GatewayResponse(201, [*HEADERS, (b"vary", b"y")], b"").proxy_response(GatewayRequest.of(V2))
    assert response == {
        "statusCode": 201,
        "body": "",
        "isBase64Encoded": False,
        "headers": {"content-type": "application/json", "vary": "x, y"},
        "cookies": ["a=1", "b=2"],
    }


@pytest.mark.parametrize(
    ("content_type", "more", "body", "is_base64"),
    [
        (b"text/html; charset=utf-8", [], b"<p>", False),
        (b"application/problem+json", [], b"{}", False),
        (b"image/svg+xml", [], b"<svg/>", False),
        (b"image/jpeg", [], b"\xff\xd8", True),
        (b"image/jpeg", [], b"plain ascii", True),
        (b"", [], b"who knows", True),
        (b"text/plain", [], b"\xff", True),
        (b"text/plain; charset=iso-8859-1", [], b"\xe9", True),
        (b"application/json", [(b"content-encoding", b"gzip")], b"{}", True),
    ],
)
def test_binary_bodies(content_type: bytes, more: list[tuple[bytes, bytes]], body: bytes, is_base64: bool) -> None:
    """Text goes as text only if headers and bytes agree that it is UTF-8."""
    headers = [(b"Content-Type", content_type), *more] if content_type else more
    response = GatewayResponse(200, headers, body).proxy_response(GatewayRequest.of(V1))
    assert response["isBase64Encoded"] is is_base64
    assert (base64.b64decode(response["body"]) if is_base64 else response["body"].encode()) == body


def test_head_has_no_body() -> None:
    """A response to HEAD keeps its headers and loses its body."""
    response = GatewayResponse(200, [(b"content-length", b"5")], b"\xff" * 5).proxy_response(
        GatewayRequest.of({**V1, "httpMethod": "HEAD"})
    )
    assert (response["body"], response["isBase64Encoded"]) == ("", False)
    assert response["multiValueHeaders"] == {"content-length": ["5"]}


def test_version_2_with_an_http_method() -> None:
    """cargo-lambda puts version 1.0's `httpMethod` into version 2.0: the context decides."""
    event = {"httpMethod": "GET", "rawPath": "/a", "requestContext": {"http": {"method": "POST", "sourceIp": "::1"}}}
    request = GatewayRequest.of(event)
    assert (request.version, request.method, request.path) == ("2.0", "POST", "/a")
