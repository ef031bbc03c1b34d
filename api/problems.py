"""Refusals and faults as RFC 9457 problem documents, with the codes of docs/reference/problems.md.

Every response that is not a success has this form, also for addresses that do not exist and for faults of ours; those
say nothing of their cause, but name the request, under which the log has it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from shoebox.errors import ShoeboxError
from shoebox.telemetry import get_logger

REQUEST_ID = "shoebox.request_id"  # its place in an ASGI scope
MEDIA_TYPE = "application/problem+json"
_MAX_ERRORS = 20
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
    """Return a problem as a response to the request in `scope`."""
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
    """Return the documented problems of a route, by status, for FastAPI's `responses`."""
    return {status: {"model": Problem, "description": title(status)} for status in statuses}


def title(status: int) -> str:
    """Return a status in RFC 9110's words, which Python has only since 3.13."""
    return _TITLES.get(status) or HTTPStatus(status).phrase


def printable(text: str) -> str:
    """Return `text` without what UTF-8 cannot carry: JSON may hold half a surrogate pair, and we may quote it."""
    return text.encode("utf-8", "replace").decode()


def field_errors(errors: Iterable[Mapping[str, Any]]) -> list[FieldError]:
    """Return pydantic's findings without the values that were sent, at most twenty."""
    found = []
    for error in list(errors)[:_MAX_ERRORS]:
        where, *path = error["loc"] or ("body",)
        parts = (printable(str(part))[:100].replace("~", "~0").replace("/", "~1") for part in path)
        pointer = "".join(f"/{part}" for part in parts)
        found.append(FieldError(location=str(where), pointer=pointer, detail=printable(error["msg"])))
    return found


def add_handlers(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Make `app` respond to every error with a problem; `api.edge` handles what is left.

    `routes` are all of the app's: the methods of an address are those of several (RFC 9110, 15.5.6).
    """

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status = error.status_code
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            return _method_not_allowed(request, routes)
        if status == HTTPStatus.NOT_FOUND:
            return problem(request.scope, 404, "not_found", "There is nothing at this address.")
        if status == HTTPStatus.BAD_REQUEST:  # FastAPI raises it for a body that it cannot parse
            return problem(request.scope, 422, "validation", "The body cannot be read as JSON.")
        return problem(request.scope, status, "internal" if status >= 500 else "validation", title(status))

    app.add_exception_handler(ShoeboxError, _domain)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, http)


async def _domain(request: Request, error: Exception) -> Response:
    assert isinstance(error, ShoeboxError)
    headers = {}
    if error.retryable:
        headers["Retry-After"] = "1"
        _log.warning("dependency_unavailable", detail=error.detail, cause=repr(error.__cause__ or error))
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"  # RFC 6750, 3
    return problem(request.scope, error.status, error.code, error.detail, headers=headers)


async def _validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = field_errors(error.errors())
    return problem(request.scope, 422, "validation", "The request is not as it should be; see `errors`.", errors=errors)


def _method_not_allowed(request: Request, routes: Sequence[BaseRoute]) -> Response:
    here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    allowed = sorted({method for route in here for method in getattr(route, "methods", None) or ()})
    with_head = sorted({*allowed, "HEAD"}) if "GET" in allowed else allowed  # api.edge handles HEAD
    headers = {"Allow": ", ".join(with_head)}
    return problem(request.scope, 405, "method_not_allowed", f"Here one may {' or '.join(allowed)}.", headers=headers)
