"""/v1/files/{id}/multipart: large files in parts, so that an upload goes on after a lost connection or a restart.

S3 keeps the parts and lists those that it has; the table only notes which upload is the file's own. Each part's URL is
bound to the part's exact length and SHA-256, so what S3 holds is what was promised, and resuming is listing.
"""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter
from fastapi.responses import Response

from api.dependencies import Caller, LinksOf, Reader, Services, ServicesOf, Writer
from api.files.documents import (
    DonePart,
    FileDocument,
    FileStatus,
    OpenUpload,
    PartLink,
    PartLinks,
    PartsRequest,
    UploadProgress,
    file_fields,
    link_fields,
    status_fields,
)
from api.files.routes import file_key, find_file
from api.problems import problem_responses
from api.responses import Json
from shoebox.errors import Conflict, Invalid, NotFound
from shoebox.files.model import File, State
from shoebox.files.pictures import Part
from shoebox.timestamps import iso

router = APIRouter(tags=["multipart"])
_UPLOAD = "/v1/files/{file_id}/multipart/{upload_id}"
_NO_UPLOAD = "There is no such upload."
_MAX_NAMED = 20


class PartPlan:
    """How a file of `size` bytes falls into parts."""

    def __init__(self, size: int, part_bytes: int) -> None:
        self.count = max(1, -(-size // part_bytes))
        self._part_bytes = part_bytes
        self._size = size

    def size(self, number: int) -> int:
        """Return the bytes of a part; the last one has the rest.

        Raises:
            Invalid: there is no such part.
        """
        if not 1 <= number <= self.count:
            raise Invalid(f"This file has the parts 1 to {self.count}.")
        return min(self._part_bytes, self._size - (number - 1) * self._part_bytes)

    def missing(self, parts: list[Part]) -> list[int]:
        """Return the parts that are not there whole."""
        sizes = {part.number: part.size for part in parts}
        return [number for number in range(1, self.count + 1) if sizes.get(number) != self.size(number)]


@router.post(
    "/v1/files/{file_id}/multipart",
    response_model=OpenUpload,
    status_code=201,
    responses={
        200: {"model": OpenUpload, "description": "One is open already: go on with it."},
        **problem_responses(401, 403, 404, 409, 503),
    },
)
async def open_upload(file_id: str, caller: Writer, services: ServicesOf) -> Response:
    """Open a multipart upload for a registered file, or find the one that is open."""
    file = await find_file(services, file_key(caller, file_id))
    if file.state is not State.REGISTERED:
        raise Conflict(f"The file is {file.state}; only a REGISTERED one is waiting for its bytes.")
    if file.upload_id:
        if await services.pictures.parts(file.generation, file.upload_id) is not None:
            return _open(file, file.upload_id, services, 200)
        await services.files.close_multipart(file.key, file.upload_id)
    upload_id = await services.pictures.create_multipart(file.generation, file.registration.media_type)
    if await services.files.open_multipart(file.generation, upload_id):
        return _open(await find_file(services, file.key), upload_id, services, 201)
    await services.pictures.abort_multipart(file.generation, upload_id)
    now = await find_file(services, file.key)  # another request has opened an upload first, or changed the file
    if now.upload_id is None:
        raise Conflict("The file changed at this very moment; look at it again.")
    return _open(now, now.upload_id, services, 200)


@router.get(_UPLOAD, response_model=UploadProgress, responses=problem_responses(401, 403, 404, 503))
async def show_upload(file_id: str, upload_id: str, caller: Reader, services: ServicesOf) -> Response:
    """Show which parts have arrived, to go on after an interruption."""
    file = await _uploading(caller, file_id, upload_id, services)
    parts = await services.pictures.parts(file.generation, upload_id)
    if parts is None:
        raise NotFound(_NO_UPLOAD)
    progress = UploadProgress(
        upload_id=upload_id,
        part_bytes=services.limits.part_bytes,
        parts=_plan(file, services).count,
        done=[DonePart(part=part.number, size=part.size, sha256=part.sha256) for part in parts],
    )
    return Json(progress)


@router.post(f"{_UPLOAD}/parts", response_model=PartLinks, responses=problem_responses(401, 403, 404, 413, 422, 503))
async def link_parts(
    file_id: str, upload_id: str, body: PartsRequest, caller: Writer, services: ServicesOf, links: LinksOf
) -> Response:
    """Get a URL for each of 1 to 100 parts; each is bound to its exact length and SHA-256."""
    file = await _uploading(caller, file_id, upload_id, services)
    plan = _plan(file, services)
    parts = [
        PartLink(
            part=wanted.part,
            **link_fields(links.part(file, upload_id, wanted.part, size=plan.size(wanted.part), sha256=wanted.sha256)),
        )
        for wanted in body.parts
    ]
    return Json(PartLinks(parts=parts))


@router.post(
    f"{_UPLOAD}/complete",
    response_model=FileDocument | FileStatus,
    status_code=202,
    responses=problem_responses(401, 403, 404, 409, 503),
)
async def complete_upload(
    file_id: str, upload_id: str, caller: Writer, services: ServicesOf, links: LinksOf
) -> Response:
    """Join the parts; the file is then checked and prepared like any other.

    Asking again, because a response was lost, does no harm as long as the file is not finished. 404: S3 has neither the
    upload nor the file; register it again. A token without `files:read` is told `file_id` and `state` only.
    """
    file = await _uploading(caller, file_id, upload_id, services)
    plan = _plan(file, services)
    parts = await services.pictures.parts(file.generation, upload_id)
    missing = plan.missing(parts) if parts is not None else []
    if missing:
        named = ", ".join(map(str, missing[:_MAX_NAMED])) + (" and more" if len(missing) > _MAX_NAMED else "")
        raise Conflict(f"These parts are missing or short: {named}.")
    joined = parts is not None and await services.pictures.complete_multipart(
        file.generation, upload_id, parts[: plan.count]
    )
    # An upload that is gone was joined by an earlier request, or S3 has dropped it with its parts.
    if not joined and not await services.pictures.has_original(file.generation):
        await services.files.close_multipart(file.key, upload_id)
        raise NotFound(_NO_UPLOAD)
    if not caller.may_read:
        return Json(FileStatus(**status_fields(file)), 202)
    return Json(FileDocument(**file_fields(file, links)), 202)


@router.delete(_UPLOAD, status_code=204, response_class=Response, responses=problem_responses(401, 403, 404, 503))
async def abort_upload(file_id: str, upload_id: str, caller: Writer, services: ServicesOf) -> Response:
    """Give an upload up: its parts are thrown away, the file stays registered."""
    file = await _uploading(caller, file_id, upload_id, services)
    await services.pictures.abort_multipart(file.generation, upload_id)
    await services.files.close_multipart(file.key, upload_id)
    return Response(status_code=204)


async def _uploading(caller: Caller, file_id: str, upload_id: str, services: Services) -> File:
    """Return the caller's file that this upload belongs to.

    Raises:
        NotFound: there is none, or the upload is an old one, or another file's.
    """
    file = await find_file(services, file_key(caller, file_id))
    if file.state is not State.REGISTERED or file.upload_id != upload_id:
        raise NotFound(_NO_UPLOAD)
    return file


def _plan(file: File, services: Services) -> PartPlan:
    return PartPlan(file.registration.size, services.limits.part_bytes)


def _open(file: File, upload_id: str, services: Services, status: int) -> Response:
    upload = OpenUpload(
        upload_id=upload_id,
        part_bytes=services.limits.part_bytes,
        parts=_plan(file, services).count,
        expires_at=iso(datetime.fromtimestamp(file.register_until or 0, UTC)),
    )
    return Json(upload, status)
