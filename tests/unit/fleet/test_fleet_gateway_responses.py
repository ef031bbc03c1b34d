import orjson
import pytest

from fleet.gateway.refusals import GatewayResponses
from fleet.gateway.responses import MalformedResponse, response_1
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
