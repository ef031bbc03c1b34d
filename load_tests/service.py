"""Shoebox as a phone sees it, in Locust's statistics: three HTTP calls, and photos from registration to READY."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from locust.contrib.fasthttp import FastHttpSession, FastResponse
from locust.event import EventHook

from load_tests.photos import Photo
from load_tests.records import READY_METHOD, Document, Failure

_RETRYABLE = {0, 408, 429, 500, 502, 503, 504}  # 0: no response
_S3_CODE = re.compile(r"<Code>(\w+)</Code>")


class Service:
    """The API for the bearer of one token; a call that fails is a failed request with its reason.

    `s3_url`: see `load_tests.settings`.
    """

    def __init__(self, client: FastHttpSession, token: str, s3_url: str | None = None) -> None:
        self._client = client
        self._headers = {"authorization": f"Bearer {token}"}
        self._s3_url = s3_url

    def register(self, photos: Sequence[Photo]) -> list[Document] | Failure:
        """Register 1 to 100 photos; return an entry for each, with a `problem` where a photo was refused."""
        body = {"files": [photo.registration for photo in photos]}
        with self._client.post(
            "/v1/files", json=body, headers=self._headers, name="/v1/files", catch_response=True
        ) as response:
            entries = _list(response, "files")
            if len(entries) != len(photos):
                return _failure(response)
            if refused := sorted({entry["problem"]["code"] for entry in entries if "problem" in entry}):
                response.failure(f"refused: {', '.join(refused)}")
            return entries

    def upload(self, photo: Photo, link: Document) -> Failure | None:
        """PUT a photo's bytes to the presigned URL of its entry; return None when they arrived."""
        url, headers = link["url"], link["headers"]
        if self._s3_url is not None:  # the Host header stays: the URL's signature covers it
            signed, reachable = urlsplit(url), urlsplit(self._s3_url)
            url = urlunsplit(signed._replace(scheme=reachable.scheme, netloc=reachable.netloc))
            headers = {**headers, "host": signed.netloc}
        with self._client.put(
            url,
            data=photo.content,  # type: ignore[arg-type]  # bytes are sent as they are
            headers=headers,
            name="presigned URL",
            catch_response=True,
        ) as response:
            if response.status_code == 200:
                return None
            response.failure(failure_reason(response))
            return _failure(response)

    def files(self, file_ids: Sequence[str]) -> list[Document]:
        """Return the documents of 1 to 100 files; none where the call failed."""
        query = urlencode([*(("id", file_id) for file_id in file_ids), ("urls", "false")])
        with self._client.get(
            f"/v1/files?{query}", headers=self._headers, name="/v1/files?id=…", catch_response=True
        ) as response:
            return _list(response, "files")


def failure_reason(response: FastResponse) -> str:
    """Return why a call failed: the status with the problem's code, or S3's, or why there was no response."""
    if not response.status_code:
        return f"no answer: {getattr(response, 'error', None)!r}"
    text = response.text or ""
    found = _S3_CODE.search(text)
    code = found[1] if found else _document(text).get("code", "")
    return f"{response.status_code} {code}".strip()


def _failure(response: FastResponse) -> Failure:
    return Failure(failure_reason(response), response.status_code in _RETRYABLE)


def _list(response: Any, name: str) -> list[Document]:
    """Return a list of the response's document; where it has none, mark the request failed and return none."""
    found = _document(response.text or "").get(name) if response.status_code == 200 else None
    if isinstance(found, list):
        return found
    response.failure(failure_reason(response))
    return []


def _document(text: str) -> Document:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class NotReady(Exception):
    """A photo did not become READY; the message says why."""


class ReadyRequests:
    """Photos as requests of their own in Locust's statistics and on its page: how long each took until READY.

    Times are the service's own, so neither the phone's clock nor how often it asks counts.
    """

    def __init__(self, request: EventHook) -> None:
        self._request = request

    def finished(self, file: Document) -> None:
        """Record a file that is READY or REJECTED."""
        registered, finished = (datetime.fromisoformat(file[name]) for name in ("registered_at", "finished_at"))
        reason = None if file["state"] == "READY" else f"{file['state']} {file['reason']}"
        self._fire((finished - registered).total_seconds(), file["size"], reason)

    def gave_up(self, seconds: float) -> None:
        """Record a file that was neither after so many seconds."""
        self._fire(seconds, 0, f"still not processed after {seconds:g} s")

    def _fire(self, seconds: float, size: int, reason: str | None) -> None:
        self._request.fire(  # type: ignore[no-untyped-call]
            request_type=READY_METHOD,
            name="READY",
            response_time=seconds * 1000,
            response_length=size,
            exception=None if reason is None else NotReady(reason),
            context={},
        )
