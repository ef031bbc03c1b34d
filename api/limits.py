"""/v1/limits: what a picture may be, so that a client can tell its user before any byte is sent."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from api.models import Json, LimitsDocument
from api.services import ServicesOf
from shoebox.files.model import MEDIA_TYPES, RENDITIONS

router = APIRouter(tags=["service"])


@router.get("/v1/limits", response_model=LimitsDocument)
async def show_limits(services: ServicesOf) -> Response:
    """Show the limits; no token is needed."""
    limits = services.limits
    document = LimitsDocument(
        **limits.model_dump(include=set(LimitsDocument.model_fields)),
        max_pixels_by_type=limits.max_pixels_by_type,
        content_types=list(MEDIA_TYPES),
        renditions=list(RENDITIONS),
        wait_seconds=services.settings.wait_seconds,
    )
    return Json(document)
