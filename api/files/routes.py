"""/v1/files: register, list, look at and delete one's files. /v1/limits: what a picture may be."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from api.dependencies import Caller, LinksOf, Reader, Services, ServicesOf, Writer
from api.files.documents import (
    Deletion,
    EntryProblem,
    FileDocument,
    FileList,
    FileState,
    LimitsDocument,
    RefusedEntry,
    Registered,
    RegisteredFile,
    RegisteredStatus,
    RequestModel,
    file_fields,
    link_fields,
    status_fields,
)
from api.files.entries import RegistrationEntry, read_entry
from api.problems import problem_responses
from api.responses import Json
from shoebox.aws.errors import AwsError
from shoebox.errors import Invalid, NotFound, Unavailable
from shoebox.files.links import Links
from shoebox.files.model import FILE_ID, File, FileKey, Generation, Registration, State
from shoebox.telemetry import get_logger
from shoebox_client.picture_types import MEDIA_TYPES
from shoebox_client.renditions import RENDITIONS

router = APIRouter(tags=["files"])
ORDER_SECONDS = 5.0
"""The time that deletion orders may take of a registration's."""
_log = get_logger()
_NO_FILE = "There is no such file."
_Entry = Annotated[Any, WithJsonSchema(RegistrationEntry.model_json_schema())]


class RegisterRequest(RequestModel):
    """Files to register; each is judged by itself, so a wrong entry has its problem in its place."""

    files: list[_Entry] = Field(min_length=1, json_schema_extra={"maxItems": 100})


class ListQuery(BaseModel):
    """Which files to list; `id` asks for certain ones, and stands alone or with `urls`."""

    model_config = ConfigDict(extra="forbid")
    limit: int = Field(default=50, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=200, description="`next_cursor` of the page before.")
    state: FileState | None = None
    id: list[str] = Field(default_factory=list, max_length=100, description="Files to show, those that exist.")
    urls: bool = Field(default=True, description="false: leave the URLs out, for cheap polling.")


def file_key(caller: Caller, file_id: str) -> FileKey:
    """Return the key of the caller's file with this id.

    Raises:
        NotFound: no file could have this id.
    """
    if not FILE_ID.fullmatch(file_id):
        raise NotFound(_NO_FILE)
    return FileKey(caller.owner, file_id)


async def find_file(services: Services, key: FileKey) -> File:
    """Return the file, if it is there for its owner to see.

    Raises:
        NotFound: it is not.
    """
    file = await services.files.get(key)
    if file is None:
        raise NotFound(_NO_FILE)
    return file


@router.post("/v1/files", response_model=Registered, responses=problem_responses(401, 403, 413, 422, 503))
async def register_files(body: RegisterRequest, caller: Writer, services: ServicesOf, links: LinksOf) -> Response:
    """Register 1 to 100 files before their bytes are sent.

    What you have stored already comes back as it stands, without `upload`. Each entry is judged by itself. A token
    without `files:read` is told `file_id`, `state` and `upload` only.
    """
    if len(body.files) > services.limits.max_batch:
        raise Invalid(f"Register at most {services.limits.max_batch} files at once.", code="too_many_files")
    entries = [read_entry(entry, services.limits) for entry in body.files]
    good = [entry for entry in entries if isinstance(entry, Registration)]
    result = await services.files.register(caller.owner, good)
    files = iter(result.files)
    documents = [_entry(next(files), caller, links) if isinstance(entry, Registration) else entry for entry in entries]
    await _order_again(services, result.files)
    return Json(Registered(files=documents))


@router.get("/v1/files", response_model=FileList, responses=problem_responses(401, 403, 422, 503))
async def list_files(
    query: Annotated[ListQuery, Query()], caller: Reader, services: ServicesOf, links: LinksOf
) -> Response:
    """List your files, newest first, or show certain ones.

    With a state filter a page may be short, or even empty, and still have a `next_cursor`.
    """
    shown = links if query.urls else None
    if "id" in query.model_fields_set:
        return Json(_list(await _chosen(query, caller, services), None, shown))
    state = State(query.state) if query.state else None
    page = await services.files.page(caller.owner, limit=query.limit, cursor=query.cursor, state=state)
    return Json(_list(page.files, page.next_cursor, shown))


@router.get("/v1/files/{file_id}", response_model=FileDocument, responses=problem_responses(401, 403, 404, 503))
async def show_file(file_id: str, caller: Reader, services: ServicesOf, links: LinksOf) -> Response:
    """Show a file: its state, what was found out about it, and where to get its renditions."""
    file = await find_file(services, file_key(caller, file_id))
    return Json(FileDocument(**file_fields(file, links)))


@router.delete(
    "/v1/files/{file_id}",
    response_model=Deletion,
    status_code=202,
    responses=problem_responses(401, 403, 404, 503),
)
async def delete_file(file_id: str, caller: Writer, services: ServicesOf) -> Response:
    """Delete a file: it is gone for you at once, and its bytes are soon.

    Asking again while they are being deleted has the same response, and orders the deletion again: the first response,
    or the first order, may have been lost on its way.
    """
    before = await services.files.start_deletion(file_key(caller, file_id))
    if before is None:
        raise NotFound(_NO_FILE)
    finished = before.state in {State.READY, State.REJECTED}
    await services.deletions.order(before.generation, after_ingest=not finished)
    if before.expired(services.now()):
        raise NotFound(_NO_FILE)
    return Json(Deletion(file_id=file_id), 202)


def _entry(file: File, caller: Caller, links: Links) -> RegisteredFile | RegisteredStatus | RefusedEntry:
    if file.state is State.DELETING:
        problem = EntryProblem(code="conflict", detail="This file is being deleted; register it again in a moment.")
        return RefusedEntry(name=file.registration.name, problem=problem)
    upload = link_fields(links.upload(file)) if file.state is State.REGISTERED else None
    if not caller.may_read:
        return RegisteredStatus(**status_fields(file), upload=upload)
    return RegisteredFile(**file_fields(file, links), upload=upload)


async def _order_again(services: Services, files: Sequence[File]) -> None:
    """Order the deletion of what these files supersede, and of those that are being deleted.

    An order that is lost leaves the item as it is, so that the next registration orders again. The files are
    registered: a failure here must not make the client believe otherwise.
    """

    async def order(generation: Generation, after_ingest: bool) -> None:
        try:
            await services.deletions.order(generation, after_ingest=after_ingest)
        except (Unavailable, AwsError) as error:
            failed[generation] = type(error).__name__

    orders = {file.supersedes: False for file in files if file.supersedes}
    orders |= {file.generation: True for file in files if file.state is State.DELETING}
    failed: dict[Generation, str] = {}
    try:
        async with asyncio.timeout(ORDER_SECONDS), asyncio.TaskGroup() as group:
            for generation, after_ingest in orders.items():  # at once: as many as the client has connections
                group.create_task(order(generation, after_ingest))
    except TimeoutError:
        _log.warning("deletion_orders_timed_out", orders=len(orders), failed=len(failed))
    for generation, error in failed.items():
        key = generation.key
        _log.warning("deletion_order_failed", tenant=key.owner.tenant, file_id=key.file_id, error=error)


async def _chosen(query: ListQuery, caller: Caller, services: Services) -> list[File]:
    """Return those files of the query's ids that exist, in its order, each once."""
    if query.model_fields_set - {"id", "urls"}:
        raise Invalid("`id` stands alone, or with `urls`.")
    wanted = [file_id for file_id in dict.fromkeys(query.id) if FILE_ID.fullmatch(file_id)]
    found = await services.files.get_many(FileKey(caller.owner, file_id) for file_id in wanted)
    by_id = {file.key.file_id: file for file in found}
    return [by_id[file_id] for file_id in wanted if file_id in by_id]


def _list(files: list[File], next_cursor: str | None, links: Links | None) -> FileList:
    return FileList(files=[FileDocument(**file_fields(file, links)) for file in files], next_cursor=next_cursor)


@router.get("/v1/limits", response_model=LimitsDocument, tags=["service"])
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
