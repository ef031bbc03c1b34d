"""Checking a registration entry by entry: one bad file never fails its neighbours.

An entry's form comes first, then its name, type, size and checksum; the first rule that it breaks is its problem.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import Field, ValidationError

from api.files.documents import EntryProblem, RefusedEntry, RequestModel
from api.problems import field_errors, printable
from shoebox.config import Limits
from shoebox.files.model import Registration
from shoebox_client.names import is_plain_name
from shoebox_client.picture_types import MEDIA_TYPES, refusal, usual_media_type

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SHOWN = 300  # characters of a refused name that are quoted


class RegistrationEntry(RequestModel):
    """A file that is to be uploaded."""

    name: str = Field(
        description="At most 255 bytes of UTF-8, without a path, control characters or invisible characters."
    )
    size: int = Field(description="Bytes.")
    content_type: str = Field(description=f"One of {', '.join(MEDIA_TYPES)}.")
    sha256: str = Field(description="SHA-256 of the bytes as 64 lower-case hex digits.")


def read_entry(entry: Any, limits: Limits) -> Registration | RefusedEntry:
    """Return the registration that an entry of a request asks for, or its problem."""
    try:
        asked = RegistrationEntry.model_validate(entry)
    except ValidationError as error:
        problems = error.errors(include_input=False)
        found = field_errors({"loc": ("entry", *e["loc"]), "msg": e["msg"]} for e in problems)
        return _refused(entry, "validation", "; ".join(f"{e.pointer or 'entry'}: {e.detail}" for e in found))
    broken = _broken_rule(asked, limits)
    if broken:
        return _refused(entry, *broken)
    return Registration(asked.name, asked.size, MEDIA_TYPES[usual_media_type(asked.content_type)], asked.sha256)


def _broken_rule(asked: RegistrationEntry, limits: Limits) -> tuple[str, str] | None:
    if not is_plain_name(asked.name):
        return "name_invalid", "A name has 1 to 255 bytes of UTF-8, and no path, control or invisible characters."
    content_type = usual_media_type(asked.content_type)
    if content_type not in MEDIA_TYPES:
        why = refusal(content_type)
        return "type_unsupported", f"{why + '. ' if why else ''}These types can be stored: {', '.join(MEDIA_TYPES)}."
    if asked.size == 0:
        return "size_zero", "The file is empty."
    if asked.size < 0:
        return "validation", "/size: it cannot be negative"
    if asked.size > limits.max_bytes:
        return "size_too_large", f"A file may have {limits.max_bytes} bytes."
    if not _SHA256.fullmatch(asked.sha256):
        return "checksum_malformed", "sha256 is 64 lower-case hex digits."
    return None


def _refused(entry: Any, code: str, detail: str) -> RefusedEntry:
    name = entry.get("name") if isinstance(entry, dict) else None
    shown = printable(name)[:_SHOWN] if isinstance(name, str) else None
    return RefusedEntry(name=shown, problem=EntryProblem(code=code, detail=detail))
