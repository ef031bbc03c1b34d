"""A running stack, a browser, and galleries that must leave neither an error in the console nor a token in a URL."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from gallery import Gallery, MakePhoto, OpenGallery
from playwright.async_api import Browser, async_playwright
from running_stack import RunningStack, running_stack

from shoebox_client.samples import Sample, jpeg_of_size, write_samples
from tests.machine import find_chromium

HERE = Path(__file__).parent
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
DESKTOP = {"viewport": {"width": 1280, "height": 800}}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the folder's tests."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """Start the whole stack on this machine: gateway, functions, emulator."""
    with running_stack() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Chromium with a fresh profile."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """Return a user whom no other test knows."""
    return re.sub(r"\W", "-", request.node.name)[:64]


@pytest_asyncio.fixture(loop_scope="session")
async def open_gallery(browser: Browser, stack: RunningStack, user: str) -> AsyncIterator[OpenGallery]:
    """Open galleries: `await open_gallery(token=…, expected=…, **context options)`, or with the user's own token.

    At the end none may have an error in its console, and none may have sent its token in a URL.
    """
    opened: list[tuple[Gallery, str | None]] = []
    async with AsyncExitStack() as closing:

        async def open_one(token: str | None = "", *, expected: tuple[str, ...] = (), **options: Any) -> Gallery:
            context = await browser.new_context(**(DESKTOP | options))
            gallery = Gallery(await context.new_page(), context, stack, list(expected))
            closing.push_async_callback(gallery.close)
            gallery.listen()
            token = stack.token(user) if token == "" else token
            opened.append((gallery, token))
            await gallery.open(token)
            return gallery

        yield open_one
    for gallery, token in opened:
        assert gallery.errors == []
        assert token is None or not [r.url for r in gallery.requests if token in r.url]


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sample]:
    """Write the sample photos, by name: good ones of every type, and faulty ones."""
    return {sample.path.name: sample for sample in write_samples(tmp_path_factory.mktemp("samples"), small=True)}


@pytest.fixture
def photo(tmp_path: Path) -> MakePhoto:
    """Make photos of different content: `photo(seed, kilobytes)`; the file is named after the seed."""

    def make(seed: int, kilobytes: int = 40) -> Path:
        path = tmp_path / f"photo-{seed}.jpg"
        path.write_bytes(jpeg_of_size(seed, 400, 300, kilobytes * 1024))
        return path

    return make


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a photo that is large enough to go in three parts."""
    path = tmp_path_factory.mktemp("large") / "large.jpg"
    path.write_bytes(jpeg_of_size(1, 1200, 900, 17 * 1024 * 1024))
    return path
