"""Frames of `application/vnd.amazon.eventstream`, in which AWS sends streams of events over HTTP.

A frame: total length, length of the headers, CRC-32 of these two; headers; payload; CRC-32 of all before. Numbers are
big-endian. A header: length of the name, name, type 7 (string), length of the value, value (Amazon Transcribe,
"Event stream encoding"; Smithy, "Amazon Event Stream Specification").
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

CONTENT_TYPE = "application/vnd.amazon.eventstream"
_STRING = 7
_OVERHEAD = 16  # prelude with its CRC, and the CRC at the end


def event_frame(event: str, content_type: str, payload: bytes) -> bytes:
    """One event of a type that the service's model names."""
    headers = {":event-type": event, ":content-type": content_type, ":message-type": "event"}
    return frame(headers, payload)


def frame(headers: Mapping[str, str], payload: bytes) -> bytes:
    """Any message."""
    encoded = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack("!II", _OVERHEAD + len(encoded) + len(payload), len(encoded))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + encoded + payload
    return message + struct.pack("!I", zlib.crc32(message))


def _header(name: bytes, value: bytes) -> bytes:
    return struct.pack(f"!B{len(name)}sBH{len(value)}s", len(name), name, _STRING, len(value), value)
