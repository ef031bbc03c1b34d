"""The few EXIF fields Shoebox needs, read so that no malformed block can fail a picture.

Pillow's reader raises or warns on what cameras really write; this one knows a dozen tags, never follows more than
three directories and answers with what it could read (Exif 3.0, 4.6: TIFF 6.0 directories). Writers put tags into the
wrong one of the first two directories, and use types that the tag must not have: both are read.
"""

from __future__ import annotations

from codecs import utf_8_decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

PREFIX = b"Exif\x00\x00"
ORIENTATION, MAKE, MODEL = 0x0112, 0x010F, 0x0110
EXIF_DIRECTORY, GPS_DIRECTORY = 0x8769, 0x8825
# By how near they are to the moment of capture: the date's tag, and that of its offset from UTC.
DATES = {"DateTimeOriginal": (0x9003, 0x9011), "CreateDate": (0x9004, 0x9012), "ModifyDate": (0x0132, 0x9010)}
GPS_POSITION = frozenset({2, 4})  # latitude, longitude
# BYTE, SHORT, LONG, SBYTE, SSHORT, SLONG, IFD (TIFF Technical Note 1): sizes in bytes
NUMBER_SIZES = {1: 1, 3: 2, 4: 4, 6: 1, 8: 2, 9: 4, 13: 4}
TEXTS = frozenset({1, 2, 6, 7, 129})  # BYTE, ASCII, SBYTE, UNDEFINED, UTF-8 (Exif 3.0)
MAX_ENTRIES = 512
MAX_TEXT_BYTES = 256

Order = Literal["little", "big"]
Entry = tuple[int, int, bytes]


class ExifDate(NamedTuple):
    """A date as it was written, and the offset from UTC that belongs to it; `tag` is a key of `DATES`."""

    tag: str
    text: str
    offset: str


@dataclass(frozen=True, slots=True)
class Exif:
    """What the camera noted; empty where it noted nothing readable. `dates` come in the order of `DATES`, unjudged."""

    orientation: int = 1
    make: str = ""
    model: str = ""
    dates: tuple[ExifDate, ...] = ()
    has_gps: bool = False


def read_exif(block: bytes) -> Exif:
    """Read a TIFF block with or without EXIF's prefix. Never raises."""
    tiff = block.removeprefix(PREFIX)
    order: Order | None = {b"II*\x00": "little", b"MM\x00*": "big"}.get(tiff[:4])  # type: ignore[assignment]
    if order is None:
        return Exif()
    main = _directory(tiff, int.from_bytes(tiff[4:8], order), order)
    photo = _directory(tiff, _number(main, EXIF_DIRECTORY, order), order)
    gps = _directory(tiff, _number(main, GPS_DIRECTORY, order) or _number(photo, GPS_DIRECTORY, order), order)
    orientation = _number(main, ORIENTATION, order)
    return Exif(
        orientation=orientation if 1 <= orientation <= 8 else 1,
        make=next(_texts(tiff, (main, photo), MAKE, order), ""),
        model=next(_texts(tiff, (main, photo), MODEL, order), ""),
        dates=tuple(
            ExifDate(name, text, next(_texts(tiff, (photo, main), offset, order), ""))
            for name, (tag, offset) in DATES.items()
            for text in _texts(tiff, (main, photo) if name == "ModifyDate" else (photo, main), tag, order)
        ),
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
    """Return the first value of `tag`; 0 if there is none. Signs are ignored: a negative offset leads outside."""
    kind, _, value = entries.get(tag, (0, 0, b""))
    return int.from_bytes(value[: NUMBER_SIZES.get(kind, 0)], order)


def _texts(tiff: bytes, directories: tuple[dict[int, Entry], ...], tag: int, order: Order) -> Iterator[str]:
    """Return the texts of `tag` that are not blank, one a directory at most."""
    for entries in directories:
        kind, count, value = entries.get(tag, (0, 0, b""))
        if kind not in TEXTS:
            continue
        offset, size = int.from_bytes(value, order), min(count, MAX_TEXT_BYTES)
        raw = (value[:count] if count <= 4 else tiff[offset : offset + size]).split(b"\x00", 1)[0]
        try:
            text = utf_8_decode(raw, "strict", count <= MAX_TEXT_BYTES)[0]  # else a letter may be cut at its end
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
        if cleaned := "".join(letter for letter in text if letter.isprintable()).strip():
            yield cleaned
