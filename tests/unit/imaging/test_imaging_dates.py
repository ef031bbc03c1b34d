"""The date of a photo, and which tag it is from: EXIF's and XMP's, wherever and however they were written."""

from __future__ import annotations

import struct
import time
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from picture_builders import POSITION, TYPES, Fields, chunk, flat, save, tiff_block, xmp_packet

from workers.imaging import ImageLimits
from workers.imaging.dates import read_date
from workers.imaging.headers import Header
from workers.imaging.metadata import Metadata, read_metadata
from workers.imaging.probe import probe
from workers.imaging.xmp import MAX_XMP_BYTES, read_xmp

ORIGINAL, DIGITIZED, MODIFIED, OFFSET, OFFSET_ORIGINAL, OFFSET_DIGITIZED = (
    0x9003,
    0x9004,
    0x0132,
    0x9010,
    0x9011,
    0x9012,
)
DATE, OTHER, ZERO, BLANK = (
    b"2024:07:05 10:11:12\0",
    b"2023:02:03 04:05:06\0",
    b"0000:00:00 00:00:00\0",
    b"    :  :     :  :  \0",
)
DAY, OTHER_DAY = "2024-07-05T10:11:12", "2023-02-03T04:05:06"


def of(main: Fields, photo: Fields | None = None, xmp: bytes = b"") -> tuple[str | None, str | None]:
    """Return the date that is taken from these directories and this packet, and its source."""
    found = read_metadata(Header(1, 1, exif=tiff_block(main, photo), xmp=xmp))
    return found.captured_at, found.captured_at_source


@pytest.mark.parametrize(
    ("main", "photo", "date", "source"),
    [
        ({}, {ORIGINAL: DATE, DIGITIZED: OTHER}, DAY, "EXIF:DateTimeOriginal"),
        ({MODIFIED: OTHER}, {ORIGINAL: DATE}, DAY, "EXIF:DateTimeOriginal"),
        ({MODIFIED: OTHER}, {DIGITIZED: DATE}, DAY, "EXIF:CreateDate"),
        ({MODIFIED: DATE}, {}, DAY, "EXIF:ModifyDate"),
        ({MODIFIED: DATE}, None, DAY, "EXIF:ModifyDate"),
        ({}, {MODIFIED: DATE}, DAY, "EXIF:ModifyDate"),
        ({ORIGINAL: DATE}, {}, DAY, "EXIF:DateTimeOriginal"),
        ({ORIGINAL: DATE}, {DIGITIZED: OTHER}, DAY, "EXIF:DateTimeOriginal"),
        ({DIGITIZED: DATE}, None, DAY, "EXIF:CreateDate"),
        ({ORIGINAL: OTHER}, {ORIGINAL: DATE}, DAY, "EXIF:DateTimeOriginal"),
        ({ORIGINAL: DATE}, {ORIGINAL: ZERO}, DAY, "EXIF:DateTimeOriginal"),
        ({}, {ORIGINAL: ZERO, DIGITIZED: DATE}, DAY, "EXIF:CreateDate"),
        ({MODIFIED: DATE}, {ORIGINAL: BLANK, DIGITIZED: b"2024:13:05 10:11:12\0"}, DAY, "EXIF:ModifyDate"),
        ({MODIFIED: ZERO}, {ORIGINAL: ZERO, DIGITIZED: BLANK}, None, None),
        ({}, {ORIGINAL: DATE, OFFSET_ORIGINAL: b"+02:00\0"}, f"{DAY}+02:00", "EXIF:DateTimeOriginal"),
        ({}, {ORIGINAL: DATE, OFFSET: b"+02:00\0", OFFSET_DIGITIZED: b"+03:00\0"}, DAY, "EXIF:DateTimeOriginal"),
        (
            {},
            {DIGITIZED: DATE, OFFSET_ORIGINAL: b"+02:00\0", OFFSET_DIGITIZED: b"-03:30\0"},
            f"{DAY}-03:30",
            "EXIF:CreateDate",
        ),
        ({MODIFIED: DATE}, {OFFSET: b"Z\0"}, f"{DAY}+00:00", "EXIF:ModifyDate"),
        ({ORIGINAL: DATE, OFFSET_ORIGINAL: b"+02:00\0"}, {}, f"{DAY}+02:00", "EXIF:DateTimeOriginal"),
        (
            {},
            {ORIGINAL: b"2024-07-05T10:11:12Z\0", OFFSET_ORIGINAL: b"+02:00\0"},
            f"{DAY}+00:00",
            "EXIF:DateTimeOriginal",
        ),
    ],
)
def test_the_best_exif_date_is_taken(
    main: dict[int, bytes], photo: dict[int, bytes] | None, date: str | None, source: str | None
) -> None:
    """Of capture, digitization and change, the first that is a date, in either directory, with its own offset."""
    text = [None if fields is None else {tag: (2, raw) for tag, raw in fields.items()} for fields in (main, photo)]
    assert of(text[0] or {}, text[1]) == (date, source)


@pytest.mark.parametrize(
    ("attributes", "elements", "date", "source"),
    [
        ('exif:DateTimeOriginal="2024-07-05T10:11:12"', "", DAY, "XMP:DateTimeOriginal"),
        ('photoshop:DateCreated="2024-07-05T10:11:12.50+02:00"', "", f"{DAY}+02:00", "XMP:DateCreated"),
        ('xmp:CreateDate="2024-07-05T10:11:12Z"', "", f"{DAY}+00:00", "XMP:CreateDate"),
        ('exif:DateTimeDigitized="2024-07-05T10:11:12"', "", DAY, "XMP:DateTimeDigitized"),
        ('xmp:ModifyDate="2024-07-05T10:11"', "", "2024-07-05T10:11:00", "XMP:ModifyDate"),
        ('tiff:DateTime="2024-07-05"', "", "2024-07-05T00:00:00", "XMP:DateTime"),
        (
            'xmp:CreateDate="2023-02-03T04:05:06"',
            "<exif:DateTimeOriginal>\n2024-07-05T10:11:12 </exif:DateTimeOriginal>",
            DAY,
            "XMP:DateTimeOriginal",
        ),
        (
            'xmp:CreateDate="2023-02-03T04:05:06" photoshop:DateCreated="2024-07-05T10:11:12"',
            "",
            DAY,
            "XMP:DateCreated",
        ),
        (
            'xmp:ModifyDate="2023-02-03T04:05:06"',
            "<xmp:CreateDate>2024-07-05T10:11:12</xmp:CreateDate>",
            DAY,
            "XMP:CreateDate",
        ),
        ('exif:DateTimeOriginal="0000-00-00T00:00:00" xmp:ModifyDate="2024-07-05T10:11:12"', "", DAY, "XMP:ModifyDate"),
        ('photoshop:DateCreated="2024"', "", None, None),
        (
            "",
            "<xmp:Thumb><rdf:Description><xmp:CreateDate>2024-07-05</xmp:CreateDate></rdf:Description></xmp:Thumb>",
            None,
            None,
        ),
        ("", "<rdf:RDF><rdf:Description xmp:CreateDate='2024-07-05'/></rdf:RDF>", None, None),
    ],
)
def test_the_best_xmp_date_is_taken(attributes: str, elements: str, date: str | None, source: str | None) -> None:
    """Attributes and elements of the picture's own description; what is nested is another picture's."""
    assert of({}, None, xmp_packet(attributes, elements)) == (date, source)


def test_exif_goes_before_xmp() -> None:
    """XMP is asked only when EXIF has no date at all."""
    packet = xmp_packet('exif:DateTimeOriginal="2023-02-03T04:05:06"')
    assert of({MODIFIED: (2, DATE)}, {}, packet) == (DAY, "EXIF:ModifyDate")
    assert of({MODIFIED: (2, ZERO)}, {}, packet) == (OTHER_DAY, "XMP:DateTimeOriginal")


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024:07:05 10:11:12", DAY),
        ("2024-07-05 10:11:12", DAY),
        ("2024/07/05 10:11:12", DAY),
        ("2024.07.05 10:11:12", DAY),
        ("2024:07:05T10:11:12", DAY),
        ("2024:07:05:10:11:12", DAY),
        ("2024:7:5 10:11:12", DAY),
        ("  2024:07:05  10:11:12 ", DAY),
        ("2024:07:05 10:11:12.345", DAY),
        ("2024:07:05 10:11:12,345+0200", f"{DAY}+02:00"),
        ("2024:07:05 10:11:12 -07:00", f"{DAY}-07:00"),
        ("2024:07:05 10:11:12z", f"{DAY}+00:00"),
        ("2024:07:05 10:11:12+99:00", DAY),
        ("2024:07:05 10:11:12+02:75", DAY),
        ("2024:07:05 10:11", "2024-07-05T10:11:00"),
        ("2024:07:05", "2024-07-05T00:00:00"),
        ("1890:01:02 03:04:05", "1890-01-02T03:04:05"),
        ("1970:01:01 00:00:01", "1970-01-01T00:00:01"),
        ("2024:02:29 00:00:00", "2024-02-29T00:00:00"),
        *((none, None) for none in ("", "2023:02:29 00:00:00", "2024:00:05 10:11:12", "2024:07:00 10:11:12")),
        *((none, None) for none in ("2024:07:05 24:00:00", "2024:07:05 10:60:00", "0000-00-00", "05/07/2024", "2024")),
        *(
            (none, None)
            for none in ("1970:01:01 00:00:00", "1904-01-01T00:00:00Z", "0001:01:01 00:00:00", "9999-12-31T23:59:59")
        ),
        *(
            (none, None)
            for none in ("2024:07:05 10:11:12 and more", "٢٠٢٤:07:05 10:11:12", "65535:65535:65535 65535:65535:65535")
        ),
    ],
)
def test_a_date_is_read_strictly(text: str, date: str | None) -> None:
    """Dashes, slashes, fractions and offsets are read; zeros, blanks and days that do not exist are none."""
    assert read_date(text) == date


@pytest.mark.parametrize("pointer_type", [3, 4, 8, 9, 13])
def test_pointers_of_any_integer_type_are_followed(pointer_type: int) -> None:
    """SHORT, LONG, SSHORT, SLONG and IFD lead to EXIF's and GPS's directories."""
    found = read_metadata(Header(1, 1, exif=tiff_block({}, {ORIGINAL: (2, DATE)}, POSITION, pointer_type)))
    assert (found.captured_at, found.has_gps) == (DAY, True)


def test_a_gps_pointer_beside_the_date_is_followed() -> None:
    """Some writers put GPS's pointer into EXIF's own directory."""
    outer = tiff_block({}, None, POSITION)
    (at,) = struct.unpack(">I", outer[18:22])
    photo_at = len(outer)
    block = outer[:10] + struct.pack(">HHII", 0x8769, 4, 1, photo_at) + outer[22:]
    block += struct.pack(">HHHIII", 1, 0x8825, 4, 1, at, 0)
    assert read_metadata(Header(1, 1, exif=block)).has_gps


def test_a_position_in_xmp_is_told() -> None:
    """The original knows the place, whichever block says so; the place itself is not read."""
    found = read_metadata(Header(1, 1, xmp=xmp_packet('exif:GPSLatitude="50,43.0N" exif:GPSLongitude="7,6.0E"')))
    assert found == Metadata(has_gps=True)


@pytest.mark.parametrize("kind", [1, 2, 6, 7, 129])
@pytest.mark.parametrize(
    ("raw", "make"),
    [
        (b"Acme\0", "Acme"),
        (b"Acme", "Acme"),
        (b"  Acme  \0\0\0\0\0", "Acme"),
        (b"Acm", "Acm"),
        ("Söhne\0".encode(), "Söhne"),
        (b"S\xf6hne\0", "Söhne"),
        ("日本".encode(), "日本"),
        (b"\0\0\0\0\0\0", None),
        (b"      ", None),
        ("é".encode() * 200, "é" * 64),
        (b"x" + "é".encode() * 200, "x" + "é" * 63),
    ],
)
def test_texts_of_any_byte_type_are_read(kind: int, raw: bytes, make: str | None) -> None:
    """BYTE, ASCII, SBYTE, UNDEFINED and UTF-8, in UTF-8 or Latin-1; what follows a NUL is none of it."""
    assert read_metadata(Header(1, 1, exif=tiff_block({0x010F: (kind, raw)}))).camera_make == make


def test_texts_of_number_types_are_none() -> None:
    """A SHORT is no text."""
    assert read_metadata(Header(1, 1, exif=tiff_block({0x010F: (3, b"AcmeAcme")}))) == Metadata()


PACKET = xmp_packet('xmp:CreateDate="2024-07-05T10:11:12"')


def in_png(payload: bytes) -> bytes:
    """Return a PNG with an iTXt chunk."""
    png = save(flat((1, 2, 3)), "PNG")
    return png[:33] + chunk(b"iTXt", payload) + png[33:]


def in_jpeg(*payloads: bytes) -> bytes:
    """Return a JPEG with these APP1 segments."""
    jpeg = save(flat((1, 2, 3)), "JPEG")
    return jpeg[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(p) + 2) + p for p in payloads) + jpeg[2:]


KEYWORD = b"XML:com.adobe.xmp\0"
JPEG_TAG, EXTENDED_TAG = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"


@pytest.mark.parametrize(
    ("data", "media_type", "source"),
    [
        (in_jpeg(JPEG_TAG + PACKET), "image/jpeg", "XMP:CreateDate"),
        (in_jpeg(b"Exif\0\0" + tiff_block({}), JPEG_TAG + PACKET + bytes(100)), "image/jpeg", "XMP:CreateDate"),
        (in_jpeg(EXTENDED_TAG + bytes(40) + PACKET), "image/jpeg", None),
        (in_png(KEYWORD + b"\0\0\0\0" + PACKET), "image/png", "XMP:CreateDate"),
        (in_png(KEYWORD + b"\0\0en\0XMP\0" + PACKET), "image/png", "XMP:CreateDate"),
        (in_png(KEYWORD + b"\1\0\0\0" + zlib.compress(PACKET)), "image/png", "XMP:CreateDate"),
        (in_png(KEYWORD + b"\1\0\0\0" + zlib.compress(PACKET)[:-9]), "image/png", None),
        (in_png(KEYWORD + b"\1\0\0\0" + zlib.compress(PACKET + bytes(50 * MAX_XMP_BYTES))), "image/png", None),
        (in_png(KEYWORD), "image/png", None),
        (in_png(b"Comment\0\0\0\0\0" + PACKET), "image/png", None),
        (save(flat((1, 2, 3)), "WEBP", xmp=PACKET), "image/webp", "XMP:CreateDate"),
        (save(flat((1, 2, 3)), "HEIC", xmp=PACKET), "image/heic", "XMP:CreateDate"),
        (save(flat((1, 2, 3)), "AVIF", xmp=PACKET), "image/avif", "XMP:CreateDate"),
        *(
            (
                save(flat((1, 2, 3)), form, exif=b"Exif\0\0" + tiff_block({}, {DIGITIZED: (2, DATE)})),
                media_type,
                "EXIF:CreateDate",
            )
            for form, media_type in TYPES.items()
            if form != "GIF"  # has neither
        ),
    ],
)
def test_each_format_has_its_places(data: bytes, media_type: str, source: str | None) -> None:
    """JPEG's APP1, PNG's iTXt and eXIf, WebP's chunks, HEIC's and AVIF's items; PNG's text unpacks to so much only."""
    found = read_metadata(probe(data, media_type, ImageLimits()))
    assert (found.captured_at, found.captured_at_source) == (DAY if source else None, source)


BOMB = b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 12))


@pytest.mark.parametrize(
    ("packet", "date"),
    [
        (
            b'<!DOCTYPE x [<!ENTITY a0 "2024-07-05">' + BOMB + b"]>" + PACKET.replace(b"2024-07-05T10:11:12", b"&a11;"),
            None,
        ),
        (b'<!DOCTYPE x SYSTEM "file:///etc/passwd">' + PACKET, None),
        (PACKET.replace(b"2024-07-05T10:11:12", b"&#50;024-07-05"), "2024-07-05"),
        (PACKET.decode().encode("utf-16"), "2024-07-05T10:11:12"),
        (b'<?xml version="1.0" encoding="utf-99"?>' + PACKET, None),
        (PACKET[: PACKET.index(b"</rdf:RDF>")], "2024-07-05T10:11:12"),
        (b"\0\0" + PACKET + b"\0\0\0", "2024-07-05T10:11:12"),
        (PACKET.replace(b"xmlns:xmp=", b"xmlns:xap="), None),
        (PACKET + b" " * MAX_XMP_BYTES, None),
    ],
)
def test_hostile_and_damaged_packets_do_no_harm(packet: bytes, date: str | None) -> None:
    """A packet with a document type is not read, so no entity is expanded; damage costs what stands behind it."""
    assert read_xmp(packet).get("xmp:CreateDate") == date


RDF = b'<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'


@pytest.mark.parametrize(
    "packet",
    [
        b"<a>" * (MAX_XMP_BYTES // 3),
        RDF + b"<r:Description>" * (MAX_XMP_BYTES // 16),
        RDF + b"<r:RDF><r:Description>" * (MAX_XMP_BYTES // 23),
        RDF + b"<r:Description>" + b"x&#10;" * (MAX_XMP_BYTES // 7),
        RDF + b"<r:Description " + b" ".join(b'a%d=""' % n for n in range(MAX_XMP_BYTES // 13)) + b"/>",
    ],
    ids=["deep", "descriptions", "pairs", "pieces", "attributes"],
)
def test_the_largest_packet_costs_little(packet: bytes) -> None:
    """Depth, number of parts, text in pieces and attributes cost time in proportion to their bytes."""
    assert len(packet) <= MAX_XMP_BYTES
    started = time.process_time()
    read_xmp(packet)
    assert time.process_time() - started < 2


@given(st.binary(max_size=300))
def test_random_packets_never_raise(noise: bytes) -> None:
    """Whatever stands in a packet, the answer is what could be read."""
    for packet in (noise, PACKET[:200] + noise, PACKET[:-120] + noise + PACKET[-120:]):
        read_metadata(Header(1, 1, xmp=packet))


@pytest.mark.parametrize("offset", [0, 8, 10, 4_000_000_000])
def test_directories_that_lead_back_or_outside_end(offset: int) -> None:
    """A directory may name itself, or one behind the end, and claim 65,535 entries."""
    entries = b"".join(struct.pack(">HHII", tag, 4, 1, offset) for tag in (0x8769, 0x8825))
    dates = b"".join(struct.pack(">HHII", tag, 2, 4_000_000_000, offset) for tag in (ORIGINAL, MODIFIED, 0x010F))
    block = b"MM\0*\0\0\0\x08" + struct.pack(">H", 65_535) + entries + dates
    assert read_metadata(Header(1, 1, exif=block)).captured_at is None
