"""The gateway's own responses, functions' responses of both payload formats, and their headers."""

import orjson
import pytest

from fleet.gateway.refusals import GatewayResponses
from fleet.gateway.responses import MalformedResponse, response_1, response_2, sent_headers
from shoebox.stack.gateway import GatewayResponse

DENIED = GatewayResponse(
    status=401, code="$context.authorizer.code", title="Unauthorized", detail="No: $context.authorizer.detail"
)
DENIED_BARE = GatewayResponse(
    status=403, code="$context.authorizer.code", title="No", detail="$context.authorizer.detail"
)


def test_a_refusal_is_a_problem_filled_in_from_the_authorizers_context():
    """Media type, members and status are those of RFC 9457."""
    answer = GatewayResponses({"ACCESS_DENIED": DENIED}).refuse(
        "ACCESS_DENIED", "/v1/files", {"code": "token_expired", "detail": "it has expired"}
    )
    assert answer.status == 401
    assert dict(answer.headers)[b"content-type"] == b"application/problem+json"
    assert orjson.loads(answer.body) == {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "No: it has expired",
        "code": "token_expired",
        "instance": "/v1/files",
    }


def test_an_authorizer_that_gives_no_reason_leaves_no_empty_code():
    """The general one stands in."""
    problem = orjson.loads(GatewayResponses({"ACCESS_DENIED": DENIED_BARE}).refuse("ACCESS_DENIED", "/", {}).body)
    assert problem["code"] == "access_denied"
    assert problem["detail"]


def test_a_type_that_the_stack_does_not_shape_has_a_default():
    """An unknown fault is a 500 that tells nothing."""
    assert GatewayResponses({}).refuse("SOMETHING_NEW", "/").status == 500
    assert GatewayResponses({}).refuse("HEADERS_TOO_LARGE", "/").status == 431


def test_a_functions_answer_becomes_http():
    """Status, both header maps (the multiple one counts), a default content type, and the body as UTF-8."""
    answer = response_1(
        orjson.dumps(
            {
                "statusCode": "201",
                "headers": {"X-One": "1", "Set-Cookie": "lost", "X-Number": 7, "X-Flag": True},
                "multiValueHeaders": {"set-cookie": ["a=1", "b=2"]},
                "body": "ü",
            }
        )
    )
    assert (answer.status, answer.body) == (201, "ü".encode())
    assert sorted(answer.headers) == [
        (b"content-type", b"application/json"),
        (b"set-cookie", b"a=1"),
        (b"set-cookie", b"b=2"),
        (b"x-flag", b"true"),
        (b"x-number", b"7"),
        (b"x-one", b"1"),
    ]


def test_binary_bodies_are_decoded():
    """isBase64Encoded."""
    assert response_1(b'{"statusCode":200,"body":"AAE=","isBase64Encoded":true}').body == b"\x00\x01"


def test_headers_that_are_the_gateways_own_are_renamed_or_dropped():
    """A wrong length or a hop-by-hop header must not reach the wire."""
    answer = response_1(
        b'{"statusCode":200,"headers":{"Content-Length":"5","Connection":"close","Transfer-Encoding":"chunked"}}'
    )
    assert dict(answer.headers) == {b"content-type": b"application/json", b"x-amzn-remapped-content-length": b"5"}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b'"text"',
        b"{}",
        b'{"statusCode":"abc"}',
        b'{"statusCode":99}',
        b'{"statusCode":true}',
        b'{"statusCode":1000}',
        b'{"statusCode":200,"body":{"a":1}}',
        b'{"statusCode":200,"body":"?","isBase64Encoded":true}',
        b'{"statusCode":200,"headers":[]}',
        b'{"statusCode":200,"headers":{"a b":"1"}}',
        b'{"statusCode":200,"headers":{"a":"1\\r\\nset-cookie: x"}}',
        b'{"statusCode":200,"headers":{"a":{}}}',
        b'{"statusCode":200,"multiValueHeaders":{"a":"1"}}',
        b'{"statusCode":200,"cookies":["a=1"]}',
    ],
)
def test_anything_else_is_malformed(payload: bytes):
    """The gateway answers 502 and sends none of it."""
    with pytest.raises(MalformedResponse):
        response_1(payload)


# --- format 2.0 ("Create AWS Lambda proxy integrations for HTTP APIs", Lambda function response format)


@pytest.mark.parametrize(
    ("payload", "body"),
    [
        pytest.param(b'"Hello from Lambda!"', b"Hello from Lambda!", id="a string, as the page has it"),
        pytest.param(b'{"message": "Hello"}', b'{"message":"Hello"}', id="an object, as the page has it"),
        pytest.param(b'{"body": "x", "headers": {}}', b'{"body":"x","headers":{}}', id="an object without statusCode"),
        pytest.param(b"[1, 2]", b"[1,2]", id="a list"),
        pytest.param(b"7", b"7", id="a number"),
        pytest.param(b"null", b"null", id="null"),
        pytest.param(b'""', b"", id="an empty string"),
    ],
)
def test_json_without_a_status_code_is_the_body_of_a_200(payload: bytes, body: bytes):
    """Status 200, content type application/json, body as it is."""
    answer = response_2(payload)
    assert (answer.status, answer.body) == (200, body)
    assert list(answer.headers) == [(b"content-type", b"application/json")]


def test_a_full_answer_has_headers_cookies_and_a_body():
    """Each cookie becomes a Set-Cookie header; multiValueHeaders is no part of the format."""
    answer = response_2(
        b'{"statusCode":201,"headers":{"X-A":"1"},"multiValueHeaders":{"x-b":["2"]},'
        b'"cookies":["a=1; Path=/","b=2"],"body":"AAE=","isBase64Encoded":true}'
    )
    assert (answer.status, answer.body) == (201, b"\x00\x01")
    assert sorted(answer.headers) == [
        (b"content-type", b"application/json"),
        (b"set-cookie", b"a=1; Path=/"),
        (b"set-cookie", b"b=2"),
        (b"x-a", b"1"),
    ]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b'{"statusCode":"abc"}',
        b'{"statusCode":null}',
        b'{"statusCode":200,"body":{}}',
        b'{"statusCode":200,"headers":[]}',
        b'{"statusCode":200,"headers":{"a":["b"]}}',
        b'{"statusCode":200,"cookies":"a=1"}',
        b'{"statusCode":200,"cookies":["a=1\\r\\nx: y"]}',
        b'{"statusCode":200,"body":"?","isBase64Encoded":true}',
    ],
)
def test_any_other_response_of_format_2_is_malformed(payload: bytes):
    """The gateway answers 500 and sends none of it."""
    with pytest.raises(MalformedResponse):
        response_2(payload)


# --- headers ("Amazon API Gateway important notes": remapped, dropped, passed through)

REMAPPED = ("Authorization", "Content-Length", "Content-MD5", "Date", "Max-Forwards", "Server", "User-Agent")
DROPPED = ("Connection", "Expect", "Host", "Keep-Alive", "Proxy-Authenticate", "TE", "Trailer", "Transfer-Encoding")
PASSED = (
    "Age",
    "Cache-Control",
    "Content-Encoding",
    "Content-Type",
    "ETag",
    "Location",
    "Pragma",
    "Set-Cookie",
    "Vary",
)


@pytest.mark.parametrize("name", [*REMAPPED, "WWW-Authenticate"])
def test_remapped(name: str):
    """`Remapped`: the name is changed to X-Amzn-Remapped-<string>."""
    assert (f"x-amzn-remapped-{name.lower()}".encode(), b"v") in sent_headers([(name, "v")])


@pytest.mark.parametrize("name", [*DROPPED, "Upgrade"])
def test_dropped(name: str):
    """The connection's own are not the function's business."""
    assert sent_headers([(name, "v")]) == [(b"content-type", b"application/json")]


@pytest.mark.parametrize("name", PASSED)
def test_passed_through(name: str):
    """In lower case, which HTTP does not tell apart."""
    assert (name.lower().encode(), b"v") in sent_headers([(name, "v")])


def test_every_answer_has_a_content_type():
    """API Gateway includes a Content-Type header for all integration responses: application/json by default."""
    assert sent_headers([]) == [(b"content-type", b"application/json")]
    assert sent_headers([("CONTENT-TYPE", "text/plain")]) == [(b"content-type", b"text/plain")]


def test_a_repeated_header_stays_repeated():
    """Multi-value headers."""
    assert sent_headers([("x", "1"), ("x", "2"), ("content-type", "a/b")])[:2] == [(b"x", b"1"), (b"x", b"2")]


@pytest.mark.parametrize(
    ("name", "value"),
    [("a b", "1"), ("", "1"), ("a", "1\r\nb: 2"), ("a", "\x00"), ("a", None), ("a", []), ("a:", "1")],
)
def test_what_http_cannot_carry_is_malformed(name: str, value: object):
    """Nothing that a function says may split an answer."""
    with pytest.raises(MalformedResponse):
        sent_headers([(name, value)])
