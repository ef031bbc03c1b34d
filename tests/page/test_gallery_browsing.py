"""What is stored is shown: the list, its filter and its pages, the lightbox, deleting; on a desktop and on a phone."""

import re
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from gallery import Gallery, MakePhoto, OpenGallery
from landscapes import landscape
from PIL import Image
from playwright.async_api import expect

from shoebox_client.samples import CAMERA, Sample, exif_block

pytestmark = pytest.mark.asyncio(loop_scope="session")
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
ZOOMED = {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2}
TOUCH = 44  # CSS pixels that a finger needs (WCAG 2.2, 2.5.5; Apple's and Google's guidelines)

# Controls that are smaller than a finger, by what a screen reader calls them.
SMALL_CONTROLS = f"""
() => [...document.querySelectorAll("button, a[href], label.chooser, .choice span, input[type=password]")]
  .filter((control) => control.checkVisibility() && !control.closest("dialog:not([open])"))
  .map((control) => [control.ariaLabel || control.textContent.trim(), control.getBoundingClientRect()])
  .filter(([, box]) => box.width < {TOUCH} || box.height < {TOUCH})
  .map(([name, box]) => `${{name}}: ${{box.width}} × ${{box.height}}`)
"""
# Text whose contrast with its background is below what WCAG 2.2 (1.4.3) asks for, of the elements that hold some.
FAINT_TEXTS = """
() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b]
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, i) => sum + value * [0.2126, 0.7152, 0.0722][i], 0);
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const holdsText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.body.querySelectorAll("*")]
    .filter((element) => holdsText(element) && element.checkVisibility())
    .map((element) => {
      const [light, dark] = [getComputedStyle(element).color, background(element)]
        .map((colour) => luminance(typeof colour === "string" ? channels(colour) : colour))
        .sort((a, b) => b - a);
      return [element.textContent.trim().slice(0, 40), (light + 0.05) / (dark + 0.05)];
    })
    .filter(([, contrast]) => contrast < 4.5);
}
"""
# A finger moves over the lightbox's picture, by (dx, dy).
SWIPE = """
([dx, dy]) => {
  const stage = document.getElementById("lightbox-stage");
  const finger = { pointerId: 1, pointerType: "touch", isPrimary: true, bubbles: true };
  const touch = (type, clientX, clientY) =>
    stage.dispatchEvent(new PointerEvent(type, { ...finger, clientX, clientY }));
  touch("pointerdown", 200, 400);
  touch("pointerup", 200 + dx, 400 + dy);
}
"""


async def test_reload_keeps_the_list(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """After a reload the same photos are there, newest first, without another upload."""
    gallery = await uploaded(open_gallery, photo, 3)
    await gallery.page.reload()
    await expect(gallery.tiles("ready")).to_have_count(3)
    assert await gallery.wait_for_picture("photo-0.jpg") > 0
    assert len(gallery.uploads()) == 3


async def test_placeholder_comes_before_the_picture(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """A photo's blurred placeholder is painted while its rendition is still on the way."""
    gallery = await uploaded(open_gallery, photo, 1)
    await gallery.page.route(re.compile("/renditions/"), gallery.hold)
    await gallery.page.reload()
    tile = await gallery.wait_for("photo-0.jpg", "ready")
    await expect(tile.locator("canvas")).to_be_visible()
    colours = await tile.locator("canvas").evaluate(
        "canvas => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size"
    )
    assert colours > 10
    await expect(tile.locator("img.picture")).not_to_have_attribute("data-loaded", "")


async def test_delete_asks_and_removes(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """Deleting asks first; Keep keeps, Delete removes for good, and the focus stays in the grid."""
    gallery = await uploaded(open_gallery, photo, 2)
    await gallery.delete("photo-0.jpg", answer="Keep")
    await expect(gallery.tiles("ready")).to_have_count(2)
    await gallery.delete("photo-0.jpg")
    await expect(gallery.tile("photo-0.jpg")).to_have_count(0)
    await expect(gallery.page.locator("#status")).to_have_text("photo-0.jpg was deleted. 1 photo")
    await expect(gallery.tile("photo-1.jpg").get_by_role("button").first).to_be_focused()
    await gallery.page.reload()
    await expect(gallery.tiles()).to_have_count(1)


async def test_filter_shows_ready_or_rejected(
    open_gallery: OpenGallery, photo: MakePhoto, samples: dict[str, Sample]
) -> None:
    """The filter shows all photos, the ready ones, or the rejected ones; it works by keyboard, too."""
    gallery = await uploaded(open_gallery, photo, 2)
    await gallery.choose(samples["truncated.jpg"].path)
    await gallery.wait_for("truncated.jpg", "rejected")
    status = gallery.page.locator("#status")
    await expect(status).to_have_text("2 photos, 1 rejected")
    await gallery.page.get_by_role("radio", name="Rejected").check()
    await expect(status).to_have_text("1 rejected")
    await expect(gallery.tiles()).to_have_count(1)
    await gallery.page.keyboard.press("ArrowLeft")
    await expect(status).to_have_text("2 photos")
    await expect(gallery.tiles("ready")).to_have_count(2)
    await gallery.page.get_by_role("radio", name="All").check()
    await expect(status).to_have_text("2 photos, 1 rejected")


async def test_lightbox_works_by_keyboard_alone(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """Enter opens the large picture, arrows go on, Tab stays inside, Escape leads back to the photo seen last."""
    gallery = await uploaded(open_gallery, photo, 3)
    page, keyboard = gallery.page, gallery.page.keyboard
    await page.locator("input[name=filter]:checked").focus()
    await keyboard.press("Tab")
    await expect(gallery.tile("photo-2.jpg").locator(".open")).to_be_focused()
    await keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="photo-2.jpg")).to_be_visible()
    await expect(page.locator("#lightbox-close")).to_be_focused()
    await expect(page.locator("#lightbox-picture")).to_have_attribute("src", re.compile("/2048"))
    await expect(page.locator("#lightbox-facts")).to_have_text(re.compile(r"^1 of 3 · 400 × 300 · 41.0 kB"))
    await keyboard.press("ArrowRight")
    await expect(page.locator("#lightbox-name")).to_have_text("photo-1.jpg")
    for _ in range(8):
        await keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.closest('dialog, body').tagName") in {"DIALOG", "BODY"}
    await keyboard.press("ArrowRight")
    await keyboard.press("ArrowRight")
    await expect(page.locator("#lightbox-name")).to_have_text("photo-0.jpg")
    await keyboard.press("Escape")
    await expect(page.locator("#lightbox")).to_be_hidden()
    await expect(gallery.tile("photo-0.jpg").locator(".open")).to_be_focused()


async def test_lightbox_deletes_and_goes_on(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """A photo deleted in the lightbox makes room for the next one; after the last one it closes."""
    gallery = await uploaded(open_gallery, photo, 2)
    await gallery.tile("photo-1.jpg").locator(".open").click()
    confirm = gallery.page.locator("#confirm").get_by_role("button", name="Delete")
    await gallery.page.get_by_role("button", name="Delete this photo").click()
    await confirm.click()
    await expect(gallery.page.locator("#lightbox-name")).to_have_text("photo-0.jpg")
    await gallery.page.get_by_role("button", name="Delete this photo").click()
    await confirm.click()
    await expect(gallery.page.locator("#lightbox")).to_be_hidden()
    await expect(gallery.page.get_by_text("No photos yet").first).to_be_visible()


async def test_phone_needs_no_horizontal_scrolling(
    open_gallery: OpenGallery, photo: MakePhoto, samples: dict[str, Sample], tmp_path: Path
) -> None:
    """On a phone everything fits the width, every control is large enough for a finger, and photos open by touch."""
    gallery = await uploaded(open_gallery, photo, 2, **PHONE)
    long = photo(2).rename(tmp_path / f"{'a-long-name-without-a-space' * 5}.jpg")
    await gallery.choose(long)
    await gallery.wait_for_picture(long.name)
    await gallery.choose(samples["truncated.jpg"].path)
    await gallery.wait_for("truncated.jpg", "rejected")
    assert await gallery.page.evaluate("document.documentElement.scrollWidth") == 390
    assert await gallery.page.evaluate(SMALL_CONTROLS) == []
    await gallery.tile(long.name).locator(".open").tap()
    assert await gallery.page.evaluate("document.getElementById('lightbox').scrollWidth") == 390
    await gallery.page.evaluate(SWIPE, [-120, 10])
    await expect(gallery.page.locator("#lightbox-name")).to_have_text("photo-1.jpg")
    assert await gallery.page.evaluate("document.getElementById('lightbox').scrollWidth") == 390
    assert await gallery.page.evaluate(SMALL_CONTROLS) == []
    await gallery.page.evaluate(SWIPE, [-120, 10])
    await expect(gallery.page.locator("#lightbox-name")).to_have_text("photo-0.jpg")
    await gallery.page.evaluate(SWIPE, [120, 10])
    await expect(gallery.page.locator("#lightbox-name")).to_have_text("photo-1.jpg")
    await gallery.page.evaluate(SWIPE, [0, 150])
    await expect(gallery.page.locator("#lightbox")).to_be_hidden()


async def test_the_lightbox_of_a_phone_shows_date_and_camera(open_gallery: OpenGallery, tmp_path: Path) -> None:
    """On a narrow screen the facts take as many lines as they need, and nothing of them is cut off."""
    path = tmp_path / "dated.jpg"
    landscape(seed=1, width=800, height=600).save(path, exif=exif_block())
    gallery = await open_gallery(**PHONE)
    await gallery.choose(path)
    await gallery.wait_for_picture("dated.jpg")
    await gallery.tile("dated.jpg").locator(".open").tap()
    facts = gallery.page.locator("#lightbox-facts")
    await expect(facts).to_contain_text(CAMERA[1])
    await expect(facts).to_contain_text(re.compile(r"\w+ \d+, \d{4}"))
    assert await facts.evaluate("facts => facts.scrollWidth <= facts.clientWidth")
    assert await facts.evaluate("facts => facts.getBoundingClientRect().right") <= 390


async def test_the_lightbox_says_when_a_date_is_of_the_last_change(open_gallery: OpenGallery, tmp_path: Path) -> None:
    """A date that is not the capture's is not shown as if it were."""
    exif = Image.Exif()
    exif[0x0132] = "2024:07:05 10:11:12"
    landscape(seed=1, width=400, height=300).save(tmp_path / "changed.jpg", exif=exif)
    gallery = await open_gallery()
    await gallery.choose(tmp_path / "changed.jpg")
    await gallery.wait_for_picture("changed.jpg")
    await gallery.tile("changed.jpg").locator(".open").click()
    await expect(gallery.page.locator("#lightbox-facts")).to_contain_text("· changed July 5, 2024")


async def test_the_lightbox_tells_what_was_tolerated(open_gallery: OpenGallery, tmp_path: Path) -> None:
    """A picture with something wrong in its file is shown, and a sentence says what; nothing is said of a sound one."""
    landscape(seed=1, width=400, height=300).save(tmp_path / "sound.jpg")
    (tmp_path / "endless.jpg").write_bytes((tmp_path / "sound.jpg").read_bytes()[:-2])
    gallery = await open_gallery()
    await gallery.choose(tmp_path / "sound.jpg", tmp_path / "endless.jpg")
    for name, said in [
        ("sound.jpg", ""),
        ("endless.jpg", "The mark of the file's end is missing; the picture is whole."),
    ]:
        await gallery.wait_for_picture(name)
        await gallery.tile(name).locator(".open").click()
        await expect(gallery.page.locator("#lightbox-warnings")).to_have_text(said)
        await gallery.page.keyboard.press("Escape")


@pytest.mark.parametrize(
    ("viewport", "density", "rendition"),
    [
        ((390, 844), 1, "320"),
        ((390, 844), 2, "320"),
        ((390, 844), 3, "320"),
        ((1280, 800), 1, "320"),
        ((1280, 800), 2, "1024"),
    ],
)
async def test_a_tile_gets_the_size_that_it_needs(
    open_gallery: OpenGallery, tmp_path: Path, viewport: tuple[int, int], density: int, rendition: str
) -> None:
    """A phone's tile of 168 pixels is no reason to load 1024, however fine its screen; a fine desktop's is."""
    path = tmp_path / "wide.jpg"
    landscape(seed=1, width=1600, height=1200).save(path)
    size = {"width": viewport[0], "height": viewport[1]}
    gallery = await open_gallery(viewport=size, device_scale_factor=density)
    await gallery.choose(path)
    await gallery.wait_for_picture("wide.jpg")
    source = await gallery.tile("wide.jpg").locator("img.picture").evaluate("image => image.currentSrc")
    assert re.findall(r"/(\d+)\.jpg", source) == [rendition]


@pytest.mark.parametrize("options", [{"viewport": {"width": 320, "height": 640}}, ZOOMED])
async def test_small_and_magnified_pages_fit_their_width(
    open_gallery: OpenGallery, photo: MakePhoto, samples: dict[str, Sample], options: dict[str, object]
) -> None:
    """At 320 pixels, and at twice the size on a laptop, nothing sticks out to the side (WCAG 2.2, 1.4.10)."""
    gallery = await uploaded(open_gallery, photo, 1, **options)
    await gallery.choose(samples["truncated.jpg"].path)
    await gallery.wait_for("truncated.jpg", "rejected")
    fits = "document.documentElement.scrollWidth <= innerWidth"
    assert await gallery.page.evaluate(fits)
    await gallery.tile("photo-0.jpg").locator(".open").click()
    assert await gallery.page.evaluate(f"{fits} && document.getElementById('lightbox').scrollWidth <= innerWidth")


async def test_axe_finds_nothing(open_gallery: OpenGallery, photo: MakePhoto, samples: dict[str, Sample]) -> None:
    """The page that asks for a token, the grid and the lightbox pass axe-core's rules of WCAG 2.2 AA and its advice."""
    gallery = await open_gallery(token=None)
    assert await violations(gallery) == []
    gallery = await uploaded(open_gallery, photo, 1)
    await gallery.choose(samples["truncated.jpg"].path)
    await gallery.wait_for("truncated.jpg", "rejected")
    assert await violations(gallery) == []
    await gallery.tile("photo-0.jpg").locator(".open").click()
    assert await violations(gallery) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_texts_have_enough_contrast(
    open_gallery: OpenGallery, photo: MakePhoto, samples: dict[str, Sample], scheme: str
) -> None:
    """In the light and in the dark scheme, every text stands out from its background as WCAG's AA asks."""
    gallery = await open_gallery(token=None, color_scheme=scheme)
    assert await gallery.page.evaluate(FAINT_TEXTS) == []
    gallery = await uploaded(open_gallery, photo, 1, color_scheme=scheme)
    await gallery.choose(samples["truncated.jpg"].path)
    await gallery.wait_for("truncated.jpg", "rejected")
    assert await gallery.page.evaluate(FAINT_TEXTS) == []
    await gallery.tile("photo-0.jpg").locator(".open").click()
    await gallery.page.get_by_role("button", name="Delete this photo").click()
    assert await gallery.page.evaluate(FAINT_TEXTS) == []


async def test_reduced_motion_is_respected(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """Who asks for less motion gets none: pictures appear without fading."""
    gallery = await uploaded(open_gallery, photo, 1, reduced_motion="reduce")
    picture = gallery.tile("photo-0.jpg").locator("img.picture")
    assert await picture.evaluate("image => getComputedStyle(image).transitionDuration") == "0s"


async def test_controls_have_names(open_gallery: OpenGallery, photo: MakePhoto) -> None:
    """A screen reader finds every control by a name that says which photo it is for."""
    gallery = await uploaded(open_gallery, photo, 1)
    page = gallery.page
    assert await page.get_by_role("button", name=re.compile("^$")).count() == 0
    await expect(page.get_by_label("Add photos")).to_have_attribute("type", "file")
    await expect(page.get_by_role("group", name="Show")).to_be_visible()
    await expect(page.get_by_role("button", name="Open photo-0.jpg")).to_be_visible()
    await expect(page.get_by_role("img", name="photo-0.jpg")).to_be_visible()
    await expect(page.get_by_role("status")).to_have_attribute("aria-live", "polite")


async def uploaded(open_gallery: OpenGallery, photo: MakePhoto, count: int, **options: object) -> Gallery:
    """Open a gallery with photo-0.jpg, photo-1.jpg … ready and on the screen, the last one first."""
    gallery = await open_gallery(**options)
    for seed in range(count):
        await gallery.choose(photo(seed))
        await gallery.wait_for_picture(f"photo-{seed}.jpg")
    return gallery


async def violations(gallery: Gallery) -> list[tuple[str, list[str]]]:
    """Return what axe-core finds: each rule, and the elements that break it."""
    found = (await Axe().run(gallery.page)).response["violations"]
    return [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found]
