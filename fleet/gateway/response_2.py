"""Functions' answers of format 2.0, which HTTP APIs read.

Source: API Gateway, "Create AWS Lambda proxy integrations for HTTP APIs" (Lambda function response format): an answer
without a status code is the body of a 200, in JSON; each cookie is a Set-Cookie of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from fleet.gateway.response_headers import MalformedResponse, header_value, sent_headers
from fleet.gateway.responses import body_of, headers_in, read_answer, status_of
from fleet.http.asgi import JSON, Headers, Response


def proxy_response_2(payload: bytes, *, decode: bool = True) -> Response:
    """The HTTP answer that a function gave, or meant.

    A string becomes the body as it is; every other JSON becomes it as JSON, null as well.

    Raises:
        MalformedResponse: it is not JSON, or holds what HTTP cannot carry.
    """
    answer = read_answer(payload)
    if isinstance(answer, dict) and "statusCode" in answer:
        return Response(status_of(answer), body_of(answer, decode=decode), _headers(answer))
    return Response(200, answer.encode() if isinstance(answer, str) else orjson.dumps(answer), JSON)


def _headers(answer: Mapping[str, Any]) -> Headers:
    cookies = answer.get("cookies") or []
    if not isinstance(cookies, list):
        raise MalformedResponse("cookies are not a list")
    return [*sent_headers(headers_in(answer).items()), *((b"set-cookie", header_value(cookie)) for cookie in cookies)]
