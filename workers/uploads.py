"""What an upload message says: S3's event notification, as it lies in the queue.

Structure: Amazon S3, "Event message structure". Keys come URL-encoded; S3 sends `s3:TestEvent` when a notification is
set up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

import orjson

from shoebox.files.model import Generation

MAX_RECORDS = 100
"""Of one message. S3 sends one; more would take a batch's time from the other messages, and their reads."""


class MalformedEventError(ValueError):
    """The message is no S3 event; it goes back and, in the end, to the dead-letter queue, where a person sees it."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An object was created: of which registration of a file, and when S3 stored it."""

    generation: Generation
    at: datetime


def read_uploads(body: str) -> Sequence[Upload]:
    """Return the uploads that a message tells of; none for a test event or keys that are no originals.

    Raises:
        MalformedEventError: the text is no S3 event, or one of more than MAX_RECORDS records.
    """
    try:
        document = orjson.loads(body)
        if document.get("Event") == "s3:TestEvent":
            return []
        records = document["Records"]
        if len(records) > MAX_RECORDS:
            raise MalformedEventError(f"an S3 event of {len(records)} records; {MAX_RECORDS} are taken")
        return [upload for record in records if (upload := _upload(record))]
    except MalformedEventError:
        raise
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise MalformedEventError(f"not an S3 event: {type(error).__name__}") from error


def _upload(record: dict[str, Any]) -> Upload | None:
    generation = Generation.of_original(unquote_plus(record["s3"]["object"]["key"]))
    return Upload(generation, datetime.fromisoformat(record["eventTime"])) if generation else None
