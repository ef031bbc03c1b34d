"""The documents of the files service: what requests hold, and what responses show (docs/reference/http-api.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from shoebox.files.links import Link, Links
from shoebox.files.model import File, State
from shoebox.timestamps import iso

FileState = Literal["REGISTERED", "READY", "REJECTED"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 as 64 lower-case hex digits.")]
Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


class RequestModel(BaseModel):
    """Base of what clients send: types are strict and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PartRequest(RequestModel):
    """A part that is to be sent, by its number from 1, and its content's SHA-256."""

    part: int = Field(ge=1, le=10_000)
    sha256: Sha256


class PartsRequest(RequestModel):
    """Parts to get URLs for."""

    parts: list[PartRequest] = Field(min_length=1, max_length=100)


class UploadLink(BaseModel):
    """Where and how to send the bytes: with exactly these headers, before `expires_at`."""

    method: Literal["PUT"]
    url: str
    headers: dict[str, str]
    expires_at: Moment


class PartLink(UploadLink):
    """Where and how to send one part."""

    part: int


class Rendition(BaseModel):
    """A rendition: name is its longest side's bound; size in bytes."""

    name: str
    width: int
    height: int
    size: int
    url: str | None


class PhotoMetadata(BaseModel):
    """What the camera noted; null is what it did not, or what was not read when the file was prepared."""

    captured_at: str | None = Field(
        default=None, description="ISO 8601; with an offset only if the camera noted one, else its local time."
    )
    captured_at_source: str | None = Field(
        default=None,
        description="The tag that `captured_at` is from: `EXIF:` DateTimeOriginal, CreateDate or ModifyDate, or `XMP:` "
        "one of these, DateCreated, DateTimeDigitized or DateTime.",
    )
    camera_make: str | None = None
    camera_model: str | None = None
    orientation: int = Field(default=1, description="The EXIF orientation (1 to 8) that the original has.")
    has_gps: bool = Field(default=False, description="The original says where it was taken; Shoebox does not read it.")
    icc_profile: str | None = None


class FileDocument(BaseModel):
    """A file as it stands; renditions and the original's URL only while it is READY."""

    file_id: str
    name: str
    size: int
    content_type: str
    sha256: str
    state: FileState
    reason: str | None
    detail: str | None
    registered_at: Moment
    uploaded_at: Moment | None
    received_at: Moment | None
    finished_at: Moment | None
    width: int | None
    height: int | None
    placeholder: str | None
    metadata: PhotoMetadata | None
    warnings: list[str] = Field(
        description="Stable codes of what was tolerated in a READY picture, such as `icc_profile_broken`; mostly none."
    )
    renditions: list[Rendition]
    original_url: str | None


class FileStatus(BaseModel):
    """All that a token without the scope `files:read` is told of a file."""

    file_id: str
    state: FileState


class RegisteredFile(FileDocument):
    """A file that was registered, or known already; `upload` is there while its bytes are awaited."""

    upload: UploadLink | None


class RegisteredStatus(FileStatus):
    """A `RegisteredFile` for a token without the scope `files:read`."""

    upload: UploadLink | None


class EntryProblem(BaseModel):
    """What is wrong with one file of a registration."""

    code: str
    detail: str


class RefusedEntry(BaseModel):
    """A file that was not registered; its neighbours were."""

    name: str | None
    problem: EntryProblem


class Registered(BaseModel):
    """One entry for each file of the request, in its order."""

    files: list[RegisteredFile | RegisteredStatus | RefusedEntry]


class FileList(BaseModel):
    """Files, newest first; `next_cursor` leads to the next page."""

    files: list[FileDocument]
    next_cursor: str | None


class Deletion(BaseModel):
    """A file whose deletion has begun."""

    file_id: str
    state: Literal["DELETING"] = "DELETING"


class OpenUpload(BaseModel):
    """A multipart upload: `parts` parts of `part_bytes` each, the last one the rest, until `expires_at`."""

    upload_id: str
    part_bytes: int
    parts: int
    expires_at: Moment


class DonePart(BaseModel):
    """A part that S3 holds."""

    part: int
    size: int
    sha256: str | None


class UploadProgress(BaseModel):
    """How far a multipart upload is."""

    upload_id: str
    part_bytes: int
    parts: int
    done: list[DonePart]


class PartLinks(BaseModel):
    """A URL for each part that was asked for, in that order."""

    parts: list[PartLink]


class LimitsDocument(BaseModel):
    """What a picture, and a request, may be."""

    max_bytes: int
    max_pixels: int
    max_pixels_by_type: dict[str, int]
    max_side: int
    max_batch: int
    multipart_from: int
    part_bytes: int
    content_types: list[str]
    renditions: list[str]
    wait_seconds: int = Field(
        description="Give up on stored files only when none of them became READY or REJECTED for so long."
    )


def file_fields(file: File, links: Links | None) -> dict[str, Any]:
    """Return the fields of a file's document; without `links` its URLs are left out."""
    picture = file.picture if file.state is State.READY else None
    renditions = [
        {
            "name": rendition.name,
            "width": rendition.width,
            "height": rendition.height,
            "size": rendition.size,
            "url": links.rendition(file, rendition.name) if links else None,
        }
        for rendition in (picture.renditions if picture else ())
    ]
    return {
        "file_id": file.key.file_id,
        "name": file.registration.name,
        "size": file.registration.size,
        "content_type": file.registration.media_type,
        "sha256": file.registration.sha256,
        "state": file.state.value,
        "reason": file.reason,
        "detail": file.detail,
        "registered_at": iso(file.registered_at),
        "uploaded_at": iso(file.uploaded_at) if file.uploaded_at else None,
        "received_at": iso(file.received_at) if file.received_at else None,
        "finished_at": iso(file.finished_at) if file.finished_at else None,
        "width": picture.width if picture else None,
        "height": picture.height if picture else None,
        "placeholder": picture.placeholder if picture else None,
        "metadata": picture.metadata if picture else None,
        "warnings": list(picture.warnings) if picture else [],
        "renditions": renditions,
        "original_url": links.original(file) if picture and links else None,
    }


def status_fields(file: File) -> dict[str, Any]:
    """Return the fields of a file's document for a caller who may not read."""
    return {"file_id": file.key.file_id, "state": file.state.value}


def link_fields(link: Link) -> dict[str, Any]:
    """Return the fields of an upload's link."""
    return {"method": link.method, "url": link.url, "headers": link.headers, "expires_at": iso(link.expires_at)}
