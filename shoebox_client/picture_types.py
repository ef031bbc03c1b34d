"""What bytes are, told by their first ones, whatever their sender calls them: one table for client, page and worker.

It knows the types that Shoebox takes, and those that people send instead, so that a refusal can name them.
`api/static/picture-types.js` is the same table for the page, written by `python -m shoebox_client.picture_types`.
Nothing of ours is imported here: a render process and the client use it as well.
"""

from __future__ import annotations

import json
import re
import sys

HEAD_BYTES = 256
"""So many of a file's first bytes are enough."""

# Media type → pattern of a file's first bytes, one character a byte, in a syntax that Python and JavaScript share.
SIGNATURES = (
    ("image/jpeg", r"\xff\xd8\xff"),
    ("image/png", r"\x89PNG\r\n\x1a\n"),
    ("image/gif", r"GIF8[79]a"),
    ("image/webp", r"RIFF....WEBP"),
    ("image/x-canon-cr2", r"(?:II\*\x00|MM\x00\*)....CR"),
    ("image/tiff", r"II[*+]\x00|MM\x00[*+]"),
    ("image/x-raw", r"IIU\x00|IIR[OS]|MMOR|FUJIFILMCCD-RAW|FOVb"),
    ("image/bmp", r"BM....\x00\x00\x00\x00"),
    ("image/vnd.adobe.photoshop", r"8BPS"),
    ("image/jxl", r"\xff\x0a|\x00\x00\x00\x0cJXL \r\n\x87\n"),
    ("image/jp2", r"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51"),
    ("image/svg+xml", r"(?:\xef\xbb\xbf)?[ \t\r\n]*(?:<svg[ >\n]|<(?:\?xml|!--|!DOCTYPE svg).*<svg[ >\n])"),
    ("application/pdf", r"%PDF-"),
    ("application/postscript", r"%!PS|\xc5\xd0\xd3\xc6"),
    ("application/zip", r"PK\x03\x04"),
    ("text/html", r"(?:\xef\xbb\xbf)?[ \t\r\n]*<(?:!DOCTYPE html|!doctype html|html|HTML)"),
    ("video/quicktime", r"\x00...(?:moov|mdat|wide|skip|free|pnot)"),
    ("video/x-msvideo", r"RIFF....AVI "),
    ("video/webm", r"\x1a\x45\xdf\xa3"),
)
# What the brands of an ISO base media file mean (ISO/IEC 14496-12, 4.3; 23008-12, 10; AV1 Image File Format, 8).
BRANDS = {
    "image/heic": ("heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs"),
    "image/avif": ("avif", "avis"),
    "image/x-canon-cr3": ("crx ",),
    "video/quicktime": ("qt  ",),
    "video/mp4": (
        "isom",
        "iso2",
        "iso4",
        "iso5",
        "iso6",
        "mp41",
        "mp42",
        "avc1",
        "M4V ",
        "MSNV",
        "3gp4",
        "3gp5",
        "3gp6",
    ),
}
# A HEIF file with one of these may hold pictures of any coding; what it holds stands behind the first bytes.
ANY_CODING = ("mif1", "mif2", "mif3", "msf1", "miaf")
HEIF = "image/heif"
HEIF_CODINGS = ("image/heic", "image/avif")

# What Shoebox takes: media type as declared → the one that it is kept under, in the order in which clients are told.
# HEIC is HEIF holding HEVC (ISO/IEC 23008-12, annex B); senders use either name.
MEDIA_TYPES = {
    "image/jpeg": "image/jpeg",
    "image/png": "image/png",
    "image/webp": "image/webp",
    "image/gif": "image/gif",
    "image/heic": "image/heic",
    "image/heif": "image/heic",
    "image/avif": "image/avif",
}
# Names that some programs use although they were never registered.
_UNUSUAL_NAMES = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "image/x-png": "image/png"}

ENDINGS = {
    "image/jpeg": ("jpg", "jpeg", "jpe", "jfif"),
    "image/png": ("png",),
    "image/webp": ("webp",),
    "image/gif": ("gif",),
    "image/heic": ("heic", "heif", "hif"),
    "image/avif": ("avif",),
    "image/tiff": ("tif", "tiff"),
    "image/bmp": ("bmp", "dib"),
    "image/vnd.adobe.photoshop": ("psd", "psb"),
    "image/jxl": ("jxl",),
    "image/jp2": ("jp2", "j2k", "jpx", "jpf"),
    "image/svg+xml": ("svg", "svgz"),
    "application/pdf": ("pdf",),
    "application/postscript": ("eps", "ps", "ai"),
    "application/zip": ("zip",),
    "image/x-canon-cr2": ("cr2",),
    "image/x-canon-cr3": ("cr3",),
    "image/x-nikon-nef": ("nef", "nrw"),
    "image/x-sony-arw": ("arw", "sr2"),
    "image/x-adobe-dng": ("dng",),
    "image/x-raw": ("raf", "rw2", "orf", "pef", "srw", "x3f", "3fr", "iiq"),
    "video/quicktime": ("mov",),
    "video/mp4": ("mp4", "m4v", "3gp"),
    "video/x-msvideo": ("avi",),
    "video/webm": ("webm", "mkv"),
}
AS_PICTURE = "save it as JPEG or PNG"
DEVELOPED = "export it as JPEG"
STILL_OF_FILM = "save a still picture of it as JPEG"
# Of the types that Shoebox does not take: what people call them, and what to do.
REFUSED = {
    "image/tiff": ("TIFF", AS_PICTURE),
    "image/bmp": ("BMP", AS_PICTURE),
    "image/vnd.adobe.photoshop": ("A Photoshop file (PSD)", AS_PICTURE),
    "image/jxl": ("JPEG XL", AS_PICTURE),
    "image/jp2": ("JPEG 2000", AS_PICTURE),
    "image/svg+xml": ("SVG", "save it as PNG"),
    "application/pdf": ("PDF", "save its pages as JPEG or PNG"),
    "application/postscript": ("PostScript (EPS)", AS_PICTURE),
    "application/zip": ("A ZIP archive", "unpack it, and upload the photos in it"),
    "text/html": ("A web page", "save the picture that it shows, and upload that"),
    "image/x-canon-cr2": ("Canon RAW (CR2)", DEVELOPED),
    "image/x-canon-cr3": ("Canon RAW (CR3)", DEVELOPED),
    "image/x-nikon-nef": ("Nikon RAW (NEF)", DEVELOPED),
    "image/x-sony-arw": ("Sony RAW (ARW)", DEVELOPED),
    "image/x-adobe-dng": ("RAW (DNG)", DEVELOPED),
    "image/x-raw": ("A camera's RAW file", DEVELOPED),
    "video/quicktime": ("A film (MOV)", STILL_OF_FILM),
    "video/mp4": ("A film (MP4)", STILL_OF_FILM),
    "video/x-msvideo": ("A film (AVI)", STILL_OF_FILM),
    "video/webm": ("A film (WebM, Matroska)", STILL_OF_FILM),
}

_PATTERNS = [(media_type, re.compile(pattern.encode(), re.DOTALL)) for media_type, pattern in SIGNATURES]
_OF_BRAND = {brand.encode(): media_type for media_type, brands in BRANDS.items() for brand in brands}
_ANY_CODING = frozenset(brand.encode() for brand in ANY_CODING)
_OF_ENDING = {ending: media_type for media_type, endings in ENDINGS.items() for ending in endings}
# RAW files that begin as any TIFF does.
_RAW_TIFFS = frozenset({"image/x-nikon-nef", "image/x-sony-arw", "image/x-adobe-dng", "image/x-raw"})


def usual_media_type(text: str) -> str:
    """Return a declared media type's usual name: upper case and parameters say nothing more (RFC 9110, 8.3.1)."""
    name = text.partition(";")[0].strip().lower()
    return _UNUSUAL_NAMES.get(name, name)


def sniff(head: bytes) -> str | None:
    """Return the media type of `head`, a file's first bytes, accepted or not; None if it is none known here.

    `image/heif` is what may hold pictures of any coding.
    """
    if head[4:8] == b"ftyp":
        return _of_brands(head)
    return next((media_type for media_type, pattern in _PATTERNS if pattern.match(head[:HEAD_BYTES])), None)


def media_type(head: bytes, name: str) -> str | None:
    """Return the media type of a file with these first bytes (`HEAD_BYTES` do) and this name; None for anything else.

    The bytes win: a PNG named .jpg is a PNG. A name decides only where they say nothing, and among RAW files, which
    begin as TIFF does.
    """
    found, named = sniff(head), _OF_ENDING.get(name.rpartition(".")[2].lower()) if "." in name else None
    if found == "image/tiff" and named in _RAW_TIFFS:
        return named
    if found == HEIF:  # what it holds stands too far behind to be looked for here
        return "image/avif" if named == "image/avif" else "image/heic"
    if found is None and head[4:8] == b"ftyp":  # a film or a song of a brand that is not known here
        return None
    return found or named


def refusal(media_type: str) -> str | None:
    """Say why a type is not accepted and what to do, without a full stop; None if there is nothing to say."""
    if media_type not in REFUSED:
        return None
    name, advice = REFUSED[media_type]
    return f"{name} is not accepted; {advice}"


def _of_brands(head: bytes) -> str | None:
    """Let the major brand decide, then the first compatible one that means a coding, then one that allows any."""
    size = int.from_bytes(head[:4], "big")
    listed = head[8 : min(size, HEAD_BYTES) if size >= 16 else 16]
    brands = [listed[i : i + 4] for i in range(0, len(listed), 4) if i != 4]  # 4: the minor version
    codings = [_OF_BRAND[brand] for brand in brands if brand in _OF_BRAND]
    generic = any(brand in _ANY_CODING for brand in brands)
    if generic and brands[0] not in _OF_BRAND:
        codings = [coding for coding in codings if coding.startswith("image/")]
    return codings[0] if codings else HEIF if generic else None


def page_module() -> str:
    """Return the table as a JavaScript module."""
    table = {
        "head_bytes": HEAD_BYTES,
        "signatures": SIGNATURES,
        "brands": BRANDS,
        "any_coding": ANY_CODING,
        "heif": HEIF,
        "endings": ENDINGS,
        "raw_tiffs": sorted(_RAW_TIFFS),
        "refused": REFUSED,
    }
    return f"// Written by `python -m shoebox_client.picture_types`.\nexport default {json.dumps(table, indent=1)};\n"


if __name__ == "__main__":
    sys.stdout.write(page_module())
