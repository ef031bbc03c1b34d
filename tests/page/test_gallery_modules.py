"""The page's own algorithms, held against pictures and other implementations."""

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import thumbhash
from gallery import OpenGallery
from landscapes import landscape
from PIL import Image

from shoebox_client.names import clean_name
from shoebox_client.samples import scene
from tests.unit.test_names import CLEANED, PLAIN
from tests.unit.test_picture_types import FILES
from workers.imaging.placeholder import placeholder

pytestmark = pytest.mark.asyncio(loop_scope="session")

DECODE = """
async (hash) => {
  const { decode } = await import("/pages/thumbhash.js");
  const image = decode(hash);
  return image && [image.width, image.height, Array.from(image.data)];
}
"""
SHA256 = """
async (sizes) => {
  const { sha256 } = await import("/pages/sha256.js");
  const digests = [];
  for (const size of sizes) {
    const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 7) % 251);
    digests.push(Array.from(new Uint8Array(await sha256(new Blob([bytes])))));
  }
  return digests;
}
"""


NAME_OF = """
async (names) => {
  const { nameOf } = await import("/pages/picture-type.js");
  return JSON.parse(names).map((name) => nameOf({ name }));
}
"""
SIZES = """
async (sizes) => {
  const { size } = await import("/pages/words.js");
  return sizes.map(size);
}
"""
LEFT_OUT = """
async (names) => {
  const { isLeftOut } = await import("/pages/left-out.js");
  return names.map((name) => isLeftOut({ name: name.replace("/", ""), isDirectory: name.endsWith("/") }));
}
"""
TYPE_OF = """
async (files) => {
  const { typeOf } = await import("/pages/picture-type.js");
  const made = ([head, name]) => new File([Uint8Array.from(atob(head), (letter) => letter.charCodeAt(0))], name);
  return Promise.all(files.map((file) => typeOf(made(file))));
}
"""
OUTAGE = """
async ([seconds, retryAfter]) => {
  const { retryEvents, withRetries } = await import("/pages/retry.js");
  const told = [];
  retryEvents.addEventListener("retrying", ({ detail }) => told.push(detail.text));
  const start = performance.now();
  const busy = Object.assign(new Error("Shoebox is busy."), { retry: true, retryAfter });
  let tries = 0;
  await withRetries(async () => {
    tries++;
    if (performance.now() - start < seconds * 1000) throw busy;
  });
  return { tries, seconds: (performance.now() - start) / 1000, told };
}
"""
GIVEN_UP = """
async () => {
  const { withRetries } = await import("/pages/retry.js");
  let tries = 0;
  try {
    await withRetries(() => {
      tries++;
      throw Object.assign(new Error("Shoebox is busy."), { retry: true, retryAfter: 60 });
    });
  } catch (error) {
    return { tries, message: error.message };
  }
}
"""


async def test_names_are_cleaned_as_the_service_wants_them(open_gallery: OpenGallery) -> None:
    """The page's own rule agrees with shoebox_client/names.py: plain names stay, all others become plain ones."""
    expected = {**{name: name for name in PLAIN}, **dict(CLEANED)}
    gallery = await open_gallery(token=None)
    cleaned = await gallery.page.evaluate(NAME_OF, json.dumps([*expected]))
    assert dict(zip(expected, cleaned, strict=True)) == expected


async def test_sizes_are_as_the_command_line_says_them(open_gallery: OpenGallery) -> None:
    """By powers of 1000, rounded alike: tests/fixtures/sizes.json holds for both."""
    table = json.loads((Path(__file__).parents[1] / "fixtures" / "sizes.json").read_text())
    gallery = await open_gallery(token=None)
    said = await gallery.page.evaluate(SIZES, [size for size, _ in table])
    assert said == [text for _, text in table]


async def test_what_programs_leave_in_folders_is_left_out(open_gallery: OpenGallery) -> None:
    """Of a dropped folder the page leaves out what `shoebox upload` does."""
    entries = {"@eaDir/": True, "a.jpg_original": True, "Thumbs.db": True, "MVI_1.THM": True, ".x": True, ".x/": True}
    entries |= {"@eaDir": False, "a.jpg": False, "Photos/": False, "thumbs.db.jpg": False, "X Previews.lrdata/": True}
    gallery = await open_gallery(token=None)
    assert await gallery.page.evaluate(LEFT_OUT, list(entries)) == list(entries.values())


async def test_every_character_is_judged_as_the_service_does(open_gallery: OpenGallery) -> None:
    """Each assigned character of Unicode, beside letters and an accent: the page and Python clean it alike."""
    known = [chr(c) for c in range(sys.maxunicode + 1) if unicodedata.category(chr(c)) not in {"Cn", "Co"}]
    names = [f"a{character}\u0301b" for character in known]
    gallery = await open_gallery(token=None)
    cleaned = await gallery.page.evaluate(NAME_OF, json.dumps(names))
    assert [n for n, found in zip(names, cleaned, strict=True) if found != clean_name(n)] == []


async def test_the_page_knows_a_file_as_client_and_worker_do(open_gallery: OpenGallery) -> None:
    """Each case of the table of types comes out as in Python; what the table does not know has no type."""
    gallery = await open_gallery(token=None)
    files = [(base64.b64encode(head).decode(), name) for head, name, _ in FILES]
    found = await gallery.page.evaluate(TYPE_OF, files)
    assert found == [expected or "" for _, _, expected in FILES]


@pytest.mark.parametrize("retry_after", [None, 1])
async def test_an_outage_of_a_minute_is_survived(open_gallery: OpenGallery, retry_after: int | None) -> None:
    """Pauses grow whatever Retry-After says, and the page tells how long it has been trying."""
    gallery = await open_gallery(token=None)
    await gallery.page.clock.install()
    run = asyncio.create_task(gallery.page.evaluate(OUTAGE, [60, retry_after]))
    while not run.done():
        await gallery.page.clock.run_for(1000)
    outage = run.result()
    assert 60 <= outage["seconds"] <= 85
    assert outage["tries"] <= 14
    assert outage["told"][0].startswith("Shoebox is busy. Trying again for ")
    assert len(outage["told"]) <= outage["tries"]


async def test_long_pauses_come_to_an_end(open_gallery: OpenGallery) -> None:
    """A service that asks for a minute each time is asked for six minutes, not for a quarter of an hour."""
    gallery = await open_gallery(token=None)
    await gallery.page.clock.install()
    run = asyncio.create_task(gallery.page.evaluate(GIVEN_UP))
    while not run.done():
        await gallery.page.clock.run_for(5000)
    assert run.result() == {"tries": 7, "message": "Shoebox is busy."}


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (300, 300), (1200, 200)])
async def test_placeholders_look_like_the_picture(open_gallery: OpenGallery, size: tuple[int, int]) -> None:
    """What the page paints for a photo is the photo, blurred: the same proportions, and nearly the same colours."""
    picture = landscape(seed=2, width=size[0], height=size[1])
    gallery = await open_gallery(token=None)
    width, height, painted = await gallery.page.evaluate(DECODE, placeholder(picture))
    assert max(width, height) == 32
    assert width / height == pytest.approx(size[0] / size[1], rel=0.15)
    blurred = np.asarray(picture.resize((width, height), Image.Resampling.BOX), dtype=float)
    difference = np.array(painted).reshape(height, width, 4)[:, :, :3] - blurred
    assert np.abs(difference).mean() < 12  # upside down it is above 45


async def test_placeholders_agree_with_another_implementation(open_gallery: OpenGallery) -> None:
    """The first pixel is what the package thumbhash computes, to the rounding; its other pixels repeat the first."""
    text = placeholder(scene(640, 480))
    with contextlib.redirect_stdout(io.StringIO()):  # it prints
        _, _, rgba = thumbhash.thumb_hash_to_rgba(list(base64.b64decode(text)))
    gallery = await open_gallery(token=None)
    _, _, painted = await gallery.page.evaluate(DECODE, text)
    assert np.abs(np.array(painted[:4]) - np.array(rgba[:4])).max() <= 1


@pytest.mark.parametrize("text", ["", "AAAA", "no base64!", "////"])
async def test_malformed_placeholders_do_no_harm(open_gallery: OpenGallery, text: str) -> None:
    """What is no ThumbHash is not painted, and is no error."""
    gallery = await open_gallery(token=None)
    assert await gallery.page.evaluate(DECODE, text) is None


async def test_sha256_without_a_secure_context(open_gallery: OpenGallery) -> None:
    """The SHA-256 for pages over plain http agrees with the standard library, at every edge of its padding."""
    sizes = [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 3_000_000]
    gallery = await open_gallery(token=None)
    digests = await gallery.page.evaluate(SHA256, sizes)
    expected = [hashlib.sha256(bytes((i * 7) % 251 for i in range(size))).digest() for size in sizes]
    assert [bytes(digest) for digest in digests] == expected
