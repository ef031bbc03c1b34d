"""What a file is: one table of cases for client and worker here, and for the page in tests/page."""

from __future__ import annotations

import pytest

from api.pages import FOLDER
from shoebox_client.picture_types import ENDINGS, HEIF, MEDIA_TYPES, REFUSED, media_type, page_module, refusal, sniff


def ftyp(*brands: bytes) -> bytes:
    """Return a HEIF file's first box with a major brand, a minor version and compatible brands."""
    body = b"ftyp" + brands[0] + bytes(4) + b"".join(brands[1:])
    return (len(body) + 4).to_bytes(4, "big") + body


TIFF = b"II*\0\x08\0\0\0"
# First bytes, name, and what the file is.
FILES: list[tuple[bytes, str, str | None]] = [
    (b"\xff\xd8\xff\xe0", "a.png", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "a.jpg", "image/png"),
    (b"GIF87a", "x", "image/gif"),
    (b"GIF89a", "x", "image/gif"),
    (b"RIFF\0\0\0\0WEBPVP8 ", "x", "image/webp"),
    (ftyp(b"heic", b"mif1", b"heic"), "x", "image/heic"),
    (ftyp(b"heic"), "x", "image/heic"),
    (b"\0\0\0\x18ftypheic", "cut", "image/heic"),
    (ftyp(b"heix", b"mif1", b"avif"), "x", "image/heic"),
    (ftyp(b"hevm"), "x", "image/heic"),
    (ftyp(b"mif1", b"mif1", b"heic", b"tmap"), "x", "image/heic"),
    (ftyp(b"mif1", b"mif1"), "x.heif", "image/heic"),
    (ftyp(b"mif2", b"miaf"), "x", "image/heic"),
    (ftyp(b"msf1", b"iso8", b"hevc"), "x", "image/heic"),
    (ftyp(b"avif", b"mif1", b"miaf"), "x.heic", "image/avif"),
    (ftyp(b"avis", b"msf1", b"iso8"), "x", "image/avif"),
    (ftyp(b"mif1", b"avif"), "x", "image/avif"),
    (ftyp(b"mif1", b"miaf"), "x.avif", "image/avif"),
    (ftyp(b"mp42", b"mif1", b"heic"), "x.heic", "video/mp4"),
    (ftyp(b"isom", b"mp42"), "film.mp4", "video/mp4"),
    (ftyp(b"qt  "), "IMG_1.MOV", "video/quicktime"),
    (b"\0\0\0\x08wide\0\0\x10\0mdat", "old.mov", "video/quicktime"),
    (b"RIFF\0\0\0\0AVI LIST", "x.jpg", "video/x-msvideo"),
    (b"\x1a\x45\xdf\xa3", "x.webm", "video/webm"),
    (ftyp(b"crx ", b"isom"), "IMG_1.CR3", "image/x-canon-cr3"),
    (b"II*\0\x10\0\0\0CR\x02\0", "IMG_1.CR2", "image/x-canon-cr2"),
    (TIFF, "scan.jpg", "image/tiff"),
    (b"MM\0*\0\0\0\x08", "scan.tif", "image/tiff"),
    (b"II+\0\x08\0\0\0", "large.tif", "image/tiff"),
    (TIFF, "DSC_1.NEF", "image/x-nikon-nef"),
    (TIFF, "DSC1.arw", "image/x-sony-arw"),
    (TIFF, "a.dng", "image/x-adobe-dng"),
    (b"FUJIFILMCCD-RAW 0201", "a.raf", "image/x-raw"),
    (b"IIU\0\x08\0\0\0", "a.rw2", "image/x-raw"),
    (b"BM\x36\x10\0\0\0\0\0\0\x36\0\0\0", "a.bmp", "image/bmp"),
    (b"8BPS\0\x01", "a.jpg", "image/vnd.adobe.photoshop"),
    (b"\xff\x0a\xfa\x7f", "a.jxl", "image/jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "a.jpg", "image/jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "a.jp2", "image/jp2"),
    (b'<?xml version="1.0"?>\n<!-- made -->\n<svg xmlns="http://www.w3.org/2000/svg">', "a.jpg", "image/svg+xml"),
    (b"<svg width='1'>", "a.svg", "image/svg+xml"),
    (b"%PDF-1.7\n", "a.jpg", "application/pdf"),
    (b"%!PS-Adobe-3.0 EPSF-3.0", "a.eps", "application/postscript"),
    (b"PK\x03\x04\x14\0", "photos.zip", "application/zip"),
    (b"\n<!DOCTYPE html>\n<html>", "photo.jpg", "text/html"),
    (b"", "scan.TIFF", "image/tiff"),
    (b"This is no photo", "text.JPG", "image/jpeg"),
    (b"", "empty.png", "image/png"),
    (b"This is no photo", "notes.txt", None),
    (b"This is no photo", "jpg", None),
    (b"RIFF\0\0\0\0WAVEfmt ", "x.wav", None),
    (ftyp(b"abcd"), "x.heic", None),
    (b"BM, the best", "notes", None),
    (b"The wide road", "notes", None),
]


@pytest.mark.parametrize(("head", "name", "expected"), FILES)
def test_the_bytes_win_over_the_name(head: bytes, name: str, expected: str | None) -> None:
    """The first bytes decide; a name alone is enough only where they say nothing, or TIFF."""
    assert media_type(head, name) == expected


def test_brands_that_allow_any_coding_say_no_more() -> None:
    """For a worker, which has the whole file, a name decides nothing."""
    assert sniff(ftyp(b"mif1", b"miaf")) == HEIF
    assert sniff(TIFF) == "image/tiff"


def test_every_type_is_accepted_or_refused_by_name() -> None:
    """A type that the table knows is taken, or has a sentence that says what to do."""
    known = {*ENDINGS, *(kind for _, _, kind in FILES if kind)}
    assert known - set(MEDIA_TYPES) == set(REFUSED)
    assert refusal("image/tiff") == "TIFF is not accepted; save it as JPEG or PNG"
    assert [refusal(kind) for kind in ("image/jpeg", "text/plain")] == [None, None]


def test_the_page_has_the_same_table() -> None:
    """If this fails: python -m shoebox_client.picture_types >api/static/picture-types.js."""
    assert (FOLDER / "picture-types.js").read_text() == page_module()
