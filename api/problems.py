"""Refusals and faults as RFC 9457 problem documents, with the codes of docs/reference/problems.md.

Every answer that is not a success has this form, also for addresses that do not exist and for faults of ours; those
say nothing of their cause, but name the request, under which the log has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as NoConnection
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from shoebox.aws.errors import AwsError
from shoebox.errors import ShoeboxError, Unavailable
from shoebox.telemetry import get_logger

REQUEST_ID = "shoebox.request_id"  # its place in an ASGI scope
MEDIA_TYPE = "application/problem+json"
_MOST_ERRORS = 20
_PASSING = re.compile(
    r"Throttl|Throughput|RequestLimit|SlowDown|Unavailable|InternalError|InternalServer|TooManyRequests"
)
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
_log = get_logger()


class FieldError(BaseModel):
    """A place in the request that is wrong: `location` is body, query or path, `pointer` a JSON pointer (RFC 6901)."""

    location: str
    pointer: str
    detail: str


class Problem(BaseModel):
    """A problem document (RFC 9457); branch on `code`, show `detail`, quote `instance` when you ask for help."""

    type: str = "about:blank"
    title: str = Field(description="The status in words.")
    status: int
    detail: str
    code: str = Field(description="Stable; docs/reference/problems.md lists all.")
    instance: str = Field(description="This very occurrence: `urn:uuid:` and the request's id, as in the log.")
    errors: list[FieldError] | None = Field(
        default=None, description="With the code `validation`: what is wrong where."
    )


def problem(
    scope: Mapping[str, Any],
    status: int,
    code: str,
    detail: str,
    *,
    errors: list[FieldError] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem as a response to the request in `scope`."""
    content = Problem(
        title=title(status),
        status=int(status),
        detail=printable(detail),
        code=code,
        instance=f"urn:uuid:{scope.get(REQUEST_ID, '')}",
        errors=errors,
    )
    body = orjson.dumps(content.model_dump(exclude_none=True))
    return Response(body, int(status), dict(headers or {}), MEDIA_TYPE)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The documented problems of a route, by status, for FastAPI's `responses`."""
    return {status: {"model": Problem, "description": title(status)} for status in statuses}


def title(status: int) -> str:
    """A status in RFC 9110's words, which Python has only since 3.13."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def printable(text: str) -> str:
    """`text` without what UTF-8 cannot carry: JSON may hold half a surrogate pair, and we may have to quote it."""
    return text.encode("utf-8", "replace").decode()


def field_errors(errors: Iterable[Mapping[str, Any]]) -> list[FieldError]:
    """pydantic's findings without the values that were sent, at most twenty."""
    return [_field_error(error["loc"], error["msg"]) for error in list(errors)[:_MOST_ERRORS]]


def _field_error(location: tuple[Any, ...], message: str) -> FieldError:
    where, path = (str(location[0]), location[1:]) if location else ("body", ())
    parts = (printable(str(part))[:100].replace("~", "~0").replace("/", "~1") for part in path)
    return FieldError(location=where, pointer="".join(f"/{part}" for part in parts), detail=printable(message))


def add_handlers(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Make `app` answer every error with a problem; what is left is the edge's business (`api.edge`).

    `routes` are all of the app's: the methods of an address are those of several (RFC 9110, 15.5.6).
    """

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            return _other_method(request, routes)
        return _http(request, error.status_code)

    app.add_exception_handler(ShoeboxError, _domain)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, http)
    for passing in (AwsError, ClientError, NoConnection, HTTPClientError):
        app.add_exception_handler(passing, _aws)


async def _domain(request: Request, error: Exception) -> Response:
    assert isinstance(error, ShoeboxError)
    headers = {"Retry-After": "1"} if error.retryable else {}
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"  # RFC 6750, 3
    return problem(request.scope, error.status, error.code, error.detail, headers=headers)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = field_errors(error.errors())
    return problem(request.scope, 422, "validation", "The request is not as it should be; see `errors`.", errors=errors)


def _http(request: Request, status: int) -> Response:
    if status == HTTPStatus.NOT_FOUND:
        return problem(request.scope, 404, "not_found", "There is nothing at this address.")
    if status == HTTPStatus.BAD_REQUEST:  # FastAPI's word for a body that nobody can parse
        return problem(request.scope, 422, "validation", "The body cannot be read as JSON.")
    return problem(request.scope, status, "internal" if status >= 500 else "validation", title(status))


def _other_method(request: Request, routes: Sequence[BaseRoute]) -> Response:
    here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    allowed = sorted({method for route in here for method in getattr(route, "methods", None) or ()})
    with_head = sorted({*allowed, "HEAD"}) if "GET" in allowed else allowed  # api.edge answers HEAD
    headers = {"Allow": ", ".join(with_head)}
    return problem(request.scope, 405, "method_not_allowed", f"Here one may {' or '.join(allowed)}.", headers=headers)


async def _aws(request: Request, error: Exception) -> Response:
    if isinstance(error, ClientError) and not _is_passing(error):
        _log.error("aws_call_failed", operation=error.operation_name, code=error.response["Error"]["Code"])
        return problem(request.scope, 500, "internal", "Something went wrong here; try again.")
    if isinstance(error, AwsError) and not error.retryable:
        _log.error("aws_call_failed", detail=str(error), code=error.code)
        return problem(request.scope, 500, "internal", "Something went wrong here; try again.")
    _log.warning("aws_call_failed_for_now", error=type(error).__name__)
    return await _domain(request, Unavailable("A part behind the API is busy; try again shortly."))


def _is_passing(error: ClientError) -> bool:
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or bool(_PASSING.search(error.response["Error"]["Code"]))
