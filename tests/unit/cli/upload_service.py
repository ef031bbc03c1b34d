"""A small Shoebox for tests of its clients: the HTTP API and the storage on one real socket, with faults on demand.

It keeps the API's contract as far as a client can see it: the same bytes give the same file, an upload must come with
exactly the headers it was given, and only whole files with the right checksum are stored.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

LIMITS = {
    "max_bytes": 3_000_000,
    "max_pixels": 100_000_000,
    "max_pixels_by_type": {"image/webp": 60_000_000},
    "max_side": 30_000,
    "max_batch": 100,
    "multipart_from": 1_000_000,
    "part_bytes": 250_000,
    "content_types": ["image/jpeg", "image/png", "image/webp", "image/heic", "image/gif"],
    "renditions": ["2048", "1024", "320"],
    "wait_seconds": 720,
}
TOKEN = "a.good.token"


@dataclass
class Fault:
    """Something to go wrong, `times` times, with calls of a kind ("register", "put", "part", "poll", "complete", …)."""

    kind: str
    times: int = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    drop_after: int | None = None  # bytes read before the connection is cut
    hang: bool = False


@dataclass
class Call:
    """A call that came in; `size` is the bytes of an upload that was stored."""

    kind: str
    size: int = 0


_CALL = web.RequestKey("call", Call)


@dataclass
class StoredFile:
    """A file as the service knows it."""

    file_id: str
    registration: dict[str, Any]
    state: str = "REGISTERED"
    reason: str | None = None
    warnings: list[str] = field(default_factory=list)
    registered_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    finished_at: datetime | None = None
    polls_left: int = 1
    body: bytes | None = None
    upload_id: str | None = None
    parts: dict[int, bytes] = field(default_factory=dict)


class Service:
    """The state of the service, what was called, and what shall go wrong."""

    def __init__(self) -> None:
        self.url = ""
        self.limits: dict[str, Any] = dict(LIMITS)
        self.files: dict[str, StoredFile] = {}
        self.calls: list[Call] = []
        self.faults: list[Fault] = []
        self.url_seconds = 3600.0
        self.polls_until_ready = 1
        self.reject: dict[str, str] = {}  # name → reason
        self.warn: dict[str, list[str]] = {}  # name → warnings
        self.problems: dict[str, dict[str, str]] = {}  # name → problem of its entry
        self.register_sizes: list[int] = []
        self.putting = 0
        self.max_putting = 0
        self.hung = asyncio.Event()  # a call that hangs has come

    def count(self, kind: str) -> int:
        """How many calls of a kind came in, faulty ones included."""
        return sum(call.kind == kind for call in self.calls)

    def stored_bytes(self) -> int:
        """Bytes of uploads and parts that were taken."""
        return sum(call.size for call in self.calls)

    def by_name(self, name: str) -> StoredFile:
        """Return the file registered under this name."""
        return next(f for f in self.files.values() if f.registration["name"] == name)

    # --- handlers ----------------------------------------------------------------------------------------------

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Any) -> web.StreamResponse:
        kind = request.match_info.route.name or "other"
        call = Call(kind)
        self.calls.append(call)
        fault = next((f for f in self.faults if f.kind == kind and f.times), None)
        if fault:
            fault.times -= 1
            return await self._go_wrong(request, fault)
        if kind not in {"limits", "put", "part"} and request.headers.get("authorization") != f"Bearer {TOKEN}":
            return problem(401, "token_missing", "Send a token.")
        request[_CALL] = call
        response: web.StreamResponse = await handler(request)
        return response

    async def _go_wrong(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        if fault.hang:
            self.hung.set()
            await asyncio.Event().wait()
        if fault.drop_after is not None:
            if fault.drop_after:
                await request.content.readexactly(fault.drop_after)
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        await request.read()
        return web.Response(status=fault.status or 500, text=fault.body, headers=fault.headers)

    async def _get_limits(self, request: web.Request) -> web.Response:
        return web.json_response(self.limits)

    async def _register(self, request: web.Request) -> web.Response:
        entries = (await request.json())["files"]
        self.register_sizes.append(len(entries))
        return web.json_response({"files": [self._entry(entry) for entry in entries]})

    def _entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        if found := self.problems.get(entry["name"]):
            return {"name": entry["name"], "problem": found}
        file_id = "f" + base64.b32encode(bytes.fromhex(entry["sha256"])[:20]).decode().lower()
        file = self.files.setdefault(file_id, StoredFile(file_id, entry))
        if file.state == "REJECTED":
            file = self.files[file_id] = StoredFile(file_id, entry)
        upload = None
        if file.state == "REGISTERED":
            upload = self._instruction(f"/bucket/{file_id}", entry["size"], entry["sha256"], entry["content_type"])
        return {**self.document(file), "upload": upload}

    def _instruction(self, path: str, size: int, sha256: str, content_type: str | None = None) -> dict[str, Any]:
        headers = {"content-length": str(size), "x-amz-checksum-sha256": _base64(bytes.fromhex(sha256))}
        if content_type:
            headers["content-type"] = content_type
        ends = datetime.now(UTC) + timedelta(seconds=self.url_seconds)
        return {
            "method": "PUT",
            "url": f"{self.url}{path}?X-Amz-Signature=a%2Fb%20c&n={len(self.calls)}",
            "headers": headers,
            "expires_at": ends.isoformat().replace("+00:00", "Z"),
        }

    def document(self, file: StoredFile) -> dict[str, Any]:
        """Return a File of the API."""
        ends = file.finished_at.isoformat().replace("+00:00", "Z") if file.finished_at else None
        return {
            "file_id": file.file_id,
            **file.registration,
            "state": file.state,
            "reason": file.reason,
            "detail": "It is damaged." if file.reason else None,
            "registered_at": file.registered_at.isoformat().replace("+00:00", "Z"),
            "finished_at": ends,
            "width": 4000 if file.state == "READY" else None,
            "height": 3000 if file.state == "READY" else None,
            "warnings": file.warnings,
            "renditions": [],
        }

    async def _put(self, request: web.Request) -> web.Response:
        self.putting += 1
        self.max_putting = max(self.max_putting, self.putting)
        try:
            body = await request.read()
        finally:
            self.putting -= 1
        file = self.files[request.match_info["file_id"]]
        if refusal := _refuse(request, body):
            return refusal
        assert request.headers["content-type"] == file.registration["content_type"]
        assert "%2Fb%20c" in request.raw_path, "the signed URL must go out as it came"
        request[_CALL].size = len(body)
        self._store(file, body)
        return web.Response()

    def _store(self, file: StoredFile, body: bytes) -> None:
        assert hashlib.sha256(body).hexdigest() == file.registration["sha256"]
        file.body, file.polls_left = body, self.polls_until_ready

    async def _list_files(self, request: web.Request) -> web.Response:
        if ids := request.query.getall("id", []):
            assert len(ids) <= 100
            assert request.query["urls"] == "false"
            return web.json_response({"files": [self._polled(self.files[i]) for i in ids if i in self.files]})
        files = [f for f in self.files.values() if request.query.get("state") in (None, f.state)]
        start, limit = int(request.query.get("cursor", "0")), int(request.query["limit"])
        more = str(start + limit) if start + limit < len(files) else None
        page = [self.document(f) for f in files[start : start + limit]]
        return web.json_response({"files": page, "next_cursor": more})

    def _polled(self, file: StoredFile) -> dict[str, Any]:
        if file.body is not None and file.state == "REGISTERED":
            file.polls_left -= 1
            if file.polls_left <= 0:
                file.reason = self.reject.get(file.registration["name"])
                file.warnings = self.warn.get(file.registration["name"], [])
                file.state = "REJECTED" if file.reason else "READY"
                file.finished_at = file.registered_at + timedelta(milliseconds=123)
        return self.document(file)

    async def _get_file(self, request: web.Request) -> web.Response:
        file = self.files.get(request.match_info["file_id"])
        return web.json_response(self.document(file)) if file else problem(404, "not_found", "There is no such file.")

    async def _delete(self, request: web.Request) -> web.Response:
        file = self.files.pop(request.match_info["file_id"], None)
        if file is None:
            return problem(404, "not_found", "There is no such file.")
        return web.json_response({"file_id": file.file_id, "state": "DELETING"}, status=202)

    # --- multipart ---------------------------------------------------------------------------------------------

    async def _open_multipart(self, request: web.Request) -> web.Response:
        file = self.files[request.match_info["file_id"]]
        status = 200 if file.upload_id else 201
        file.upload_id = file.upload_id or f"upload-{len(self.calls)}"
        return web.json_response(self._facts(file), status=status)

    def _facts(self, file: StoredFile) -> dict[str, Any]:
        part_bytes = self.limits["part_bytes"]
        parts = -(-file.registration["size"] // part_bytes)
        return {"upload_id": file.upload_id, "part_bytes": part_bytes, "parts": parts}

    def _open(self, request: web.Request) -> StoredFile | None:
        file = self.files.get(request.match_info["file_id"])
        return file if file and file.upload_id == request.match_info["upload_id"] else None

    async def _multipart(self, request: web.Request) -> web.Response:
        file = self._open(request)
        if file is None:
            return problem(404, "not_found", "There is no such upload.")
        done = [
            {"part": n, "size": len(b), "sha256": hashlib.sha256(b).hexdigest()} for n, b in sorted(file.parts.items())
        ]
        return web.json_response({**self._facts(file), "done": done})

    async def _sign_parts(self, request: web.Request) -> web.Response:
        file = self._open(request)
        if file is None:
            return problem(404, "not_found", "There is no such upload.")
        size, part_bytes = file.registration["size"], self.limits["part_bytes"]
        signed = []
        for wanted in (await request.json())["parts"]:
            length = min(part_bytes, size - (wanted["part"] - 1) * part_bytes)
            path = f"/bucket/{file.file_id}/{file.upload_id}/{wanted['part']}"
            signed.append({"part": wanted["part"], **self._instruction(path, length, wanted["sha256"])})
        return web.json_response({"parts": signed})

    async def _put_part(self, request: web.Request) -> web.Response:
        body = await request.read()
        file = self._open(request)
        if file is None:
            return web.Response(status=404, text="<Error><Code>NoSuchUpload</Code></Error>")
        if refusal := _refuse(request, body):
            return refusal
        request[_CALL].size = len(body)
        file.parts[int(request.match_info["part"])] = body
        return web.Response()

    async def _complete(self, request: web.Request) -> web.Response:
        file = self._open(request)
        if file is None:
            return problem(404, "not_found", "There is no such upload.")
        if len(file.parts) != self._facts(file)["parts"]:
            return problem(409, "conflict", "Parts are missing.")
        self._store(file, b"".join(body for _, body in sorted(file.parts.items())))
        file.upload_id = None
        return web.json_response(self.document(file), status=202)


def problem(status: int, code: str, detail: str) -> web.Response:
    """Return a response of RFC 9457."""
    body = {"type": "about:blank", "title": code, "status": status, "detail": detail, "code": code}
    return web.json_response(body, status=status, content_type="application/problem+json")


def _refuse(request: web.Request, body: bytes) -> web.Response | None:
    if request.headers["x-amz-checksum-sha256"] == _base64(hashlib.sha256(body).digest()):
        return None
    return web.Response(status=400, text="<Error><Code>BadDigest</Code></Error>")


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


@asynccontextmanager
async def running_service() -> AsyncIterator[Service]:
    """Run a service on a free port of 127.0.0.1."""
    service = Service()
    app = web.Application(middlewares=[service._middleware], client_max_size=10_000_000)
    one, upload = "/v1/files/{file_id}", "/v1/files/{file_id}/multipart/{upload_id}"
    app.add_routes(
        [
            web.get("/v1/limits", service._get_limits, name="limits"),
            web.post("/v1/files", service._register, name="register"),
            web.get("/v1/files", service._list_files, name="poll", allow_head=False),
            web.get(one, service._get_file, name="get", allow_head=False),
            web.delete(one, service._delete, name="delete"),
            web.post(f"{one}/multipart", service._open_multipart, name="open_multipart"),
            web.get(upload, service._multipart, name="multipart", allow_head=False),
            web.post(f"{upload}/parts", service._sign_parts, name="sign_parts"),
            web.post(f"{upload}/complete", service._complete, name="complete"),
            web.put("/bucket/{file_id}", service._put, name="put"),
            web.put("/bucket/{file_id}/{upload_id}/{part}", service._put_part, name="part"),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()
