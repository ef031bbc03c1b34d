"""A file as an item of the table `files`, and back. Attribute names and types: docs/reference/data-model.md."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any

import orjson

from shoebox.files.model import (
    FIRST_REVISION,
    LANE,
    File,
    FileKey,
    Generation,
    Owner,
    Picture,
    Registration,
    RenditionInfo,
    State,
)
from shoebox.files.store import PendingDeletion, list_key
from shoebox.timestamps import iso

Item = dict[str, Any]


def registered(file: File) -> Item:
    """Return the attributes of a file that was registered a moment ago, but for `due`."""
    return {
        "owner_shard": {"S": file.key.owner_shard},
        "listed": {"S": list_key(file)},
        **_identity(file.generation),
        "state": {"S": State.REGISTERED},
        "name": {"S": file.registration.name},
        "size": {"N": str(file.registration.size)},
        "media_type": {"S": file.registration.media_type},
        "sha256": {"S": file.registration.sha256},
        "registered_at": {"S": iso(file.registered_at)},
        "register_until": {"N": str(file.register_until)},
        **superseding(file.supersedes),
    }


def tombstone(generation: Generation, mark: str, due: dict[str, str]) -> Item:
    """Return the attributes of an item that has nothing but objects to delete; `mark` is new in each write of it."""
    return {**_identity(generation), "state": {"S": State.DELETING}, "mark": {"S": mark}, "due": due}


def superseding(generation: Generation | None) -> Item:
    """Return the attribute that says which generation an item's own has replaced, if any."""
    return {"supersedes": {"S": f"{generation.lane}/{generation.ulid}"}} if generation else {}


def update_of(attributes: Item, removed: Iterable[str] = ()) -> dict[str, Any]:
    """Return the update that sets these attributes and removes those names; others stay as they are."""
    removed = list(removed)
    clauses = {
        "SET": [f"#{name} = :{name}" for name in attributes],
        "REMOVE": [f"#{name}" for name in removed],
    }
    return {
        "UpdateExpression": " ".join(f"{word} {', '.join(parts)}" for word, parts in clauses.items() if parts),
        "ExpressionAttributeNames": {f"#{name}": name for name in (*attributes, *removed)},
        "ExpressionAttributeValues": {f":{name}": value for name, value in attributes.items()},
    }


def to_generation(item: Item) -> Generation:
    """Return the generation that an item is of: a file's own, or a tombstone's."""
    key = FileKey(Owner(item["tenant"]["S"], item["user"]["S"]), item["file_id"]["S"])
    return Generation(key, _text(item, "generation") or "", _text(item, "lane") or LANE)


def to_superseded(item: Item) -> Generation | None:
    """Return the generation that the item's own has replaced, if it says so."""
    found = _text(item, "supersedes")
    if found is None:
        return None
    lane, _, ulid = found.partition("/")
    return Generation(to_generation(item).key, ulid, lane)


def to_file(item: Item) -> File:
    """Return the file that an item describes."""
    until = item.get("register_until") or item.get("expires_at")  # its name in items of the first key layout
    return File(
        generation=to_generation(item),
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
        register_until=int(until["N"]) if until else None,
        revision=_text(item, "revision") or FIRST_REVISION,
        upload_id=_text(item, "upload_id"),
        supersedes=to_superseded(item),
        reason=_text(item, "reason"),
        detail=_text(item, "detail"),
        picture=_picture(item["picture"]["S"]) if "picture" in item else None,
    )


def to_pending_deletion(item: Item) -> PendingDeletion:
    """Return the deletion that an item in the state DELETING stands for."""
    return PendingDeletion(
        generation=to_generation(item),
        revisions=frozenset({FIRST_REVISION, _text(item, "revision") or FIRST_REVISION}),
        upload_id=_text(item, "upload_id"),
        supersedes=to_superseded(item),
        mark=_text(item, "mark"),
    )


def picture_text(picture: Picture) -> str:
    """Return a picture as JSON text."""
    # Not a map: no query reads inside it, and one string is cheaper to write and to read.
    return orjson.dumps(asdict(picture)).decode()


def _identity(generation: Generation) -> Item:
    """Return the attributes that name the owner, the file and the generation of an item."""
    owner = generation.key.owner
    return {
        "tenant": {"S": owner.tenant},
        "user": {"S": owner.user},
        "file_id": {"S": generation.key.file_id},
        **({"generation": {"S": generation.ulid}} if generation.ulid else {}),
        "lane": {"S": generation.lane},
    }


def _picture(text: str) -> Picture:
    values = orjson.loads(text)
    renditions = tuple(RenditionInfo(**rendition) for rendition in values.pop("renditions"))
    warnings = tuple(values.pop("warnings", ()))  # older items have none
    return Picture(renditions=renditions, warnings=warnings, **values)


def _text(item: Item, name: str) -> str | None:
    return str(item[name]["S"]) if name in item else None


def _time(item: Item, name: str) -> datetime | None:
    return datetime.fromisoformat(item[name]["S"]) if name in item else None
