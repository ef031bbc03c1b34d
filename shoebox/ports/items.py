"""A file as an item of the table `files`, and back. Attribute names and types: docs/reference/data-model.md."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import orjson

from shoebox.files import File, FileKey, Owner, Picture, Registration, RenditionInfo, State

Item = dict[str, Any]


def iso(moment: datetime) -> str:
    """UTC, ISO 8601, milliseconds, Z: sorts as text in the order of time."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def registered_item(key: FileKey, registration: Registration, now: datetime, expires_at: int) -> Item:
    """The item of a newly registered file."""
    registered_at = iso(now)
    return {
        "pk": {"S": key.pk},
        "owner_shard": {"S": key.owner_shard},
        "listed": {"S": f"{registered_at}#{key.file_id}"},
        "tenant": {"S": key.owner.tenant},
        "user": {"S": key.owner.user},
        "file_id": {"S": key.file_id},
        "state": {"S": State.REGISTERED},
        "name": {"S": registration.name},
        "size": {"N": str(registration.size)},
        "media_type": {"S": registration.media_type},
        "sha256": {"S": registration.sha256},
        "registered_at": {"S": registered_at},
        "expires_at": {"N": str(expires_at)},
    }


def to_file(item: Item) -> File:
    """The file that an item describes."""
    return File(
        key=FileKey(Owner(item["tenant"]["S"], item["user"]["S"]), item["file_id"]["S"]),
        registration=Registration(
            name=item["name"]["S"],
            size=int(item["size"]["N"]),
            media_type=item["media_type"]["S"],
            sha256=item["sha256"]["S"],
        ),
        state=State(item["state"]["S"]),
        registered_at=datetime.fromisoformat(item["registered_at"]["S"]),
        uploaded_at=_time(item, "uploaded_at"),
        received_at=_time(item, "received_at"),
        finished_at=_time(item, "finished_at"),
        expires_at=int(item["expires_at"]["N"]) if "expires_at" in item else None,
        upload_id=_text(item, "upload_id"),
        reason=_text(item, "reason"),
        detail=_text(item, "detail"),
        picture=_picture(item["picture"]["S"]) if "picture" in item else None,
    )


def picture_text(picture: Picture) -> str:
    """A picture as the JSON text that is stored: nobody queries by it, and one string is cheaper than a map."""
    return orjson.dumps(asdict(picture)).decode()


def _picture(text: str) -> Picture:
    values = orjson.loads(text)
    renditions = tuple(RenditionInfo(**rendition) for rendition in values.pop("renditions"))
    return Picture(renditions=renditions, **values)


def _text(item: Item, name: str) -> str | None:
    return str(item[name]["S"]) if name in item else None


def _time(item: Item, name: str) -> datetime | None:
    return datetime.fromisoformat(item[name]["S"]) if name in item else None
