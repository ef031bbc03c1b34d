"""Messages between a process and its child, over pipes: JSON and bytes, each with its length before it.

A frame is four bytes (big endian) with the length of a JSON object, that object, and the bytes whose lengths the object
lists as `blobs`. Nothing that comes from a child is unpickled: it has read a stranger's picture.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

MAX_JSON_BYTES = 1024 * 1024
MAX_BLOB_BYTES = 1024 * 1024 * 1024
LENGTH_BYTES = 4
ONE_WRITE_BYTES = 1024 * 1024


class FrameError(ValueError):
    """What came is no frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message."""

    content: Mapping[str, Any]
    blobs: Sequence[bytes] = ()


def write_frame(pipe: BinaryIO, content: Mapping[str, Any], blobs: Sequence[bytes] = ()) -> None:
    """Write one message to an unbuffered `pipe`; blocks until all of it is taken."""
    head = json.dumps({**content, "blobs": [len(blob) for blob in blobs]}).encode()
    parts = [len(head).to_bytes(LENGTH_BYTES, "big"), head, *blobs]
    if sum(map(len, parts)) <= ONE_WRITE_BYTES:  # each write may wake the other side
        parts = [b"".join(parts)]
    for part in parts:
        rest = memoryview(part)
        while rest:
            rest = rest[pipe.write(rest) :]


def read_frame(pipe: BinaryIO) -> Frame:
    """Read one message from a buffered `pipe`.

    Raises:
        EOFError: the other side has closed the pipe.
        FrameError: what came is no frame.
    """
    length = int.from_bytes(_exactly(pipe, LENGTH_BYTES), "big")
    if length > MAX_JSON_BYTES:
        raise FrameError(f"a message of {length} bytes")
    try:
        content = json.loads(_exactly(pipe, length))
        sizes = [int(size) for size in content.pop("blobs")]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FrameError(f"no message: {error}") from error
    if any(size < 0 for size in sizes) or sum(sizes) > MAX_BLOB_BYTES:
        raise FrameError(f"{sum(sizes)} bytes beside a message")
    return Frame(content, [_exactly(pipe, size) for size in sizes])


def _exactly(pipe: BinaryIO, size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError("the pipe was closed")
    return data
