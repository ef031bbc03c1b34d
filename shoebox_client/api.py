"""Calls of Shoebox's HTTP API (v1), with retries; documents come back as they are in docs/reference/api.md."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import orjson

from shoebox_client.errors import ClientError, NotAllowed, NotFound, NotShoebox, Refused, TransientError, Unreachable
from shoebox_client.retry import TRANSIENT_STATUSES, RetryListener, RetryPolicy, retry_after

Document = dict[str, Any]
_CALL_SECONDS = 35  # the gateway gives up after 29


class Api:
    """One service, one token. Every call may raise the errors of `shoebox_client.errors`."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, token: str | None, retry: RetryPolicy | None = None
    ) -> None:
        self.session = session
        self.url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {token}"} if token else {}
        self._retry = retry or RetryPolicy()
        self._listener: RetryListener | None = None

    def with_retry(self, retry: RetryPolicy, listener: RetryListener | None = None) -> Api:
        """Return the same service and token with another policy; `listener` is told of each call that is retried."""
        api = Api(self.session, self.url, None, retry)
        api._headers = self._headers
        api._listener = listener
        return api

    async def limits(self) -> Document:
        """Return what the service accepts (GET /v1/limits)."""
        return await self._call("GET", "/v1/limits")

    async def health(self) -> tuple[int, Document]:
        """Return the status and the document of /healthz; tried once."""
        async with self._request("GET", "/healthz") as response:
            return response.status, await _document(response)

    async def register(self, files: Sequence[Document]) -> list[Document]:
        """Register 1 to 100 files; return their entries in the same order."""
        response = await self._call("POST", "/v1/files", body={"files": list(files)})
        return _list(response, "files", len(files))

    async def list_files(self, *, limit: int, cursor: str | None = None, state: str | None = None) -> Document:
        """Return a page of files, newest first, with `next_cursor`."""
        query = {"limit": str(limit), "cursor": cursor, "state": state, "urls": "false"}
        return await self._call("GET", "/v1/files", query=[(k, v) for k, v in query.items() if v is not None])

    async def files(self, ids: Sequence[str]) -> list[Document]:
        """Return those of 1 to 100 files that exist, without URLs."""
        response = await self._call("GET", "/v1/files", query=[*(("id", i) for i in ids), ("urls", "false")])
        return _list(response, "files")

    async def file(self, file_id: str) -> Document:
        """Return one file, with URLs."""
        return await self._call("GET", _path(file_id))

    async def delete(self, file_id: str) -> Document:
        """Delete a file; return its last state."""
        return await self._call("DELETE", _path(file_id))

    async def open_multipart(self, file_id: str) -> Document:
        """Open a multipart upload, or return the one that is open already."""
        return await self._call("POST", f"{_path(file_id)}/multipart")

    async def multipart(self, file_id: str, upload_id: str) -> Document:
        """Return a multipart upload with the parts done."""
        return await self._call("GET", _path(file_id, upload_id))

    async def sign_parts(self, file_id: str, upload_id: str, parts: Sequence[Document]) -> list[Document]:
        """Return upload instructions for 1 to 100 parts."""
        response = await self._call("POST", f"{_path(file_id, upload_id)}/parts", body={"parts": list(parts)})
        return _list(response, "parts", len(parts))

    async def complete_multipart(self, file_id: str, upload_id: str) -> Document:
        """Join the parts into the file; return it."""
        return await self._call("POST", f"{_path(file_id, upload_id)}/complete")

    async def _call(
        self, method: str, path: str, *, query: Sequence[tuple[str, str]] = (), body: Document | None = None
    ) -> Document:
        async def attempt(_: ClientError | None) -> Document:
            async with self._request(method, path, query, body) as response:
                if response.status in TRANSIENT_STATUSES:  # a gateway between us may say so, without a document
                    problem = await _document(response, default={})
                    raise TransientError(
                        problem.get("detail") or f"Shoebox at {self.url} answered {response.status}.",
                        code=problem.get("code") or "unavailable",
                        retry_after=retry_after(response.headers.get("retry-after")),
                    )
                document = await _document(response)
                if response.status < 300:
                    return document
                detail = document.get("detail") or f"It answered {response.status}."
                code = document.get("code") or f"http_{response.status}"
                kind = {401: NotAllowed, 403: NotAllowed, 404: NotFound}.get(response.status, Refused)
                raise kind(detail, code=code, status=response.status)

        return await self._retry.run(attempt, self._listener)

    @asynccontextmanager
    async def _request(
        self, method: str, path: str, query: Sequence[tuple[str, str]] = (), body: Document | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        data = None if body is None else orjson.dumps(body)
        headers = self._headers if body is None else {**self._headers, "content-type": "application/json"}
        try:
            async with self.session.request(
                method,
                self.url + path,
                params=list(query),
                data=data,
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=_CALL_SECONDS, sock_connect=5),
            ) as response:
                yield response
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise NotShoebox(f"{self.url} is no address; it should look like http://127.0.0.1:8080.") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            why = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
            if isinstance(error, aiohttp.ClientConnectorError):
                why = error.strerror or "no connection"
            raise Unreachable(f"Shoebox at {self.url} does not answer ({why}).") from error


def is_loopback(url: str) -> bool:
    """Tell whether `url` names this machine."""
    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}


@asynccontextmanager
async def open_api(
    url: str, token: str | None = None, *, retry: RetryPolicy | None = None, connections: int = 20
) -> AsyncIterator[Api]:
    """Open an `Api` with its own connections. Proxies of the environment are used, except for this machine itself."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        auto_decompress=True,
        trust_env=not is_loopback(url),
    ) as session:
        yield Api(session, url, token, retry)


async def _document(response: aiohttp.ClientResponse, *, default: Document | None = None) -> Document:
    try:
        document = orjson.loads(await response.read())
    except orjson.JSONDecodeError as error:
        if default is not None:
            return default
        raise NotShoebox(f"What answers at {response.url.origin()} is not Shoebox: no JSON.") from error
    if not isinstance(document, dict):
        raise NotShoebox(f"What answers at {response.url.origin()} is not Shoebox: unknown JSON.")
    return document


def _list(document: Document, name: str, length: int | None = None) -> list[Document]:
    found = document.get(name)
    if not isinstance(found, list) or (length is not None and len(found) != length):
        raise NotShoebox(f"The answer is not Shoebox's: {name!r} is not the list that it should be.")
    return found


def _path(file_id: str, upload_id: str | None = None) -> str:
    path = f"/v1/files/{quote(file_id, safe='')}"
    return path if upload_id is None else f"{path}/multipart/{quote(upload_id, safe='')}"
