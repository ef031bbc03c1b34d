"""What is tolerated in a picture whose every pixel could be decoded: stable codes, and what each means.

Header readers and decoders add codes to `Header.warnings`; `Prepared.warnings` has them sorted. The same table for
clients: docs/reference/warnings.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

WarningCode = Literal["icc_profile_broken", "cmyk_without_profile"]

MEANINGS: Mapping[WarningCode, str] = {
    "icc_profile_broken": "The colour profile is damaged or incomplete; the picture is taken for sRGB.",
    "cmyk_without_profile": "It is CMYK without a usable profile and is taken for ink of web offset printing (SWOP).",
}
