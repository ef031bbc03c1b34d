"""Photos go in: chosen, dropped or pasted; whole and faulty; through broken connections and expired addresses."""

import asyncio
import re
from pathlib import Path

import pytest
from gallery import PATIENCE, Gallery, MakePhoto, OpenGallery
from playwright.async_api import Locator, Request, Response, Route, expect

from shoebox_client.samples import Sample, jpeg_of_size

pytestmark = pytest.mark.asyncio(loop_scope="session")
FAILED_LOAD = r"Failed to load resource"

# Counts how many XMLHttpRequests are under way at most.
COUNT_UPLOADS = """
() => {
  let now = 0;
  window.mostUploads = 0;
  const send = XMLHttpRequest.prototype.send;
  XMLHttpRequest.prototype.send = function (body) {
    window.mostUploads = Math.max(window.mostUploads, ++now);
    this.addEventListener("readystatechange", () => this.readyState === XMLHttpRequest.DONE && now--);
    send.call(this, body);
  };
}
"""


async def test_chosen_photos_become_ready(open_gallery: OpenGallery, samples: dict[str, Sample]) -> None:
    """Photos of every accepted type are uploaded, prepared, and their renditions are on the screen."""
    gallery = await open_gallery()
    good = [sample for sample in samples.values() if sample.state == "READY"]
    await gallery.choose(*(sample.path for sample in good))
    for sample in good:
        assert await gallery.wait_for_picture(sample.path.name) > 0
    await expect(gallery.page.locator("#status")).to_have_text(f"{len(good)} photos")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("truncated.jpg", "The file is cut off"), ("text.jpg", "Not the kind of file its name says")],
)
async def test_a_faulty_photo_shows_its_reason(
    open_gallery: OpenGallery, samples: dict[str, Sample], name: str, reason: str
) -> None:
    """A rejected photo says why in words, adds Shoebox's detail, and can be deleted."""
    gallery = await open_gallery()
    await gallery.choose(samples[name].path)
    tile = await gallery.wait_for(name, "rejected")
    await expect(tile.locator(".why strong")).to_have_text(reason)
    await expect(tile.locator(".why span")).not_to_be_empty()
    await expect(gallery.page.locator("#status")).to_have_text("1 rejected")
    await gallery.delete(name)
    await expect(tile).to_have_count(0)


async def test_dropped_photos_become_ready(open_gallery: OpenGallery) -> None:
    """Dragging files over the page shows where to drop them; dropped ones are uploaded."""
    gallery = await open_gallery()
    files = [(f"dropped-{n}.jpg", "image/jpeg", jpeg_of_size(n, 400, 300, 30_000)) for n in range(2)]
    overlay = gallery.page.locator("#drop-here")
    await gallery.drag("dragenter", files)
    await expect(overlay).to_be_visible()
    await gallery.drag("dragleave", files)
    await expect(overlay).to_be_hidden()
    await gallery.drag("dragenter", files)
    await gallery.drag("drop", files)
    await expect(overlay).to_be_hidden()
    for name, _, _ in files:
        await gallery.wait_for_picture(name)


async def test_a_pasted_picture_becomes_ready(open_gallery: OpenGallery) -> None:
    """A picture from the clipboard is uploaded."""
    gallery = await open_gallery()
    await gallery.paste("image.png", "image/png", jpeg_of_size(3, 400, 300, 30_000))
    await gallery.wait_for_picture("image.png")


async def test_progress_is_shown(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """While bytes move, the tile and the page show how far they are, and how long it will take."""
    gallery = await open_gallery()
    await gallery.limit_upload(400_000)
    await gallery.choose(photo(1, kilobytes=1000))
    tile = await gallery.wait_for("photo-1.jpg", "sending")
    await expect(tile.locator(".note")).to_have_text(re.compile(r"^[1-9]\d? % of 1\.0 MB$"))
    assert 0 < float(await tile.locator("progress").get_attribute("value") or 0) <= 1
    await expect(gallery.page.locator("#activity-text")).to_have_text(
        re.compile(r"^Uploading 1 of 1 · [\d.]+ [kM]B/s · a few seconds left$")
    )
    await gallery.limit_upload(-1)
    await gallery.wait_for_picture("photo-1.jpg")
    await expect(gallery.page.locator("#activity")).to_be_hidden()


async def test_the_same_photo_is_sent_once(open_gallery: OpenGallery, photo: MakePhoto, tmp_path: Path) -> None:
    """A photo that is stored already is a success, at once and without another upload; a copy beside it is left out."""
    gallery = await open_gallery()
    original = photo(1)
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(original.read_bytes())
    await gallery.choose(original, copy)
    await expect(gallery.page.locator("#status")).to_contain_text("is the same photo as")
    await expect(gallery.tiles("ready")).to_have_count(1)
    await gallery.page.reload()
    await expect(gallery.tiles("ready")).to_have_count(1)
    await gallery.choose(copy)
    await expect(gallery.tiles().locator(".note")).to_have_text(["Already stored"])
    assert len(gallery.uploads()) == 1


@pytest.mark.parametrize(
    ("name", "content", "title"),
    [
        ("notes.txt", b"Remember the milk.", "Not a picture Shoebox takes"),
        ("film.mp4", b"\0\0\0\x18ftypmp42" + bytes(20), "Not a picture Shoebox takes"),
        ("empty.jpg", b"", "The file is empty"),
    ],
)
async def test_what_is_no_photo_is_refused_before_it_moves(
    open_gallery: OpenGallery, tmp_path: Path, name: str, content: bytes, title: str
) -> None:
    """A file of a wrong type or without content is refused by the page: nothing is registered, nothing is sent."""
    gallery = await open_gallery()
    (tmp_path / name).write_bytes(content)
    await gallery.choose(tmp_path / name)
    tile = await gallery.wait_for(name, "refused")
    await expect(tile.locator(".why strong")).to_have_text(title)
    assert not [request for request in gallery.requests if request.method in {"POST", "PUT"}]
    await tile.get_by_role("button", name=f"Dismiss {name}").click()
    await expect(tile).to_have_count(0)


@pytest.mark.parametrize("width", [320, 390])
async def test_a_phones_tile_shows_all_that_it_says(
    open_gallery: OpenGallery, photo: MakePhoto, tmp_path: Path, width: int
) -> None:
    """A scanner's TIFF is told to be one, and what to do; neither that nor a photo's size is cut off."""
    gallery = await open_gallery(viewport={"width": width, "height": 844})
    scan = tmp_path / "scan.tif"
    scan.write_bytes(b"II*\0" + bytes(60))
    original = photo(1)
    await gallery.choose(scan, original)
    why = (await gallery.wait_for("scan.tif", "refused")).locator(".why")
    await expect(why.locator("span")).to_have_text("TIFF is not accepted; save it as JPEG or PNG.")
    note = (await gallery.wait_for(original.name, "ready")).locator(".note")
    for shown in (why, note):
        assert await shown.evaluate("e => e.scrollHeight <= e.clientHeight && e.scrollWidth <= e.clientWidth")


async def test_a_file_that_is_too_large_is_refused_before_it_moves(open_gallery: OpenGallery, tmp_path: Path) -> None:
    """A file beyond the service's limit is refused by the page, which says how large a photo may be."""
    gallery = await open_gallery()
    large = tmp_path / "large.jpg"
    with large.open("wb") as file:
        file.write(b"\xff\xd8\xff")
        file.truncate(101 * 1024 * 1024)
    await gallery.choose(large)
    tile = await gallery.wait_for("large.jpg", "refused")
    await expect(tile.locator(".why span")).to_have_text("It has 105.9 MB; a photo may have 104.9 MB.")
    assert not [request for request in gallery.requests if request.method in {"POST", "PUT"}]


async def test_a_passing_fault_is_retried(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """A storage that is busy for a moment, or a broken connection, costs a new attempt and nothing else."""
    gallery = await open_gallery(expected=(FAILED_LOAD,))
    faults = iter(["busy", "broken"])

    async def trouble(route: Route) -> None:
        match next(faults, None):
            case "busy":
                await route.fulfill(status=503, headers=cors(gallery))
            case "broken":
                await route.abort("connectionreset")
            case _:
                await route.continue_()

    await gallery.page.route(is_upload(gallery), trouble)
    await gallery.choose(photo(1))
    await gallery.wait_for_picture("photo-1.jpg")
    assert len(gallery.uploads()) == 3


async def test_an_expired_address_is_asked_for_anew(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """When S3 refuses an upload URL as too old, the page registers the file again, once, and goes on."""
    gallery = await open_gallery(expected=(FAILED_LOAD,))
    first = iter([True])

    async def refuse_first(route: Route) -> None:
        if next(first, False):
            await route.fulfill(status=403, headers=cors(gallery))
        else:
            await route.continue_()

    await gallery.page.route(is_upload(gallery), refuse_first)
    await gallery.choose(photo(1))
    await gallery.wait_for_picture("photo-1.jpg")
    assert len(registrations(gallery)) == 2


async def test_a_failed_upload_can_be_retried(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """An upload that fails for good says so, and a press on Retry brings it to its end."""
    gallery = await open_gallery(expected=(FAILED_LOAD,))

    async def refuse(route: Route) -> None:
        await route.fulfill(status=400, headers=cors(gallery))

    await gallery.page.route(is_upload(gallery), refuse)
    await gallery.choose(photo(1))
    tile = await gallery.wait_for("photo-1.jpg", "failed")
    await expect(tile.locator(".why strong")).to_have_text("The upload failed")
    await expect(gallery.page.locator("#activity-text")).to_have_text("1 upload failed.")
    await gallery.page.unroute(is_upload(gallery))
    await tile.get_by_role("button", name="Retry photo-1.jpg").click()
    await gallery.wait_for_picture("photo-1.jpg")
    await expect(gallery.page.locator("#activity")).to_be_hidden()


async def test_a_failed_upload_can_be_chosen_again(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """Choosing the file of a failed upload again replaces it, and takes nothing back of what is now on its way."""
    gallery = await open_gallery(expected=(FAILED_LOAD,))

    async def refuse(route: Route) -> None:
        await route.fulfill(status=400, headers=cors(gallery))

    await gallery.page.route(is_upload(gallery), refuse)
    await gallery.choose(photo(1))
    await gallery.wait_for("photo-1.jpg", "failed")
    await gallery.page.unroute(is_upload(gallery))
    await gallery.choose(photo(1))
    await expect(gallery.tiles("ready")).to_have_count(1)
    await expect(gallery.tiles()).to_have_count(1)
    assert not [request for request in gallery.requests if request.method == "DELETE"]


async def test_a_cancelled_upload_can_be_retried(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """Cancel stops the bytes; the photo can be uploaded again at once."""
    gallery = await open_gallery()
    tile = await cancelled(gallery, photo(1, kilobytes=1000))
    await gallery.limit_upload(-1)
    await tile.get_by_role("button", name="Retry photo-1.jpg").click()
    await gallery.wait_for_picture("photo-1.jpg")


async def test_a_dismissed_upload_leaves_nothing(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """Dismissing a cancelled upload takes back what was registered of it."""
    gallery = await open_gallery()
    tile = await cancelled(gallery, photo(1, kilobytes=1000))
    async with gallery.page.expect_response(lambda response: response.request.method == "DELETE") as deletion:
        await tile.get_by_role("button", name="Dismiss photo-1.jpg").click()
    assert (await deletion.value).status == 202
    await gallery.page.reload()
    await gallery.listed()
    await expect(gallery.tiles()).to_have_count(0)


async def test_many_files_share_registrations_and_connections(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """Many photos need few registrations, and no more than four uploads are under way at a time."""
    gallery = await open_gallery()
    await gallery.page.evaluate(COUNT_UPLOADS)
    await gallery.choose(*(photo(seed, kilobytes=8) for seed in range(40)))
    await expect(gallery.tiles("ready")).to_have_count(40, timeout=2 * PATIENCE)
    assert await gallery.page.evaluate("window.mostUploads") == 4
    assert len(registrations(gallery)) <= 20


async def test_a_large_file_goes_in_parts_and_is_resumed(open_gallery: OpenGallery, large: Path) -> None:
    """A large file is sent in parts; after the page was closed in the middle, only the missing parts are sent."""
    first = await open_gallery()
    done = asyncio.Event()

    async def only_one_part(route: Route) -> None:
        if "partNumber=1&" in route.request.url:
            answer = await route.fetch()
            await route.fulfill(response=answer)
            done.set()
        else:
            first.hold(route)

    await first.page.route(is_upload(first), only_one_part)
    await first.choose(large)
    await asyncio.wait_for(done.wait(), 60)
    first.page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
    await first.close()

    second = await open_gallery()
    await expect(second.tile("large.jpg")).to_have_attribute("data-state", "processing")
    await second.choose(large)
    await expect(second.tile("large.jpg")).to_have_count(1)
    await second.wait_for_picture("large.jpg")
    assert sorted(re.findall(r"partNumber=(\d)", request.url)[0] for request in second.uploads()) == ["2", "3"]


async def test_cancelling_a_large_file_frees_its_parts(open_gallery: OpenGallery, large: Path) -> None:
    """What S3 holds of a large file that is cancelled is thrown away at once."""
    gallery = await open_gallery()
    async with gallery.page.expect_response(is_abortion) as abortion:
        await cancelled(gallery, large)
    assert (await abortion.value).status == 204


async def test_a_hidden_tab_does_not_ask(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """While the tab is hidden, nothing asks for the state of pending files; once it is visible again, it goes on."""
    gallery = await open_gallery()
    await gallery.page.clock.install()
    await gallery.page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    await gallery.choose(photo(1))
    tile = await gallery.wait_for("photo-1.jpg", "processing")
    await gallery.page.clock.fast_forward("01:00")
    await gallery.page.evaluate("fetch('/v1/limits')")  # a question asked before would be noticed before this one
    assert not polls(gallery)
    await gallery.page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")
    await expect(tile).to_have_attribute("data-state", "ready")
    assert polls(gallery)


async def cancelled(gallery: Gallery, path: Path) -> Locator:
    """Cancel an upload while its bytes move slowly; return its tile."""
    await gallery.limit_upload(100_000)
    await gallery.choose(path)
    tile = await gallery.wait_for(path.name, "sending")
    await expect(tile.locator(".note")).to_have_text(re.compile(r"^[1-9]\d* %"))
    await tile.get_by_role("button", name=f"Cancel {path.name}").click()
    return await gallery.wait_for(path.name, "cancelled")


def is_abortion(answer: Response) -> bool:
    """Answers a request to give up a multipart upload."""
    return answer.request.method == "DELETE" and "/multipart/" in answer.url


def is_upload(gallery: Gallery) -> re.Pattern[str]:
    """Match the URLs of originals in the storage; a rendition's has another prefix."""
    return re.compile(re.escape(gallery.stack.s3_url) + r"/[^/]+/originals/")


def cors(gallery: Gallery) -> dict[str, str]:
    """Return the header that lets the page see a response of the storage."""
    return {"access-control-allow-origin": gallery.stack.url}


def registrations(gallery: Gallery) -> list[Request]:
    """Return the page's requests that registered files."""
    return [r for r in gallery.requests if r.method == "POST" and r.url.endswith("/v1/files")]


def polls(gallery: Gallery) -> list[Request]:
    """Return the page's requests for the state of certain files."""
    return [r for r in gallery.requests if "/v1/files?id=" in r.url]


async def test_an_outage_is_told_and_survived(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """While Shoebox is away the page says for how long it has been trying; afterwards the upload goes on by itself."""
    gallery = await open_gallery(expected=("Failed to load resource",))
    page = gallery.page
    await page.clock.install()
    await page.route("**/v1/files", lambda route: route.abort("connectionrefused"))
    await gallery.choose(photo(1))
    told = page.locator("#status").get_by_text(re.compile("Shoebox cannot be reached. Trying again for .*seconds"))
    while not await told.is_visible():
        await page.clock.run_for(1000)
    await page.unroute("**/v1/files")
    while await gallery.tile("photo-1.jpg").get_attribute("data-state") != "ready":
        await page.clock.run_for(1000)
