"""S3's messages: which uploads they tell of, and what is none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from shoebox.files.model import FileKey, Generation, Owner
from workers.uploads import MalformedEventError, read_uploads

OWNER = Owner("demo", "anna_1")
FILE_ID = OWNER.file_id("ab" * 32)
ULID = "01KB6ZJX3M0123456789ABCDEF"
KEY = f"originals/0/demo/anna_1/{FILE_ID}/{ULID}"


def s3_event(*keys: str) -> str:
    """Return an event as S3 sends it (Amazon S3, "Event message structure")."""
    records: list[dict[str, Any]] = [
        {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "eventTime": "2026-11-23T10:00:00.123Z",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "shoebox-personal"}, "object": {"key": key, "size": 5, "sequencer": "0A"}},
        }
        for key in keys
    ]
    return json.dumps({"Records": records})


def test_an_original_is_an_upload() -> None:
    """The key names the owner, the file and its generation; the event's time is when S3 stored it."""
    [upload] = read_uploads(s3_event(KEY))

    assert upload.generation == Generation(FileKey(OWNER, FILE_ID), ULID, "0")
    assert upload.at == datetime(2026, 11, 23, 10, 0, 0, 123000, UTC)


def test_keys_come_url_encoded() -> None:
    """S3 encodes keys in events; a slash written %2F is a slash."""
    [upload] = read_uploads(s3_event(KEY.replace("/", "%2F")))

    assert upload.generation.key.file_id == FILE_ID


def test_several_records_are_several_uploads() -> None:
    """One message may tell of several objects."""
    assert len(read_uploads(s3_event(*[KEY] * 2))) == 2


@pytest.mark.parametrize(
    "key", ["renditions/demo/anna_1/x/320.jpg", "originals/demo/../x", f"originals/Demo/a/{FILE_ID}", "originals/"]
)
def test_other_keys_are_no_uploads(key: str) -> None:
    """What is no original of an owner is passed over."""
    assert read_uploads(s3_event(key)) == []


def test_the_test_event_is_no_upload() -> None:
    """S3 sends a test event when the notification is made."""
    assert read_uploads(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})) == []


@pytest.mark.parametrize("body", ["", "hello", "[]", "{}", '{"Records": [{}]}', '{"Records": 5}', "null"])
def test_anything_else_is_malformed(body: str) -> None:
    """What is no S3 event is named as such, whatever its shape."""
    with pytest.raises(MalformedEventError):
        read_uploads(body)
