"""Bodies as Base64 in events, and back as bytes.

API Gateway, "Content type conversions in API Gateway", "Return binary media from a Lambda proxy integration"; for HTTP
APIs, whose types AWS does not name, what the service is seen to do.
"""

import base64
import os
from typing import Any

import pytest
from gateway_fakes import Api, api_of

BYTES = bytes(range(256)) + os.urandom(1024)
ROUTES = {"routes": [{"path": "/{proxy+}", "function": "web", "authorize": False}]}


def echo(event: dict[str, Any]) -> dict[str, Any]:
    """Answers with the body as it came."""
    return {
        "statusCode": 200,
        "headers": {"content-type": event["headers"].get("content-type", "")},
        "body": event.get("body") or "",
        "isBase64Encoded": event["isBase64Encoded"],
    }


def api(**gateway: Any) -> Api:
    """Return a gateway in front of the echo."""
    return api_of({**ROUTES, **gateway}, web=echo)


@pytest.mark.parametrize(
    ("types", "content_type", "encoded"),
    [
        pytest.param(["image/png"], "image/png", True, id="a type of the list"),
        pytest.param(["image/png"], "IMAGE/PNG; a=b", True, id="in any case, with parameters"),
        pytest.param(["image/png"], "image/jpeg", False, id="no type of the list"),
        pytest.param(["image/*"], "image/jpeg", True, id="any image"),
        pytest.param(["image/*"], "imagex/jpeg", False, id="no image"),
        pytest.param(["*/*"], "application/json", True, id="everything, JSON as well"),
        pytest.param(["*/*"], "", True, id="everything, without a type"),
        pytest.param([], "image/png", False, id="an empty list"),
    ],
)
async def test_a_rest_api_encodes_bodies_of_its_binary_media_types(types: list[str], content_type: str, encoded: bool):
    """Content type conversions: API request; by the Content-Type."""
    made = api(binary_media_types=types)
    await made.ask("POST", "/x", [("content-type", content_type)] if content_type else [], b"abc")
    event = made.functions.events["web"][0]
    assert event["isBase64Encoded"] is encoded
    assert event["body"] == ("YWJj" if encoded else "abc")


@pytest.mark.parametrize(
    ("types", "accept", "decoded"),
    [
        pytest.param(["image/png"], "image/png", True, id="a type of the list"),
        pytest.param(["image/png"], "image/png;q=0.8, text/html", True, id="the first of several"),
        pytest.param(["image/png"], "text/html, image/png", False, id="not the first"),
        pytest.param(["image/webp"], "image/webp,image/*,*/*;q=0.8", True, id="an <img>, as the page has it"),
        pytest.param(["*/*"], "text/html", True, id="everything"),
        pytest.param(["image/png"], None, False, id="no Accept"),
        pytest.param([], "image/png", False, id="an empty list"),
    ],
)
async def test_a_rest_api_decodes_answers_by_the_first_accepted_type(
    types: list[str], accept: str | None, decoded: bool
):
    """API Gateway uses the first Accept header from clients to determine if a response should return binary media."""
    text = base64.b64encode(BYTES).decode()
    answer = {"statusCode": 200, "body": text, "isBase64Encoded": True}
    made = api_of({**ROUTES, "binary_media_types": types}, web=lambda _: answer)
    got = await made.ask("GET", "/x", [("accept", accept)] if accept else [])
    assert got.body == (BYTES if decoded else text.encode())


async def test_a_rest_api_loses_bytes_that_are_not_of_its_types():
    """If binaryMediaTypes is not defined for them, payloads are handled as UTF-8 encoded strings."""
    made = api(binary_media_types=["image/png"])
    await made.ask("POST", "/x", [("content-type", "image/jpeg")], b"\xff\xd8")
    assert made.functions.events["web"][0]["body"] == "��"


@pytest.mark.parametrize(
    ("content_type", "encoded"),
    [
        pytest.param("text/plain", False, id="text"),
        pytest.param("application/json; charset=utf-8", False, id="JSON"),
        pytest.param("application/xml", False, id="XML"),
        pytest.param("application/javascript", False, id="JavaScript"),
        pytest.param("application/x-www-form-urlencoded", True, id="a form"),
        pytest.param("application/octet-stream", True, id="bytes"),
        pytest.param("", True, id="no type"),
    ],
)
async def test_an_http_api_goes_by_the_content_type(content_type: str, encoded: bool):
    """Not documented; the types that the service is seen to treat as text."""
    made = api(kind="http")
    await made.ask("POST", "/x", [("content-type", content_type)] if content_type else [], b"abc")
    assert made.functions.events["web"][0]["isBase64Encoded"] is encoded


@pytest.mark.parametrize(
    ("gateway", "content_type"),
    [
        pytest.param({"binary_media_types": ["*/*"]}, "text/plain", id="REST, everything"),
        pytest.param({"binary_media_types": ["image/*"]}, "image/png", id="REST, images"),
        pytest.param({"kind": "http"}, "image/png", id="HTTP"),
        pytest.param({"kind": "http", "payload": "1.0"}, "application/json", id="HTTP: JSON that is none"),
    ],
)
async def test_bytes_come_back_as_they_went(gateway: dict[str, Any], content_type: str):
    """Every byte value, and random ones."""
    answer = await api(**gateway).ask("POST", "/x", [("content-type", content_type), ("accept", content_type)], BYTES)
    assert answer.body == BYTES
    assert answer.header("content-type") == content_type


async def test_a_compressed_body_is_base64_to_an_http_api():
    """HTTP APIs go by what a body is, and gzip of JSON is no text."""
    made = api(kind="http")
    await made.ask("POST", "/x", [("content-type", "application/json"), ("content-encoding", "gzip")], b"\x1f\x8b")
    assert made.functions.events["web"][0]["isBase64Encoded"] is True
