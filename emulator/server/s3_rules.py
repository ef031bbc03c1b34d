"""Two rules of S3 that ministack breaks: a missing object is hidden, and a PUT whose object is not stored fails.

Sources: "GetObject", "Permissions" (Amazon S3 API Reference): without s3:ListBucket a missing key is 403, not 404.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote

from emulator.server.space_guard import CODE
from emulator.server.tuning import event_destinations

S3Response: TypeAlias = tuple[int, dict[str, str], bytes]
_CREATED = "s3:ObjectCreated:Put"
_MISSING = b"<Code>NoSuchKey</Code>"


def install() -> None:
    """Wrap ministack's own functions in its process."""
    from ministack.services import s3

    failures = WriteFailures()
    s3._persist_object = failures.wrap_persist(s3._persist_object)
    s3._fire_s3_event_async = failures.wrap_fire(s3._fire_s3_event_async)
    s3._dispatch = hide_missing_objects(failures.wrap_dispatch(s3._dispatch))


def triggers_event(bucket: str, key: str) -> bool:
    """Tell whether a new object with this key has an event that is sent somewhere."""
    from ministack.services import s3

    configured = (raw for (_, name), raw in s3._bucket_notifications._data.items() if name == bucket)
    return any(event_destinations(raw, key, _CREATED) for raw in configured)


def receives_events(queue: str) -> bool:
    """Tell whether events of new objects go to the queue with this name."""
    from ministack.services import s3

    arns = (
        config["arn"]
        for raw in s3._bucket_notifications._data.values()
        for config in s3._parse_notification_config_raw(raw)
        if config["type"] == "sqs"
    )
    return any(arn.rpartition(":")[2] == queue for arn in arns)


def hide_missing_objects(dispatch: Callable[..., S3Response]) -> Callable[..., S3Response]:
    """Wrap `_dispatch`: only a caller who may list the bucket learns that an object is missing.

    The permission is checked with the key as `s3:prefix`, as AWS does (Ceph's gateway was made to agree with it:
    github.com/ceph/ceph/pull/68577), so that a statement for one prefix is enough.
    """

    def dispatched(
        method: str, bucket: str, key: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> S3Response:
        response = dispatch(method, bucket, key, headers, body, query)
        if response[0] != 404 or not key or _MISSING not in response[2]:
            return response
        if source := headers.get("x-amz-copy-source", ""):
            bucket, _, key = unquote(source).lstrip("/").partition("?")[0].partition("/")
        return _denied_list(bucket, key, headers, query) or response

    return dispatched


def _denied_list(bucket: str, key: str, headers: dict[str, str], query: dict[str, list[str]]) -> S3Response | None:
    """Return the refusal of a list of `key`; None where the caller may list it."""
    from ministack import app
    from ministack.core.responses import get_account_id
    from ministack.services import s3

    if not s3._request_access_key("GET", "", headers, query, b""):
        listing = ("GET", {"prefix": [key]}, "", headers)
        allowed = s3._foreign_bucket_allows(get_account_id(), bucket, "", *listing)
        refusal: S3Response = s3._error("AccessDenied", "Access Denied", 403, f"/{bucket}/{key}")
        return None if allowed else refusal
    denied: S3Response | None = app._enforce_data_plane(
        *("s3", "s3:ListBucket", headers, query, ""),
        resource_arn=f"arn:aws:s3:::{bucket}",
        service_context={"s3:prefix": key},
    )
    return denied


class WriteFailures:
    """Makes requests fail whose object was not written to the disk: ministack only logs that, and responds with 200."""

    def __init__(self) -> None:
        self._failed = False
        self._events: list[Callable[[], None]] | None = None  # of the request under way

    def wrap_persist(self, persist: Callable[[str, str, Any], None]) -> Callable[[str, str, Any], None]:
        """Wrap `_persist_object`, which keeps a record's body in memory where it could not be written."""

        def persisted(bucket: str, key: str, record: Any) -> None:
            persist(bucket, key, record)
            self._failed |= isinstance(record, dict) and record.get("body") is not None

        return persisted

    def wrap_fire(self, fire: Callable[..., None]) -> Callable[..., None]:
        """Wrap `_fire_s3_event_async`, which ministack calls before the object is written."""

        def held(*arguments: Any, **details: Any) -> None:
            if self._events is None:
                fire(*arguments, **details)
            else:
                self._events.append(functools.partial(fire, *arguments, **details))

        return held

    def wrap_dispatch(self, dispatch: Callable[..., S3Response]) -> Callable[..., S3Response]:
        """Wrap `_dispatch`, which never awaits: respond with 507 then, and leave what was there before."""

        def dispatched(
            method: str, bucket: str, key: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
        ) -> S3Response:
            from ministack.services import s3

            objects = (s3._buckets.get(bucket) or {}).get("objects", {})
            upload_id = query.get("uploadId", [""])[0]
            former, upload = objects.get(key), s3._multipart_uploads.get(upload_id)
            self._failed, self._events = False, []
            try:
                response = dispatch(method, bucket, key, headers, body, query)
            finally:
                events, self._events = self._events, None
            if not self._failed:
                for fire in events:
                    fire()
                return response
            objects.pop(key, None)
            path = Path(s3._object_disk_path(bucket, key))
            if former and path.is_file() and path.stat().st_size == former["size"]:
                objects[key] = former
            else:
                s3._remove_key_files(str(path))
            if upload is not None:  # it was completed, and the next try would be answered 200
                s3._multipart_uploads[upload_id] = upload
                s3._completed_multipart_uploads.pop(upload_id, None)
            text = "The disk that keeps this stack's data is full: the object was not stored. Free some space."
            failed: S3Response = s3._error(CODE, text, 507, f"/{bucket}/{key}")
            return failed

        return dispatched
