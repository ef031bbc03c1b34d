from dataclasses import replace
from datetime import UTC, datetime

import orjson

from fleet.gateway.authorizer_rules import authorizer_event
from fleet.gateway.binary import MediaTypes
from fleet.gateway.events import Api, event_1
from fleet.gateway.request import GatewayRequest
from fleet.gateway.routes import Match
from shoebox.stack.gateway import Route

API = Api("api1", "prod", "123456789012", "eu-west-1")
MATCH = Match(Route(path="/v1/{proxy+}", function="api"), {"proxy": "files/ü"})


def request(**changes: object) -> GatewayRequest:
    """Return a request with everything in it."""
    values: dict[str, object] = {
        "method": "POST",
        "path": "/v1/files/ü",
        "raw_path": "/v1/files/%C3%BC",
        "query": "a=1&a=2&b=&c=x%20y",
        "headers": [
            ("host", "shop.example:8080"),
            ("accept", "text/html"),
            ("accept", "*/*"),
            ("user-agent", "curl/8"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-amzn-trace-id", "Root=bad"),
        ],
        "source_ip": "127.0.0.1",
        "host": "shop.example:8080",
        "protocol": "HTTP/1.1",
        "trace_id": "Root=1-67891233-abcdef012345678912345678",
        "request_id": "id-1",
        "received": datetime(2026, 11, 3, 4, 5, 6, tzinfo=UTC),
        **changes,
    }
    return GatewayRequest(**values)  # type: ignore[arg-type]


def test_the_event_is_api_gateways_payload_1_0():
    """Every key of the format is there, single and multiple values side by side, and it is JSON."""
    event = event_1(API, request(), MATCH, {"principalId": "ann", "tenant": "acme"}, b'{"x":1}')
    assert orjson.loads(orjson.dumps(event)) == event
    assert event.keys() == {
        "resource",
        "path",
        "httpMethod",
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
        "requestContext",
        "body",
        "isBase64Encoded",
    }
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/v1/{proxy+}", "/v1/files/%C3%BC", "POST")
    assert event["pathParameters"] == {"proxy": "files/ü"}
    assert event["headers"]["accept"] == "*/*"
    assert event["multiValueHeaders"]["accept"] == ["text/html", "*/*"]
    assert event["queryStringParameters"] == {"a": "2", "b": "", "c": "x y"}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": [""], "c": ["x y"]}
    assert (event["body"], event["isBase64Encoded"]) == ('{"x":1}', False)


def test_the_request_context_tells_who_and_when():
    """Source address, time in both forms, stage, and the authorizer's context."""
    context = event_1(API, request(), MATCH, {"principalId": "ann", "tenant": "acme"}, b"")["requestContext"]
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert context["identity"]["userAgent"] == "curl/8"
    assert context["requestTime"] == "03/Nov/2026:04:05:06 +0000"
    assert context["requestTimeEpoch"] == 1793678706000
    assert (context["requestId"], context["stage"], context["accountId"]) == ("id-1", "prod", "123456789012")
    assert context["authorizer"] == {"principalId": "ann", "tenant": "acme"}


def test_without_an_authorizer_there_is_no_authorizer_context():
    """A route that is open to all."""
    assert "authorizer" not in event_1(API, request(), MATCH, None, b"")["requestContext"]


def test_what_is_empty_is_null():
    """As API Gateway writes it."""
    bare = Match(Route(path="/", function="api"), {})
    event = event_1(API, request(query=""), bare, None, b"")
    assert event["queryStringParameters"] is None
    assert event["multiValueQueryStringParameters"] is None
    assert event["pathParameters"] is None
    assert event["body"] is None


def test_the_gateways_own_headers_replace_the_clients():
    """A client cannot choose the trace id that is not one, and its address is appended."""
    headers = event_1(API, request(), MATCH, None, b"")["multiValueHeaders"]
    assert headers["X-Amzn-Trace-Id"] == ["Root=1-67891233-abcdef012345678912345678"]
    assert headers["X-Forwarded-For"] == ["10.0.0.1, 127.0.0.1"]
    assert headers["X-Forwarded-Port"] == ["8080"]
    assert not {"x-amzn-trace-id", "x-forwarded-for"} & headers.keys()


def test_a_body_of_a_binary_media_type_is_base64():
    """All others are text."""
    pictures = replace(API, bodies=MediaTypes(["image/*"]))
    png = request(headers=[("content-type", "image/png")])
    assert event_1(pictures, png, MATCH, None, b"abc")["body"] == "YWJj"
    assert event_1(pictures, png, MATCH, None, b"abc")["isBase64Encoded"] is True
    assert event_1(API, png, MATCH, None, "ü".encode())["body"] == "ü"


def test_an_authorizer_gets_the_request_without_its_body():
    """Type REQUEST, with the ARN of the method."""
    event = authorizer_event(API, request(), MATCH)
    assert event["type"] == "REQUEST"
    assert event["methodArn"] == "arn:aws:execute-api:eu-west-1:123456789012:api1/prod/POST/v1/files/%C3%BC"
    assert "body" not in event
    assert event["headers"]["accept"] == "*/*"
