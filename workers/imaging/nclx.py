"""Colours that a HEIF or AVIF file describes by numbers (`nclx`; ITU-T H.273) instead of a profile, as an ICC profile.

Only what is not sRGB's gets one. HDR's curves (SMPTE ST 2084 and HLG, ITU-R BT.2100) are scaled so that its reference
white, 203 nits (ITU-R BT.2408), is paper white; what is brighter is clipped.
"""

from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np

from workers.imaging.warning_codes import WarningCode

# Primaries → name, and X, Y, Z of red, green and blue adapted to D50 (Bradford), as ICC profiles have them.
PRIMARIES = {
    1: ("BT.709", ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))),
    9: ("BT.2020", ((0.67348, 0.27904, -0.00194), (0.16566, 0.67535, 0.02998), (0.12505, 0.04561, 0.79686))),
    12: ("Display P3", ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))),
}
D50 = (0.96420, 1.0, 0.82491)
PQ, HLG = 16, 18
HDR = {PQ: "PQ", HLG: "HLG"}
REFERENCE_WHITE, HLG_PEAK = 203, 1000  # nits
STEPS = 1024
# Gamma, a, b, c, d of sRGB's curve (IEC 61966-2-1). BT.709's and BT.2020's are shown by it, as browsers do.
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


@lru_cache(maxsize=8)
def profile_of(primaries: int, transfer: int) -> bytes:
    """Return the ICC profile of colour primaries and transfer characteristics; empty if they are sRGB's or unknown."""
    if primaries not in PRIMARIES or (primaries == 1 and transfer not in HDR):
        return b""
    name, colours = PRIMARIES[primaries]
    curve = _table(transfer) if transfer in HDR else b"para" + bytes(4) + struct.pack(">H2x", 3) + _fixed(*SRGB_CURVE)
    text = f"{name} {HDR.get(transfer, '')}".strip().encode("utf-16-be")
    tags = {b"desc": b"mluc" + bytes(4) + struct.pack(">II4sII", 1, 12, b"enUS", len(text), 28) + text}
    tags[b"wtpt"] = b"XYZ " + bytes(4) + _fixed(*D50)
    for letter, xyz in zip((b"r", b"g", b"b"), colours, strict=True):
        tags |= {letter + b"XYZ": b"XYZ " + bytes(4) + _fixed(*xyz), letter + b"TRC": curve}
    return _profile(tags)


def warnings_of(primaries: int, transfer: int) -> set[WarningCode]:
    """Return what is lost of such colours."""
    return {"hdr_clipped"} if transfer in HDR and primaries in PRIMARIES else set()


def _table(transfer: int) -> bytes:
    """Light for each of `STEPS` code values, 1 being reference white."""
    code = np.linspace(0, 1, STEPS)
    if transfer == PQ:
        root = code ** (1 / 78.84375)
        nits = 10_000 * (np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (1 / 0.1593017578125)
    else:
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        nits = HLG_PEAK * scene**1.2
    light = np.minimum(nits / REFERENCE_WHITE, 1)
    return b"curv" + struct.pack(">4xI", STEPS) + (light * 65_535).round().astype(">u2").tobytes()


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65_536) for value in values))


def _profile(tags: dict[bytes, bytes]) -> bytes:
    """Return a display profile holding `tags` (ICC.1:2022, 7.2 and 7.3)."""
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    head = struct.pack(">I4xI", start + len(body), 0x0430_0000) + b"mntrRGB XYZ " + bytes(12) + b"acsp"
    return head.ljust(68, b"\0") + _fixed(*D50) + bytes(48) + table + body
