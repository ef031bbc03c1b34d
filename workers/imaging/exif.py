"""The few EXIF fields Shoebox needs, read so that no malformed block can fail a picture.

Pillow's reader raises or warns on what cameras really write; this one knows five tags, never follows more than
three directories and answers with what it could read (Exif 3.0, 4.6: TIFF 6.0 directories).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = b"Exif\x00\x00"
ORIENTATION, MAKE, MODEL = 0x0112, 0x010F, 0x0110
EXIF_DIRECTORY, GPS_DIRECTORY = 0x8769, 0x8825
TAKEN, TAKEN_OFFSET = 0x9003, 0x9011
GPS_POSITION = frozenset({2, 4})  # latitude, longitude
ASCII, SHORT, LONG = 2, 3, 4
MAX_ENTRIES = 512

Order = Literal["little", "big"]
Entry = tuple[int, int, bytes]


@dataclass(frozen=True, slots=True)
class Exif:
    """What the camera noted; empty where it noted nothing readable. `taken` is `YYYY:MM:DD HH:MM:SS`."""

    orientation: int = 1
    make: str = ""
    model: str = ""
    taken: str = ""
    taken_offset: str = ""
    has_gps: bool = False


def read_exif(block: bytes) -> Exif:
    """Read a TIFF block with or without EXIF's prefix. Never raises."""
    tiff = block.removeprefix(PREFIX)
    order: Order | None = {b"II*\x00": "little", b"MM\x00*": "big"}.get(tiff[:4])  # type: ignore[assignment]
    if order is None:
        return Exif()
    main = _directory(tiff, int.from_bytes(tiff[4:8], order), order)
    photo = _directory(tiff, _number(main, EXIF_DIRECTORY, order), order)
    gps = _directory(tiff, _number(main, GPS_DIRECTORY, order), order)
    orientation = _number(main, ORIENTATION, order)
    return Exif(
        orientation=orientation if 1 <= orientation <= 8 else 1,
        make=_text(tiff, main, MAKE, order),
        model=_text(tiff, main, MODEL, order),
        taken=_text(tiff, photo, TAKEN, order),
        taken_offset=_text(tiff, photo, TAKEN_OFFSET, order),
        has_gps=not GPS_POSITION.isdisjoint(gps),
    )


def _directory(tiff: bytes, offset: int, order: Order) -> dict[int, Entry]:
    """Tag → (type, count, four bytes of value or offset). An offset of 0 is no directory."""
    if offset < 8:
        return {}
    count = min(int.from_bytes(tiff[offset : offset + 2], order), MAX_ENTRIES)
    entries: dict[int, Entry] = {}
    for start in range(offset + 2, offset + 2 + 12 * count, 12):
        raw = tiff[start : start + 12]
        if len(raw) < 12:
            break
        tag, kind = int.from_bytes(raw[:2], order), int.from_bytes(raw[2:4], order)
        entries.setdefault(tag, (kind, int.from_bytes(raw[4:8], order), raw[8:]))
    return entries


def _number(entries: dict[int, Entry], tag: int, order: Order) -> int:
    kind, _, value = entries.get(tag, (0, 0, b""))
    if kind == SHORT:
        return int.from_bytes(value[:2], order)
    return int.from_bytes(value, order) if kind == LONG else 0


def _text(tiff: bytes, entries: dict[int, Entry], tag: int, order: Order) -> str:
    kind, count, value = entries.get(tag, (0, 0, b""))
    if kind != ASCII:
        return ""
    offset = int.from_bytes(value, order)
    raw = value[:count] if count <= 4 else tiff[offset : offset + min(count, 256)]
    text = raw.split(b"\x00", 1)[0].decode("utf-8", "replace")
    return "".join(letter for letter in text if letter.isprintable()).strip()
