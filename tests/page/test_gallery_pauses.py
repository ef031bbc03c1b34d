"""When nothing can go on, the page says so, waits without trying in vain, and goes on by itself or when it is told."""

import re

import pytest
from gallery import Gallery, MakePhoto, OpenGallery
from playwright.async_api import Route, expect

pytestmark = pytest.mark.asyncio(loop_scope="session")
FAILED_LOAD = "Failed to load resource"
MINUTES = 10  # longer than any try is repeated
FULL = (
    '<?xml version="1.0" encoding="UTF-8"?><Error><Code>InsufficientStorage</Code>'
    "<Message>The disk that keeps this stack&#39;s data is full. Make room, then try again.</Message></Error>"
)


async def test_offline_is_said_and_pauses(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """Without a network nothing is asked or sent, however long it takes; when it is back, all goes on by itself."""
    gallery = await open_gallery(expected=(FAILED_LOAD,))
    await gallery.page.clock.install()
    await gallery.context.set_offline(True)
    banner = gallery.page.locator("#pause")
    await expect(banner).to_contain_text("You are offline. Uploads are paused and go on by themselves")
    before = len(gallery.requests)
    await gallery.choose(photo(1))
    await expect(gallery.tile("photo-1.jpg")).to_have_attribute("data-state", "registering")
    await expect_activity(gallery, "Paused at 1 of 1")
    await wait(gallery)
    asked = {r.url.rpartition("/")[2] for r in gallery.requests[before:] if r.url.startswith("http")}
    assert asked <= {"hash-worker.js"}
    await gallery.context.set_offline(False)
    await run_until_ready(gallery, "photo-1.jpg")
    await expect(banner).to_be_hidden()


async def test_a_silent_shoebox_is_waited_for(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """With a network but no answer, one small question is asked now and then instead of every upload's."""
    gallery = await open_gallery(expected=(FAILED_LOAD,))
    await gallery.page.clock.install()
    every = re.compile(re.escape(gallery.stack.url))
    await gallery.page.route(every, lambda route: route.abort("connectionrefused"))
    before = len(gallery.requests)
    await gallery.choose(photo(1), photo(2))
    await expect(gallery.page.locator("#pause")).to_contain_text("Shoebox cannot be reached. Uploads are paused")
    await wait(gallery)
    made = gallery.requests[before:]
    assert len([r for r in made if "/v1/" in r.url]) <= 2
    assert 15 <= len([r for r in made if r.url.endswith("/pages/icon.svg")]) <= 30
    await gallery.page.unroute(every)
    await run_until_ready(gallery, "photo-1.jpg")
    await run_until_ready(gallery, "photo-2.jpg")
    await expect(gallery.page.locator("#pause")).to_be_hidden()


async def test_a_full_storage_is_said_and_pauses(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """S3's own sentence says what to do; every upload waits until Try again is pressed, and then arrives."""
    gallery = await open_gallery(expected=(FAILED_LOAD,))
    await gallery.page.clock.install()

    async def refuse(route: Route) -> None:
        await route.fulfill(status=507, body=FULL, headers={"access-control-allow-origin": gallery.stack.url})

    uploads = re.compile(re.escape(gallery.stack.s3_url) + r"/[^/]+/originals/")
    await gallery.page.route(uploads, refuse)
    await gallery.choose(photo(1), photo(2))
    banner = gallery.page.locator("#pause")
    await expect(banner).to_contain_text(
        "The disk that keeps this stack's data is full. Make room, then try again. Uploads are paused until then."
    )
    await wait(gallery)
    assert len(gallery.uploads()) <= 2
    await gallery.page.unroute(uploads)
    await banner.get_by_role("button", name="Try again").click()
    await run_until_ready(gallery, "photo-1.jpg")
    await run_until_ready(gallery, "photo-2.jpg")
    await expect(banner).to_be_hidden()


async def test_a_paused_upload_can_be_cancelled(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """Whoever does not want to wait cancels, and may retry later; the focus stays with the photo."""
    gallery = await open_gallery(expected=(FAILED_LOAD,))
    await gallery.context.set_offline(True)
    await gallery.choose(photo(1))
    tile = await gallery.wait_for("photo-1.jpg", "registering")
    await tile.get_by_role("button", name="Cancel photo-1.jpg").press("Enter")
    await gallery.wait_for("photo-1.jpg", "cancelled")
    await expect(tile.get_by_role("button", name="Retry photo-1.jpg")).to_be_focused()
    await gallery.context.set_offline(False)
    await tile.get_by_role("button", name="Retry photo-1.jpg").press("Enter")
    await gallery.wait_for_picture("photo-1.jpg")
    await expect(tile.get_by_role("button", name="Open photo-1.jpg")).to_be_focused()


async def expect_activity(gallery: Gallery, text: str) -> None:
    """Wait until the panel of all uploads says this."""
    panel = gallery.page.locator("#activity-text")
    while await panel.text_content() != text:
        await gallery.page.clock.run_for(300)


async def wait(gallery: Gallery) -> None:
    """Let the page's time go on."""
    for _ in range(MINUTES * 6):
        await gallery.page.clock.run_for(10_000)


async def run_until_ready(gallery: Gallery, name: str) -> None:
    """Let the page's time go on until a photo is ready."""
    while await gallery.tile(name).get_attribute("data-state") != "ready":
        await gallery.page.clock.run_for(1000)
