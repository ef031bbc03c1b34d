"""Long lists and the keyboard: the list goes on by itself, and keys lead through it."""

import re

import httpx
import pytest
from gallery import Gallery, OpenGallery
from playwright.async_api import Route, expect
from running_stack import RunningStack

pytestmark = pytest.mark.asyncio(loop_scope="session")
NO_OBSERVER = "window.IntersectionObserver = class { observe() {} unobserve() {} };"
LATE_OBSERVER = """
window.IntersectionObserver = class {
  constructor(callback) { this.callback = callback; }
  observe() { setTimeout(() => this.callback([{ isIntersecting: false }, { isIntersecting: true }])); }
  unobserve() {}
};
"""
COLUMNS = "getComputedStyle(document.getElementById('tiles')).gridTemplateColumns.split(' ').length"
FOCUSED = "[...document.querySelectorAll('.tile')].indexOf(document.activeElement.closest('.tile'))"
COUNT = 23


async def test_a_long_list_goes_on_by_itself(open_gallery: OpenGallery, stack: RunningStack, user: str) -> None:
    """The next page comes when the end is near, not before; each photo is there once."""
    register(stack, user, count=120)
    gallery = await open_gallery()
    await expect(gallery.tiles()).to_have_count(50)
    for count in (100, 120):
        await gallery.tiles().last.scroll_into_view_if_needed()
        await expect(gallery.tiles()).to_have_count(count)
    await expect(gallery.page.locator("#more")).to_be_hidden()
    names = await gallery.tiles().locator(".name").all_text_contents()
    assert len(set(names)) == 120
    assert len([r for r in gallery.requests if "/v1/files?limit=50" in r.url]) == 3


async def test_a_busy_page_goes_on_too(open_gallery: OpenGallery, stack: RunningStack, user: str) -> None:
    """Where the end left the screen and came back before the page heard of either, the next page comes."""
    register(stack, user, count=60)
    gallery = await open_gallery(token=None)
    await gallery.page.add_init_script(LATE_OBSERVER)
    await gallery.open(stack.token(user))
    await gallery.page.reload()
    await expect(gallery.tiles()).to_have_count(60)


async def test_a_long_list_goes_on_by_a_button(open_gallery: OpenGallery, stack: RunningStack, user: str) -> None:
    """Who comes to the button by keyboard gets the next page, and the focus is on its first photo."""
    register(stack, user, count=60)
    gallery = await open_gallery(token=None)
    await gallery.page.add_init_script(NO_OBSERVER)
    await gallery.open(stack.token(user))
    await gallery.page.reload()
    await expect(gallery.tiles()).to_have_count(50)
    await gallery.page.get_by_role("button", name="Load more").press("Enter")
    await expect(gallery.tiles()).to_have_count(60)
    await expect(gallery.page.locator("#more")).to_be_hidden()
    await expect(gallery.tiles().nth(50).get_by_role("button").first).to_be_focused()


async def test_a_page_that_fails_waits_to_be_asked_for(
    open_gallery: OpenGallery, stack: RunningStack, user: str
) -> None:
    """A failure of the list is told once, and nothing goes on by itself until Try again is pressed."""
    register(stack, user, count=60)
    gallery = await open_gallery(expected=("Failed to load resource",))
    await expect(gallery.tiles()).to_have_count(50)
    await gallery.page.route(re.compile("cursor="), lambda route: route.fulfill(status=400, body="{}"))
    await gallery.tiles().last.scroll_into_view_if_needed()
    await expect(gallery.page.locator("#notice")).to_contain_text("status 400")
    await gallery.tiles().first.scroll_into_view_if_needed()
    await gallery.tiles().last.scroll_into_view_if_needed()
    assert len([r for r in gallery.requests if "cursor=" in r.url]) == 1
    await gallery.page.unroute(re.compile("cursor="))
    await gallery.page.get_by_role("button", name="Try again").click()
    await expect(gallery.tiles()).to_have_count(60)
    await expect(gallery.page.locator("#notice")).to_be_hidden()


@pytest.mark.parametrize(
    ("keys", "to"),
    [
        ("ArrowRight", lambda columns: 1),
        ("ArrowLeft", lambda columns: 0),
        ("ArrowRight ArrowRight ArrowLeft", lambda columns: 1),
        ("ArrowDown", lambda columns: columns),
        ("ArrowRight ArrowDown ArrowDown ArrowUp", lambda columns: columns + 1),
        ("ArrowUp", lambda columns: 0),
        ("End", lambda columns: COUNT - 1),
        ("End ArrowDown ArrowRight", lambda columns: COUNT - 1),
        ("End ArrowUp", lambda columns: COUNT - 1 - columns),
        ("End Home", lambda columns: 0),
        ("PageDown", lambda columns: 2 * columns),
        ("PageDown PageDown PageDown PageUp", lambda columns: (COUNT - 1) // columns * columns - 2 * columns),
    ],
)
async def test_keys_lead_through_the_grid(
    open_gallery: OpenGallery, stack: RunningStack, user: str, keys: str, to: object
) -> None:
    """Arrow keys go by the columns that are on the screen, Page keys by its rows; at an end they stay."""
    gallery = await grid(open_gallery, stack, user)
    columns = await gallery.page.evaluate(COLUMNS)
    for key in keys.split():
        await gallery.page.keyboard.press(key)
    assert callable(to)
    assert await gallery.page.evaluate(FOCUSED) == to(columns)


async def test_tab_reaches_one_tile(open_gallery: OpenGallery, stack: RunningStack, user: str) -> None:
    """Tab leaves the grid after a tile's own buttons, and Shift+Tab comes back to the tile that was left."""
    gallery = await grid(open_gallery, stack, user)
    keyboard = gallery.page.keyboard
    await keyboard.press("ArrowRight")
    await keyboard.press("Tab")
    assert await gallery.page.evaluate(FOCUSED) == -1
    await keyboard.press("Shift+Tab")
    assert await gallery.page.evaluate(FOCUSED) == 1


async def test_delete_asks_by_keyboard(open_gallery: OpenGallery, stack: RunningStack, user: str) -> None:
    """Delete asks whether the tile's photo is to go; after a yes the focus is on the tile in its place."""
    gallery = await grid(open_gallery, stack, user)
    await gallery.page.keyboard.press("ArrowRight")
    name = await gallery.tiles().nth(1).locator(".name").text_content()
    following = await gallery.tiles().nth(2).locator(".name").text_content()
    await gallery.page.keyboard.press("Delete")
    await expect(gallery.page.get_by_role("dialog")).to_contain_text(f"Delete {name}?")
    await gallery.page.locator("#confirm").get_by_role("button", name="Delete").press("Enter")
    await expect(gallery.tile(str(name))).to_have_count(0)
    await expect(gallery.tile(str(following)).get_by_role("button").first).to_be_focused()


async def test_the_focus_stays_when_the_list_hears_of_the_deletion_first(
    open_gallery: OpenGallery, stack: RunningStack, user: str
) -> None:
    """The page asks for photos that are under way, and may learn that one is gone before the deletion is answered."""
    gallery = await grid(open_gallery, stack, user)
    first, following = [await gallery.tiles().nth(n).locator(".name").text_content() for n in (0, 1)]

    async def answered_late(route: Route) -> None:
        response = await route.fetch()
        if route.request.method == "DELETE":
            await expect(gallery.tile(str(first))).to_have_count(0)
        await route.fulfill(response=response)

    await gallery.page.route("**/v1/files/*", answered_late)
    await gallery.page.keyboard.press("Delete")
    async with gallery.page.expect_response(lambda response: response.request.method == "DELETE"):
        await gallery.page.locator("#confirm").get_by_role("button", name="Delete").press("Enter")
    await expect(gallery.tile(str(following)).get_by_role("button").first).to_be_focused()


async def test_the_first_link_leads_to_the_photos(open_gallery: OpenGallery, stack: RunningStack, user: str) -> None:
    """The first Tab shows a link past the page's head, and the address stays as it is."""
    register(stack, user, count=3)
    gallery = await open_gallery()
    link = gallery.page.get_by_role("link", name="Skip to the photos")
    await expect(link).not_to_be_in_viewport()
    await gallery.page.keyboard.press("Tab")
    await expect(link).to_be_focused()
    await expect(link).to_be_in_viewport()
    await gallery.page.keyboard.press("Enter")
    assert await gallery.page.evaluate(FOCUSED) == 0
    assert gallery.page.url == f"{stack.url}/"


async def grid(open_gallery: OpenGallery, stack: RunningStack, user: str) -> Gallery:
    """Open a gallery of COUNT tiles, two rows of which fit the screen, with the focus on the first."""
    register(stack, user, count=COUNT)
    gallery = await open_gallery()
    await expect(gallery.tiles()).to_have_count(COUNT)
    await gallery.page.locator("input[name=filter]:checked").focus()
    await gallery.page.keyboard.press("Tab")
    assert await gallery.page.evaluate(FOCUSED) == 0
    return gallery


def register(stack: RunningStack, user: str, *, count: int) -> None:
    """Register photos whose bytes never come."""
    photo = {"size": 1000, "content_type": "image/jpeg"}
    entries = [photo | {"name": f"never-{n}.jpg", "sha256": f"{n:064x}"} for n in range(count)]
    headers = {"authorization": f"Bearer {stack.token(user)}"}
    for at in range(0, count, 100):
        files = {"files": entries[at : at + 100]}
        answer = httpx.post(f"{stack.url}/v1/files", json=files, headers=headers, timeout=30)
        answer.raise_for_status()
