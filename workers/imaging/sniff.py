"""Say what bytes are by their first bytes, whatever their sender calls them."""

from __future__ import annotations

from shoebox_client.picture_types import HEIF, refusal, sniff
from workers.imaging.errors import PictureRejected
from workers.imaging.headers.boxes import primary_codings

ACCEPTED = ("image/jpeg", "image/png", "image/webp", "image/heic", "image/avif", "image/gif")
# HEIC is HEIF holding HEVC (ISO/IEC 23008-12, annex B); senders use either name.
ALIASES = {"image/heif": "image/heic"}


def confirm(data: bytes, declared: str) -> str:
    """The media type of `data`, which is what `declared` says.

    Raises `PictureRejected`: `unsupported_type` if Shoebox does not take `declared`, or what the bytes are;
    `wrong_type` if the bytes are something else.
    """
    wanted = ALIASES.get(declared, declared)
    if wanted not in ACCEPTED:
        detail = refusal(declared) or f"{declared[:80]!r} is not among {', '.join(ACCEPTED)}"
        raise PictureRejected("unsupported_type", detail)
    found = sniff(data)
    if found == HEIF and wanted in ("image/heic", "image/avif"):  # its brands do not say which of the two it is
        return "image/avif" if primary_codings(data) == {"av01"} else "image/heic"
    if found != wanted:
        if found is not None and (why := refusal(found)):
            raise PictureRejected("unsupported_type", why)
        raise PictureRejected("wrong_type", f"declared {declared}, but the bytes are {found or 'no picture'}")
    return found
