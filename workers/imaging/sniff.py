"""Say what bytes are by their first bytes, whatever their sender calls them."""

from __future__ import annotations

from workers.imaging.errors import PictureRejected

ACCEPTED = ("image/jpeg", "image/png", "image/webp", "image/heic", "image/gif")
# HEIC is HEIF holding HEVC (ISO/IEC 23008-12, annex B); senders use either name.
ALIASES = {"image/heif": "image/heic"}

HEVC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
AV1_BRANDS = frozenset({b"avif", b"avis"})
ANY_CODEC_BRANDS = frozenset({b"mif1", b"msf1"})


def sniff(data: bytes) -> str | None:
    """The accepted media type that `data` starts like, or None."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    if data[4:8] == b"ftyp" and _holds_hevc(data):
        return "image/heic"
    return None


def confirm(data: bytes, declared: str) -> str:
    """The media type of `data`, which is what `declared` says.

    Raises `PictureRejected`: `unsupported_type` if Shoebox does not take `declared`, `wrong_type` if the bytes
    are something else.
    """
    wanted = ALIASES.get(declared, declared)
    if wanted not in ACCEPTED:
        raise PictureRejected("unsupported_type", f"{declared[:80]!r} is not among {', '.join(ACCEPTED)}")
    found = sniff(data)
    if found != wanted:
        raise PictureRejected("wrong_type", f"declared {declared}, but the bytes are {found or 'no picture'}")
    return found


def _holds_hevc(data: bytes) -> bool:
    size = int.from_bytes(data[:4], "big")
    listed = data[8 : min(size, 256)]
    brands = {listed[i : i + 4] for i in range(0, len(listed), 4) if i != 4}  # 4: the minor version
    if brands & HEVC_BRANDS:
        return True
    return bool(brands & ANY_CODEC_BRANDS) and not brands & AV1_BRANDS
