"""Shoebox as a phone sees it: three calls, each a request in Locust's statistics, which fails with its reason."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from locust.contrib.fasthttp import FastHttpSession, FastResponse

from load_tests.photos import Photo
from load_tests.records import Document, Failure

_PASSING = {0, 408, 429, 500, 502, 503, 504}
_S3_CODE = re.compile(r"<Code>(\w+)</Code>")


class Service:
    """The API for the bearer of one token. `s3_url`: see `load_tests.settings`."""

    def __init__(self, client: FastHttpSession, token: str, s3_url: str | None = None) -> None:
        self._client = client
        self._headers = {"authorization": f"Bearer {token}"}
        self._s3_url = s3_url

    def register(self, photos: Sequence[Photo]) -> list[Document] | Failure:
        """Register 1 to 100 photos; an entry for each, those that were refused with their `problem`."""
        body = {"files": [photo.registration for photo in photos]}
        with self._client.post(
            "/v1/files", json=body, headers=self._headers, name="/v1/files", catch_response=True
        ) as answer:
            entries = _list(answer, "files")
            if len(entries) != len(photos):
                return _failure(answer)
            if refused := sorted({entry["problem"]["code"] for entry in entries if "problem" in entry}):
                answer.failure(f"refused: {', '.join(refused)}")
            return entries

    def upload(self, photo: Photo, link: Document) -> Failure | None:
        """PUT a photo's bytes where its entry says; None when they arrived."""
        url, headers = self._reachable(link["url"], link["headers"])
        with self._client.put(
            url,
            data=photo.content,  # type: ignore[arg-type]  # bytes are sent as they are
            headers=headers,
            name="presigned URL",
            catch_response=True,
        ) as answer:
            if answer.status_code == 200:
                return None
            answer.failure(reason(answer))
            return _failure(answer)

    def look(self, file_ids: Sequence[str]) -> list[Document]:
        """How 1 to 100 files stand; none where the call failed."""
        query = urlencode([*(("id", file_id) for file_id in file_ids), ("urls", "false")])
        with self._client.get(
            f"/v1/files?{query}", headers=self._headers, name="/v1/files?id=…", catch_response=True
        ) as answer:
            return _list(answer, "files")

    def _reachable(self, url: str, headers: dict[str, str]) -> tuple[str, dict[str, str]]:
        if self._s3_url is None:
            return url, headers
        signed, here = urlsplit(url), urlsplit(self._s3_url)
        return urlunsplit(signed._replace(scheme=here.scheme, netloc=here.netloc)), {**headers, "host": signed.netloc}


def reason(answer: FastResponse) -> str:
    """Why a call failed: the status with the problem's code, or S3's; or what kept the answer away."""
    if not answer.status_code:
        return f"no answer: {getattr(answer, 'error', None)!r}"
    text = answer.text or ""
    found = _S3_CODE.search(text)
    code = found[1] if found else _document(text).get("code", "")
    return f"{answer.status_code} {code}".strip()


def _failure(answer: FastResponse) -> Failure:
    return Failure(reason(answer), answer.status_code in _PASSING)


def _list(answer: Any, name: str) -> list[Document]:
    """A list in the answer's document; empty, with the request failed, where the answer is anything else."""
    found = _document(answer.text or "").get(name) if answer.status_code == 200 else None
    if isinstance(found, list):
        return found
    answer.failure(reason(answer))
    return []


def _document(text: str) -> Document:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
