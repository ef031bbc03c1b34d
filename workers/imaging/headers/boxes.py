"""The boxes of HEIF and AVIF files (ISO/IEC 14496-12, 23008-12): is one cut, and what is the picture made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from workers.imaging.errors import PictureRejected
from workers.imaging.headers.cursor import Cursor, check_end
from workers.imaging.limits import ImageLimits

NEEDED_BOXES = frozenset({b"ftyp", b"meta", b"mdat", b"moov", b"idat"})
EXTENDED_SIZE, TO_THE_END = 1, 0
# Made of other pictures: grid, overlay, identity, and one tone-mapped by a gain map (ISO/IEC 23008-12, 6.6).
DERIVED = frozenset({"grid", "iovl", "iden", "tmap"})
CODINGS = {
    "hvc1": "HEVC",
    "av01": "AV1",
    "avc1": "AVC (H.264)",
    "vvc1": "VVC (H.266)",
    "evc1": "EVC",
    "lhv1": "layered HEVC",
    "jpeg": "JPEG",
    "j2k1": "JPEG 2000",
    "unci": "uncompressed pixels",
}
MAX_DEPTH = 8
MAX_ITEMS = 1000  # libheif's own limit; an iPhone's 48 megapixels have some 250
# Libraries look for each item of these tables among all before it, so what 1,000 items need is the limit: iloc has
# 18 bytes an item, iref 14, ipma 8.
TABLES = frozenset({b"iloc", b"iref", b"ipma"})
MAX_TABLE_BYTES = 64 * 1024
# Overlays may draw over each other, and a grid's last tiles reach over its edge. Above this a file only wants to cost.
MAX_OVERDRAW = 4
SMALL = 1_000_000
SRGB = (1, 13)


@dataclass(slots=True)
class Items:
    """The still pictures of a file: item types, what is derived from what, and properties.

    `parts` are what a picture is made of, `auxiliaries` what belongs to it: alpha, which is decoded with it, depth.
    `sizes` are width and height as stored (`ispe`), `colours` the numbers of colour primaries and transfer
    characteristics (`colr` with `nclx`; ITU-T H.273).
    """

    primary: int | None = None
    film: bool = False
    types: dict[int, str] = field(default_factory=dict)
    parts: dict[int, list[int]] = field(default_factory=dict)
    auxiliaries: dict[int, list[int]] = field(default_factory=dict)
    sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    colours: dict[int, tuple[int, int]] = field(default_factory=dict)

    def coded(self) -> tuple[set[str], int]:
        """Return the codings that the primary picture is made of, and the pixels that are decoded for it.

        A part counts as often as it is used. Raises `PictureRejected` (`corrupt`) if it is derived too often.
        """
        codings: set[str] = set()
        pixels: dict[int, int] = {}

        def visit(item: int, depth: int) -> int:
            if depth > MAX_DEPTH:
                raise PictureRejected("corrupt", f"the picture is derived from others more than {MAX_DEPTH} times over")
            if item not in pixels:
                kind = self.types.get(item, "")
                if kind in DERIVED:
                    pixels[item] = sum(visit(part, depth + 1) for part in self.parts.get(item, ()))
                else:
                    codings.add(kind)
                    width, height = self.sizes.get(item, (0, 0))
                    pixels[item] = width * height
            return pixels[item]

        total = visit(self.primary, 0) if self.primary is not None else 0
        return codings, total

    @property
    def colour(self) -> tuple[int, int]:
        """The primary picture's colour primaries and transfer characteristics; sRGB's if it does not say."""
        return self.colours.get(self.primary or 0, SRGB)

    def check(self, form: str, coding: str, limits: ImageLimits) -> None:
        """Raise `PictureRejected` unless the primary picture is coded in `coding`, as a file of `form` should be.

        `too_many_pixels` by the size that the container states, before a library judges it by limits of its own;
        `unsupported_type` for another coding and for a film; `too_costly` if its parts and alpha have far more pixels
        than it has; `corrupt` as `coded`. What cannot be read at all is left to the library.
        """
        if self.primary is None and self.film:
            detail = f"this {form} file is a sequence of pictures without a still one; save one as JPEG"
            raise PictureRejected("unsupported_type", detail)
        codings, pixels = self.coded()
        if others := sorted(codings - {coding, ""}):
            names = " and ".join(CODINGS.get(other, repr(other)) for other in others)
            detail = f"HEIF with {names} inside is not accepted as {form}, only with {CODINGS[coding]}; save it as JPEG"
            raise PictureRejected("unsupported_type", detail)
        width, height = self.sizes.get(self.primary or 0, (1, 1))
        limits.check_pixels(width, height)
        for item in self.auxiliaries.get(self.primary or 0, ()):
            across, down = self.sizes.get(item, (0, 0))
            pixels += across * down
        if pixels > MAX_OVERDRAW * max(width * height, SMALL):
            detail = f"the picture is {width}x{height}, and {pixels / 1e6:.0f} megapixels are decoded for it"
            raise PictureRejected("too_costly", detail)


def check_boxes(data: bytes) -> None:
    """Raise `PictureRejected` (`truncated`) if a box that the picture needs is cut (ISO/IEC 14496-12, 4.2).

    `mdat`, which has the pixels, must not end in zeros.
    """
    cursor = Cursor(data)
    pixels = False
    while len(data) - cursor.position >= (8 if pixels else 1):
        start = cursor.position
        size, kind = int.from_bytes(cursor.take(4), "big"), cursor.take(4)
        pixels = pixels or kind == b"mdat"
        if size == TO_THE_END:
            return
        if size == EXTENDED_SIZE:
            size = int.from_bytes(cursor.take(8), "big")
        if size < cursor.position - start or (kind not in NEEDED_BOXES and start + size > len(data)):
            return  # what phones append after the picture need not be boxes
        cursor.skip(start + size - cursor.position)
        if kind == b"mdat":
            check_end(data, start, cursor.position)


def primary_codings(data: bytes) -> set[str]:
    """Return the item types (four characters each) that the primary picture is coded in; empty if it cannot be read."""
    try:
        return read_items(data).coded()[0]
    except PictureRejected:
        return set()


def read_items(data: bytes) -> Items:
    """Return the file's still pictures; without `primary` if it has none, as a film has.

    Only what decides about types and costs is read, and only as far as the boxes reach: whether the file is sound is
    for its library to say. Raises `PictureRejected` (`truncated`) where a box announces more than its end.
    """
    items = Items()
    for kind, start, end in _boxes(data, 0, len(data)):
        items.film = items.film or kind == b"moov"
        if kind != b"meta" or items.types:
            continue
        for inner, inner_start, inner_end in _boxes(data, start + 4, end):
            cursor = Cursor(data, inner_start, inner_end)
            _check_table(inner, inner_end - inner_start)
            match inner:
                case b"pitm":
                    items.primary = _number(cursor, 4 if _version(cursor) else 2)
                case b"iinf":
                    _read_types(cursor, items)
                case b"iref":
                    _read_parts(cursor, items)
                case b"iprp":
                    _read_properties(data, cursor, items)
    return items


def _boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, and where the payload starts and ends, of each box from `start` to `end`."""
    cursor = Cursor(data, start, end)
    while end - cursor.position >= 8:
        at = cursor.position
        size, kind = int.from_bytes(cursor.take(4), "big"), cursor.take(4)
        if size == EXTENDED_SIZE:
            size = int.from_bytes(cursor.take(8), "big")
        elif size == TO_THE_END:
            size = end - at
        if size < cursor.position - at or at + size > end:
            return
        yield kind, cursor.position, at + size
        cursor.skip(at + size - cursor.position)


def _check_table(kind: bytes, size: int) -> None:
    if kind in TABLES and size > MAX_TABLE_BYTES:
        raise PictureRejected(
            "too_costly", f"the file's {kind.decode()} box has {size} bytes; {MAX_TABLE_BYTES} are enough"
        )


def _read_types(cursor: Cursor, items: Items) -> None:
    cursor.skip(4 if _version(cursor) else 2)
    for kind, start, end in _boxes(cursor.data, cursor.position, cursor.end):
        entry = Cursor(cursor.data, start, end)
        if kind == b"infe" and (version := _version(entry)) >= 2:
            item = _number(entry, 4 if version > 2 else 2)
            entry.skip(2)
            items.types[item] = entry.take(4).decode("latin-1")
            if len(items.types) > MAX_ITEMS:
                raise PictureRejected("too_costly", f"the file is made of more than {MAX_ITEMS} parts")


def _read_parts(cursor: Cursor, items: Items) -> None:
    width = 4 if _version(cursor) else 2
    for kind, start, end in _boxes(cursor.data, cursor.position, cursor.end):
        if kind in (b"dimg", b"auxl"):
            reference = Cursor(cursor.data, start, end)
            item, count = _number(reference, width), _number(reference, 2)
            others = [_number(reference, width) for _ in range(count)]
            if kind == b"dimg":
                items.parts[item] = others
            else:
                for other in others:
                    items.auxiliaries.setdefault(other, []).append(item)


def _read_properties(data: bytes, cursor: Cursor, items: Items) -> None:
    """Sizes and colours, which `ipma` gives to items by the place of their property in `ipco`, counted from 1."""
    sizes: dict[int, tuple[int, int]] = {}
    colours: dict[int, tuple[int, int]] = {}
    for kind, start, end in _boxes(data, cursor.position, cursor.end):
        if kind == b"ipco":
            for place, (name, at, stop) in enumerate(_boxes(data, start, end), 1):
                box = Cursor(data, at + 4, stop)
                if name == b"ispe":
                    sizes[place] = _number(box, 4), _number(box, 4)
                elif name == b"colr" and data.startswith(b"nclx", at):
                    colours[place] = _number(box, 2), _number(box, 2)
        elif kind == b"ipma":
            _check_table(kind, end - start)
            for item, place in _associations(Cursor(data, start, end)):
                if place in sizes:
                    items.sizes[item] = sizes[place]
                elif place in colours:
                    items.colours[item] = colours[place]


def _associations(cursor: Cursor) -> Iterator[tuple[int, int]]:
    """Item and place of a property, of each pair in an `ipma` box."""
    version, wide = _version(cursor), cursor.data[cursor.position - 1] & 1
    for _ in range(_number(cursor, 4)):
        item = _number(cursor, 4 if version else 2)
        for _ in range(cursor.byte()):
            yield item, _number(cursor, 2) & 0x7FFF if wide else cursor.byte() & 0x7F


def _version(cursor: Cursor) -> int:
    """Of a full box; the cursor stands behind version and flags afterwards."""
    return cursor.take(4)[0]


def _number(cursor: Cursor, size: int) -> int:
    return int.from_bytes(cursor.take(size), "big")
