"""The errors of imaging.

ImagingError
└── PictureRejected     a permanent fault of the bytes: trying again cannot help

Anything else that leaves this package (MemoryError, say) is a passing fault or a bug, and is worth a retry.
"""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "wrong_type",
    "unsupported_type",
    "empty",
    "truncated",
    "corrupt",
    "too_many_pixels",
    "too_large",
    "too_costly",
    "size_mismatch",  # these three are found by whoever fetched the bytes, before imaging sees them
    "checksum_mismatch",
    "content_encoding",
]


class ImagingError(Exception):
    """Base of the tree."""


class PictureRejected(ImagingError):
    """The bytes are no picture that Shoebox keeps.

    `reason` is stable and stored with the file; `detail` is a sentence for a human and may change.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail[:1].upper() + detail[1:].removesuffix(".") + "."
