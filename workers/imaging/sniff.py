"""Say what bytes are by their first bytes, whatever their sender calls them."""

from __future__ import annotations

from shoebox_client.picture_types import HEIF, HEIF_CODINGS, MEDIA_TYPES, refusal, sniff
from workers.imaging.errors import PictureRejected
from workers.imaging.headers.boxes import primary_codings


def confirm(data: bytes, declared: str) -> str:
    """Return the media type of `data`, which is what `declared` says.

    Raises `PictureRejected`: `unsupported_type` if Shoebox does not take `declared`, or what the bytes are;
    `wrong_type` if the bytes are something else.
    """
    wanted = MEDIA_TYPES.get(declared)
    if wanted is None:
        detail = refusal(declared) or f"{declared[:80]!r} is not among {', '.join(MEDIA_TYPES)}"
        raise PictureRejected("unsupported_type", detail)
    found = sniff(data)
    if found == HEIF and wanted in HEIF_CODINGS:  # its brands do not say which of the two it is, but its content does
        return "image/avif" if primary_codings(data) == {"av01"} else "image/heic"
    if found != wanted:
        if found is not None and (why := refusal(found)):
            raise PictureRejected("unsupported_type", why)
        raise PictureRejected("wrong_type", f"declared {declared}, but the bytes are {found or 'no picture'}")
    return found
