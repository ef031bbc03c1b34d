"""Frames of AWS's event streams, taken apart by botocore's own decoder."""

from __future__ import annotations

import pytest
from botocore.eventstream import EventStreamBuffer

from fleet.invoke_stream import event_frame, frame


@pytest.mark.parametrize("payload", [b"", b"{}", bytes(range(256)) * 1000], ids=["empty", "small", "large"])
def test_botocore_reads_what_we_write(payload: bytes) -> None:
    """Both checksums hold, headers and payload come back ("Amazon Event Stream Specification")."""
    buffer = EventStreamBuffer()
    buffer.add_data(event_frame("PayloadChunk", "application/octet-stream", payload) * 2)
    messages = list(buffer)
    assert [message.payload for message in messages] == [payload, payload]
    assert messages[0].headers == {
        ":event-type": "PayloadChunk",
        ":content-type": "application/octet-stream",
        ":message-type": "event",
    }


def test_lengths_are_bytes_and_not_characters() -> None:
    """A header may be any UTF-8."""
    buffer = EventStreamBuffer()
    buffer.add_data(frame({"naïve": "☃"}, b"x"))
    (message,) = buffer
    assert message.headers == {"naïve": "☃"}
