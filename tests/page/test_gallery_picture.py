"""The README's picture of the gallery is taken here: `SHOEBOX_WRITE_IMAGES=1 ./run test tests/page -k picture`."""

import io
import os
import re
from pathlib import Path

import pytest
from gallery import OpenGallery
from landscapes import landscape
from PIL import Image
from playwright.async_api import expect
from running_stack import RunningStack

from shoebox_client.samples import Sample

pytestmark = pytest.mark.asyncio(loop_scope="session")
COMMITTED = Path(__file__).parents[2] / "docs" / "images" / "gallery.png"
NAMES = ["rain", "snow", "summer-evening", "mist", "full-moon", "heather", "noon", "dawn"]
COLOURS = 64
VIEWPORT = {"width": 1280, "height": 920}


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Make a landscape for each of the names, and last a large one that takes a while to upload."""
    for seed, name in zip(reversed(range(len(NAMES))), NAMES, strict=True):
        landscape(seed).save(tmp_path / f"{name}.jpg", quality=90)
    landscape(8, 2400, 1800).save(tmp_path / "sunrise.jpg", quality=100)
    return [tmp_path / f"{name}.jpg" for name in (*NAMES, "sunrise")]


async def test_the_picture_of_the_gallery(
    open_gallery: OpenGallery, stack: RunningStack, samples: dict[str, Sample], photos: list[Path]
) -> None:
    """The gallery with photos, a faulty file and an upload under way is a picture, as large as the README's."""
    gallery = await open_gallery(token=stack.token("alice", "corner-shop"), viewport=VIEWPORT)
    *stored, sunrise = photos
    await gallery.choose(*stored, samples["truncated.jpg"].path)
    await gallery.wait_for("truncated.jpg", "rejected")
    for path in stored:
        await gallery.wait_for_picture(path.name)
    await gallery.limit_upload(100_000)
    await gallery.choose(sunrise)
    note = gallery.tile(sunrise.name).locator(".note")
    await expect(note).to_have_text(re.compile(r"^[4-9]\d %"))
    await gallery.page.evaluate("scrollTo(0, 0)")
    picture = await gallery.page.screenshot(animations="disabled")
    if os.environ.get("SHOEBOX_WRITE_IMAGES") == "1":
        COMMITTED.parent.mkdir(parents=True, exist_ok=True)
        COMMITTED.write_bytes(picture)
    taken, committed = Image.open(io.BytesIO(picture)), Image.open(COMMITTED)
    assert taken.format == committed.format == "PNG"
    assert taken.size == committed.size
    for image in (taken, committed):
        assert len(image.convert("RGB").getcolors(image.width * image.height) or []) > COLOURS
