"""The gallery's files at `/` and `/pages/*`, read into memory once, so that no path of a request reaches the disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.dependencies import ServicesOf
from api.responses import not_modified, weak_etag
from shoebox.errors import NotFound

router = APIRouter(include_in_schema=False)
FOLDER = Path(__file__).with_name("static")
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_YEAR = 31_536_000


@dataclass(frozen=True, slots=True)
class Page:
    """A file that is served; `version` is a hash of its content."""

    content: bytes
    media_type: str
    version: str


@lru_cache
def load_pages(folder: Path = FOLDER) -> dict[str, Page]:
    """Return every file below `folder` of a type that is served, by its path; hidden ones are left out."""
    found = {path.relative_to(folder): path for path in folder.rglob("*") if path.suffix in _TYPES and path.is_file()}
    pages = {}
    for name, path in found.items():
        if not any(part.startswith(".") for part in name.parts):
            content = path.read_bytes()
            pages[name.as_posix()] = Page(content, _TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:20])
    return pages


def content_security_policy(s3_url: str) -> str:
    """Return the policy: scripts and styles of our own only, pictures and requests also from and to S3 at `s3_url`."""
    parts = urlsplit(s3_url)
    s3 = f"{parts.scheme}://{parts.netloc}"
    rules = {
        "default-src": "'none'",
        "script-src": "'self'",
        "worker-src": "'self'",
        "style-src": "'self'",
        "img-src": f"'self' blob: data: {s3}",
        "connect-src": f"'self' {s3}",
        "manifest-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())


@router.get("/")
async def show_gallery(request: Request, services: ServicesOf) -> Response:
    """Show the gallery."""
    return _respond(request, "index.html", services.settings.s3_public_url)


@router.get("/pages/{path:path}")
async def show_page(path: str, request: Request, services: ServicesOf) -> Response:
    """Show a file of the gallery."""
    return _respond(request, path, services.settings.s3_public_url)


def _respond(request: Request, path: str, s3_url: str) -> Response:
    page = load_pages().get(path)
    if page is None:
        raise NotFound("There is nothing at this address.")
    pinned = request.query_params.get("v") == page.version
    headers = {
        "etag": weak_etag(page.version),
        # An address that names the version never changes its content; a plain one is asked about each time.
        "cache-control": f"public, max-age={_YEAR}, immutable" if pinned else "no-cache",
        "content-security-policy": content_security_policy(s3_url),
        "cross-origin-opener-policy": "same-origin",
        "permissions-policy": "geolocation=(), microphone=(), payment=()",
    }
    return not_modified(request, headers) or Response(page.content, media_type=page.media_type, headers=headers)
