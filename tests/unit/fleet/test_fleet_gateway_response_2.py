"""Answers of format 2.0 ("Create AWS Lambda proxy integrations for HTTP APIs", Lambda function response format)."""

import pytest

from fleet.gateway.responses import MalformedResponse, response_2


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
def test_anything_else_is_malformed(payload: bytes):
    """The gateway answers 500 and sends none of it."""
    with pytest.raises(MalformedResponse):
        response_2(payload)
