"""The Runtime API's messages: exact bytes out, every header in."""

import pytest

from workers.runtime.errors import MalformedResponse
from workers.runtime.http1 import Response
from workers.runtime.protocol import MAX_CAUSE_BYTES, USER_AGENT, Endpoint, Invocation, Messages

HEADERS = {
    "content-type": "application/json",
    "lambda-runtime-aws-request-id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
    "lambda-runtime-deadline-ms": "1542409706888",
    "lambda-runtime-invoked-function-arn": "arn:aws:lambda:us-east-2:123456789012:function:f",
    "lambda-runtime-trace-id": "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
    "lambda-runtime-aws-tenant-id": "blue",
    "lambda-runtime-client-context": '{"custom":{}}',
    "lambda-runtime-cognito-identity": '{"cognitoIdentityId":"i"}',
    "lambda-runtime-invocation-id": "nonce-1",
}
ENDPOINT = Endpoint("127.0.0.1", 9001)


def invocation(**headers: str) -> Invocation:
    """Return what `next` brings, with other headers."""
    return Invocation.parse(Response(200, {**HEADERS, **headers}, b"{}", keep_alive=True))


def test_next() -> None:
    """`next` is this request, to the byte."""
    assert Messages(ENDPOINT).next == (
        b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n"
        b"Host: 127.0.0.1:9001\r\nUser-Agent: " + USER_AGENT.encode() + b"\r\n\r\n"
    )


def test_response() -> None:
    """A response names its request id in the path and gives the invocation's nonce back."""
    assert Messages(ENDPOINT).response(invocation(), b'{"a":1}', "application/json") == (
        b"POST /2018-06-01/runtime/invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/response HTTP/1.1\r\n"
        b"Host: 127.0.0.1:9001\r\nUser-Agent: " + USER_AGENT.encode() + b"\r\n"
        b"Content-Type: application/json\r\nLambda-Runtime-Invocation-Id: nonce-1\r\n"
        b'Content-Length: 7\r\n\r\n{"a":1}'
    )


def test_no_nonce_without_one() -> None:
    """A Runtime API that sends no nonce gets none."""
    message = Messages(ENDPOINT).response(invocation(**{"lambda-runtime-invocation-id": ""}), b"", "x/y")
    assert b"Invocation-Id" not in message
    assert message.endswith(b"Content-Length: 0\r\n\r\n")


def test_error() -> None:
    """A failure carries its type and X-Ray's cause."""
    assert Messages(ENDPOINT).error(invocation(), b"{}", "Function.ValueError", '{"paths": []}') == (
        b"POST /2018-06-01/runtime/invocation/8476a536-e9f4-11e8-9739-2dfe598c3fcd/error HTTP/1.1\r\n"
        b"Host: 127.0.0.1:9001\r\nUser-Agent: " + USER_AGENT.encode() + b"\r\n"
        b"Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: Function.ValueError\r\n"
        b'Lambda-Runtime-Function-XRay-Error-Cause: {"paths": []}\r\n'
        b"Lambda-Runtime-Invocation-Id: nonce-1\r\nContent-Length: 2\r\n\r\n{}"
    )


def test_too_long_a_cause_is_left_out() -> None:
    """AWS takes no cause of 1 MiB; the failure is posted without it."""
    message = Messages(ENDPOINT).error(invocation(), b"{}", "Function.E", "x" * MAX_CAUSE_BYTES)
    assert b"XRay" not in message
    assert message.startswith(b"POST /2018-06-01/runtime/invocation/8476a536")


def test_init_error() -> None:
    """A failed start has its own path."""
    assert Messages(ENDPOINT).init_error(b"{}", "Runtime.ImportModuleError") == (
        b"POST /2018-06-01/runtime/init/error HTTP/1.1\r\n"
        b"Host: 127.0.0.1:9001\r\nUser-Agent: " + USER_AGENT.encode() + b"\r\n"
        b"Content-Type: application/json\r\n"
        b"Lambda-Runtime-Function-Error-Type: Runtime.ImportModuleError\r\nContent-Length: 2\r\n\r\n{}"
    )


def test_prefix_goes_before_every_path() -> None:
    """A fleet may give each environment a path of its own."""
    messages = Messages(Endpoint.parse("10.0.0.1:9001/.rt/ingest/abc/"))
    assert messages.next.startswith(b"GET /.rt/ingest/abc/2018-06-01/runtime/invocation/next HTTP/1.1\r\n")
    assert messages.init_error(b"", "Runtime.X").startswith(b"POST /.rt/ingest/abc/2018-06-01/runtime/init/error ")
    assert messages.response(invocation(), b"", "a/b").startswith(b"POST /.rt/ingest/abc/2018-06-01/runtime/inv")


def test_invocation_headers() -> None:
    """Every header of `next` has its field."""
    assert invocation() == Invocation(
        request_id="8476a536-e9f4-11e8-9739-2dfe598c3fcd",
        deadline_ms=1542409706888,
        function_arn="arn:aws:lambda:us-east-2:123456789012:function:f",
        trace_id="Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700",
        tenant_id="blue",
        client_context='{"custom":{}}',
        cognito_identity='{"cognitoIdentityId":"i"}',
        invocation_id="nonce-1",
        content_type="application/json",
        body=b"{}",
    )


def test_empty_headers_count_as_missing() -> None:
    """Lambda Managed Instances send empty headers for what they do not know."""
    empty = {name: "" for name in HEADERS if name != "lambda-runtime-aws-request-id"}
    parsed = invocation(**empty)
    assert parsed.deadline_ms == 0
    assert parsed.trace_id is parsed.tenant_id is parsed.client_context is parsed.cognito_identity is None


def test_request_id_is_needed() -> None:
    """Nobody can respond to an invocation without id."""
    with pytest.raises(MalformedResponse, match="Request-Id"):
        invocation(**{"lambda-runtime-aws-request-id": ""})


@pytest.mark.parametrize(
    ("text", "endpoint", "authority"),
    [
        ("127.0.0.1:9001", Endpoint("127.0.0.1", 9001), "127.0.0.1:9001"),
        ("http://lambda.internal:80/a/b", Endpoint("lambda.internal", 80, "/a/b"), "lambda.internal:80"),
        ("localhost", Endpoint("localhost", 80), "localhost:80"),
        ("[::1]:9001/x", Endpoint("::1", 9001, "/x"), "[::1]:9001"),
    ],
)
def test_endpoint(text: str, endpoint: Endpoint, authority: str) -> None:
    """Host, port and path come apart."""
    assert Endpoint.parse(text) == endpoint
    assert endpoint.authority == authority


@pytest.mark.parametrize("text", ["", ":9001", "host:port", "host:0", "host:70000", "host:80/a b", "host:80/a\r\nX: y"])
def test_no_endpoint(text: str) -> None:
    """What cannot be connected to, or would forge a request, is refused."""
    with pytest.raises(ValueError, match="host:port"):
        Endpoint.parse(text)
