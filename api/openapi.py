"""The API's description, OpenAPI 3.1: FastAPI's own, corrected where this API responds differently."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response

from api.problems import MEDIA_TYPE
from api.responses import not_modified, weak_etag

router = APIRouter(include_in_schema=False)
_DESCRIPTION = """\
Register photos, send their bytes to S3 by presigned URLs, and get renditions back.

Every route but those under *service* needs a token: `Authorization: Bearer <JWT>`, signed by the shop. Whatever goes
wrong is answered with a problem document (RFC 9457) that has a stable `code`.
"""
_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of `app`, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title="Shoebox", version=app.version, description=_DESCRIPTION, routes=app.routes, openapi_version="3.1.0"
        )
        _correct(document)
        app.openapi_schema = document
    return app.openapi_schema


@router.get("/openapi.json")
async def show_openapi(request: Request) -> Response:
    """Show the description as JSON."""
    body = orjson.dumps(describe(request.app))
    headers = {"etag": weak_etag(hashlib.sha256(body).hexdigest()[:20]), "cache-control": "no-cache"}
    return not_modified(request, headers) or Response(body, media_type="application/json", headers=headers)


def _correct(document: dict[str, Any]) -> None:
    """Give problems their own media type, and take out FastAPI's form of validation errors, which is never sent."""
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        responses = operation["responses"]
        for status in [status for status, response in responses.items() if _is_fastapis_own(response)]:
            del responses[status]
        for response in responses.values():
            content = response.get("content", {})
            if content.get("application/json", {}).get("schema", {}).get("$ref", "").endswith("/Problem"):
                content[MEDIA_TYPE] = content.pop("application/json")
    for name in _FASTAPIS_OWN:
        document["components"]["schemas"].pop(name, None)


def _is_fastapis_own(response: dict[str, Any]) -> bool:
    return any(
        content.get("schema", {}).get("$ref", "").endswith("/HTTPValidationError")
        for content in response.get("content", {}).values()
    )
