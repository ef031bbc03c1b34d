"""A file as an item of the table `files`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from shoebox.files.items import picture_text, registered
from shoebox.files.model import FileKey, Owner, Picture, Registration, RenditionInfo
from shoebox.files.store import UNFINISHED_SECONDS, register_anew
from shoebox.stack.model import load_stack

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
STACK_FILE = Path(__file__).parents[4] / "stack.yaml"


def test_the_bytes_of_a_registration_may_wait_as_long_as_their_message():
    """Four days in the queue and fourteen as a dead letter: stack.yaml has the numbers."""
    queues = load_stack(STACK_FILE).queues
    assert (queues["uploads"].retention_days + queues["uploads-dead"].retention_days) * 86_400 == UNFINISHED_SECONDS


def test_the_largest_item_is_far_below_400_kb():
    """The longest name, detail, upload id and metadata together stay within DynamoDB's item size."""
    owner = Owner("t" * 32, "u" * 64)
    promise = Registration("n" * 255, 2**40, "image/jpeg", "0" * 64)
    item = registered(register_anew(None, FileKey(owner, owner.file_id("0" * 64)), promise, NOW, lifetime=86_400))
    metadata = {"camera_make": "m" * 64, "camera_model": "m" * 64, "icc_profile": "p" * 1000}
    picture = Picture(30_000, 30_000, "h" * 100, (RenditionInfo("2048", 2048, 2048, 2**30),) * 3, metadata)
    size = sum(len(name) + len(str(value)) for name, value in item.items()) + len(picture_text(picture)) + 3000

    assert size < 8_000
