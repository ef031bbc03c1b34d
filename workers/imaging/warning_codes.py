"""What is tolerated in a picture whose every pixel could be decoded: stable codes, and what each means.

Header readers and decoders add codes to `Header.warnings`; `Prepared.warnings` has them sorted. The same table for
clients: docs/reference/warnings.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

WarningCode = Literal[
    "adobe_transform_unknown",
    "cmyk_without_profile",
    "end_marker_missing",
    "extraneous_bytes",
    "hdr_clipped",
    "icc_profile_broken",
    "jfif_revision_unknown",
    "later_frame_damaged",
    "length_wrong",
    "metadata_damaged",
    "scan_header_wrong",
    "trailing_bytes",
]

MEANINGS: Mapping[WarningCode, str] = {
    "adobe_transform_unknown": "JPEG: Adobe's marker names an unknown colour transform; YCbCr or YCCK is assumed.",
    "cmyk_without_profile": "It is CMYK without a usable profile and is taken for ink of web offset printing (SWOP).",
    "end_marker_missing": "The mark of the file's end is missing or damaged (JPEG's EOI, PNG's IEND, GIF's trailer).",
    "extraneous_bytes": "Bytes that belong to nothing, such as padding, are inside the picture; they are skipped.",
    "hdr_clipped": "HDR: what is brighter than its reference white, which is paper white, is clipped.",
    "icc_profile_broken": "The colour profile is damaged or incomplete; the picture is taken for sRGB.",
    "jfif_revision_unknown": "JPEG: the file names a revision of JFIF that does not exist.",
    "later_frame_damaged": "GIF, PNG, WebP: a frame behind the first one is damaged or cut; only the first is used.",
    "length_wrong": "WebP: the length of the file's container is not that of its chunks.",
    "metadata_damaged": "A block that no pixel depends on is damaged or has a wrong checksum; it is ignored.",
    "scan_header_wrong": "JPEG: a scan names coefficients that a sequential picture cannot leave out.",
    "trailing_bytes": "PNG, GIF, WebP: bytes follow the file's end. After a JPEG they are usual, and not listed.",
}
