"""The gallery's files, the description and its page: served without AWS, each with its policy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import build_app
from api.dependencies import Services
from api.pages import FOLDER, content_security_policy, load_pages
from shoebox.config import Limits
from shoebox_client.renditions import RENDITIONS
from tests.api_bench import SETTINGS


@pytest.fixture
async def site() -> AsyncIterator[httpx.AsyncClient]:
    """Return the application with settings, and nothing behind it."""
    absent: Any = None

    @asynccontextmanager
    async def opener() -> AsyncIterator[Services]:
        yield Services(SETTINGS, Limits(), absent, absent, absent, absent)

    app = build_app(opener)

    async with app.router.lifespan_context(app) as state:

        async def with_state(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, "state": dict(state or {})}, receive, send)

        transport = httpx.ASGITransport(app=with_state)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
            yield client


async def test_the_gallery_is_at_the_root(site: httpx.AsyncClient) -> None:
    """The page comes with a policy that lets in our own scripts, and S3 for pictures and uploads, and no more."""
    response = await site.get("/")
    policy = response.headers["content-security-policy"]

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.content == (FOLDER / "index.html").read_bytes()
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "img-src 'self' blob: data: https://s3.example.test;" in policy
    assert "connect-src 'self' https://s3.example.test;" in policy
    assert "unsafe" not in policy


async def test_every_file_of_the_gallery_is_served_with_its_type(site: httpx.AsyncClient) -> None:
    """Whatever lies in the folder, and the page's own links all lead somewhere."""
    names = {p.relative_to(FOLDER).as_posix() for p in FOLDER.rglob("*") if p.is_file()}
    types = {".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml", ".css": "text/css; charset=utf-8"}
    assert set(load_pages()) == names
    for name in names:
        response = await site.get(f"/pages/{name}")
        assert response.status_code == 200
        assert response.content == (FOLDER / name).read_bytes()
        assert response.headers["content-type"] == types.get(Path(name).suffix, response.headers["content-type"])
        assert response.headers["x-content-type-options"] == "nosniff"
    for link in re.findall(r'(?:src|href)="(pages/[^"]+)"', (FOLDER / "index.html").read_text()):
        assert link.removeprefix("pages/") in names


async def test_an_unchanged_file_is_not_sent_again(site: httpx.AsyncClient) -> None:
    """A plain address is asked about each time, by ETag; one that names the version is kept for good."""
    first = await site.get("/pages/icon.svg")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"

    assert tag.startswith('W/"')  # the compressed and the plain form share it (RFC 9110, 8.8.3.3)
    for condition in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = await site.get("/pages/icon.svg", headers={"if-none-match": condition})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert again.headers["vary"] == "Accept-Encoding"  # as the 200 would have (RFC 9110, 15.4.5)
    assert (await site.get("/pages/icon.svg", headers={"if-none-match": '"other"'})).status_code == 200
    pinned = await site.get("/pages/icon.svg", params={"v": tag.removeprefix("W/").strip('"')})
    assert pinned.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await site.get("/pages/icon.svg", params={"v": "old"})).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/pages",
        "/pages/",
        "/pages/nothing.js",
        "/pages/../app.py",
        "/pages/%2e%2e/app.py",
        "/pages/..%2fapp.py",
        "/pages//etc/passwd",
        "/pages/.hidden.js",
        "/pages/index.html/",
        "/app.py",
        "/index.html",
    ],
)
async def test_nothing_else_is_served(site: httpx.AsyncClient, path: str) -> None:
    """No listing, no way out of the folder, nothing hidden: a problem 404."""
    response = await site.get(path)

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_hidden_files_and_unknown_types_are_left_out(tmp_path: Path) -> None:
    """An editor's leavings and secrets in the folder stay there."""
    for name in ("a.js", ".env", ".b.js", "c.py", "sub/d.css", ".git/e.js", "f.js~"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")

    assert set(load_pages(tmp_path)) == {"a.js", "sub/d.css"}


def test_the_policy_names_an_origin_only() -> None:
    """A path, or a port, of the S3 address ends up right."""
    assert "connect-src 'self' http://127.0.0.1:4566;" in content_security_policy("http://127.0.0.1:4566/x?y#z")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/pages/icon.svg", 200),
        ("/docs", 200),
        ("/openapi.json", 200),
        ("/v1/limits", 200),
        ("/nowhere", 404),
    ],
)
async def test_heads_are_answered_as_gets_without_the_body(site: httpx.AsyncClient, path: str, status: int) -> None:
    """Link checkers and monitors ask with HEAD: status and headers, the length too, are those of GET."""
    asked, got = await site.head(path), await site.get(path)

    assert (asked.status_code, asked.content) == (status, b"")
    assert asked.headers == got.headers


async def test_what_answers_no_get_answers_no_head(site: httpx.AsyncClient) -> None:
    """HEAD of an address that takes other methods only is told which."""
    response = await site.head("/v1/files/f/multipart/u/complete")

    assert (response.status_code, response.headers["allow"], response.content) == (405, "POST", b"")


async def test_the_description_is_openapi_with_problems(site: httpx.AsyncClient) -> None:
    """OpenAPI 3.1, every operation with a stable id, its token's scope and its problems; nothing of FastAPI's own."""
    response = await site.get("/openapi.json")
    document = response.json()
    operations = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }

    assert document["openapi"].startswith("3.1")
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert "ValidationError" not in response.text
    assert operations["DELETE /v1/files/{file_id}"]["security"] == [{"token": ["files:write"]}]
    assert "security" not in operations["GET /v1/limits"]
    for name, operation in operations.items():
        assert operation["operationId"]
        for status, described in operation["responses"].items():
            if int(status) >= 400 and name != "GET /healthz":
                assert set(described["content"]) == {"application/problem+json"}
    again = await site.get("/openapi.json", headers={"if-none-match": response.headers["etag"]})
    assert again.status_code == 304


class Links(HTMLParser):
    """What a page links to and loads."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.ids: set[str] = set()
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.add(tag)
        found = dict(attrs)
        self.targets |= {value for name in ("href", "src") if (value := found.get(name))}
        self.ids |= {value for value in [found.get("id")] if value}


async def test_the_docs_need_nothing_from_elsewhere(site: httpx.AsyncClient) -> None:
    """One page with every route and document, no script, and links that lead somewhere."""
    response = await site.get("/docs")
    page = Links()
    page.feed(response.text)
    document = (await site.get("/openapi.json")).json()

    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "script" not in page.tags
    assert {target for target in page.targets if not target.startswith("#")} == {"openapi.json"}
    assert {target[1:] for target in page.targets if target.startswith("#")} <= page.ids
    assert all(f"<code>{path}</code>" in response.text for path in document["paths"])
    assert {f"schema-{name}" for name in document["components"]["schemas"]} <= page.ids
    assert "unsafe" not in response.headers["content-security-policy"]


async def test_limits_are_told_to_anyone(site: httpx.AsyncClient) -> None:
    """What a client needs to judge a picture before it sends a byte."""
    response = await site.get("/v1/limits")

    assert response.json() == {
        "max_bytes": 104_857_600,
        "max_pixels": 100_000_000,
        "max_pixels_by_type": {
            "image/webp": 60_000_000,
            "image/heic": 85_000_000,
            "image/heif": 85_000_000,
            "image/avif": 70_000_000,
        },
        "max_side": 30_000,
        "max_batch": 100,
        "multipart_from": 16_777_216,
        "part_bytes": 8_388_608,
        "content_types": [
            "image/jpeg",
            "image/png",
            "image/webp",
            "image/gif",
            "image/heic",
            "image/heif",
            "image/avif",
        ],
        "renditions": list(RENDITIONS),
        "wait_seconds": 720,
    }


@pytest.mark.parametrize(
    ("accepts", "compressed"),
    [
        ("gzip, br", True),
        ("br;q=1.0, gzip;q=0.5", True),
        ("gzip;q=0.001", True),
        ("gzip;q=0", False),
        ("br, GZIP ; Q=0.000, deflate", False),
        ("identity", False),
        ("", False),
    ],
)
async def test_files_are_compressed_for_who_can_read_that(
    site: httpx.AsyncClient, accepts: str, compressed: bool
) -> None:
    """A phone gets a third of the bytes; the content is the same, and caches keep the two apart."""
    response = await site.get("/pages/style.css", headers={"accept-encoding": accepts})
    on_the_wire = int(response.headers["content-length"])

    assert (response.headers.get("content-encoding") == "gzip") is compressed
    assert response.content == (FOLDER / "style.css").read_bytes()
    assert (on_the_wire < len(response.content) / 2) is compressed
    assert response.headers["vary"].lower() == "accept-encoding"


async def test_the_descriptions_markdown_is_shown_as_it_is_meant(site: httpx.AsyncClient) -> None:
    """Code and emphasis become elements, once escaped; no backtick is left for the reader."""
    page = (await site.get("/docs")).text

    assert "<code>Authorization: Bearer &lt;JWT&gt;</code>" in page
    assert "<em>service</em>" in page
    assert "`" not in page
