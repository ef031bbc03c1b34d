"""Who may look: the token's way into the page, and what the page says when it has none or a wrong one."""

from pathlib import Path

import pytest
from gallery import MakePhoto, OpenGallery
from playwright.async_api import Route, expect
from running_stack import RunningStack

pytestmark = pytest.mark.asyncio(loop_scope="session")
REFUSED = r"status of 401"


async def test_without_a_token_the_page_says_how_to_get_one(
    open_gallery: OpenGallery, stack: RunningStack, user: str
) -> None:
    """Without a token there is no gallery but a message, and a field that takes a token or a whole link."""
    gallery = await open_gallery(token=None)
    panel = gallery.page.get_by_role("region", name="This gallery needs a token")
    await expect(panel).to_contain_text("./run up")
    await expect(panel).to_contain_text("shoebox token mint")
    await expect(gallery.page.locator("#gallery")).to_be_hidden()
    assert not [request for request in gallery.requests if "/v1/" in request.url]
    await gallery.page.get_by_label("Token, or the whole link").fill(f" {stack.url}/#token={stack.token(user)}\n")
    await gallery.page.keyboard.press("Enter")
    await gallery.listed()
    await expect(gallery.page.locator("#owner")).to_have_text(f"{user} · demo")


async def test_the_token_stays_out_of_sight(
    open_gallery: OpenGallery, stack: RunningStack, user: str, photo: MakePhoto
) -> None:
    """The token leaves the address bar at once, is kept for this tab only, and is in no URL and no log."""
    token = stack.token(user)
    gallery = await open_gallery(token=token)
    await gallery.choose(photo(1))
    await gallery.wait_for_picture("photo-1.jpg")
    assert gallery.page.url == f"{stack.url}/"
    assert await gallery.page.evaluate("sessionStorage.length + localStorage.length") == 1
    assert await gallery.page.evaluate("document.cookie") == ""
    assert not [m.text for m in gallery.messages if token in m.text]
    assert not [r.url for r in gallery.uploads() if "authorization" in r.headers]
    other_tab = await gallery.context.new_page()
    await other_tab.goto(stack.url)
    await expect(other_tab.locator("#access")).to_be_visible()


async def test_an_expired_token_is_not_even_sent(open_gallery: OpenGallery, stack: RunningStack) -> None:
    """A token that has expired before the page opens leads to a clear message; the service is not asked."""
    gallery = await open_gallery(token=None)
    await gallery.page.goto(f"{stack.url}/#token={stack.token(lifetime=60, age=120)}")
    await expect(gallery.page.locator("#access-why")).to_contain_text("Your token has expired")
    assert not [request for request in gallery.requests if "/v1/" in request.url]
    assert gallery.page.url == f"{stack.url}/"


async def test_a_forged_token_is_refused(open_gallery: OpenGallery, stack: RunningStack, user: str) -> None:
    """When the service refuses a token, the page says so in its words and asks for another."""
    gallery = await open_gallery(token=None, expected=(REFUSED,))
    head, claims, signature = stack.token(user).split(".")
    await gallery.page.goto(f"{stack.url}/#token={head}.{claims}.{signature.swapcase()}")
    await expect(gallery.page.locator("#access-why")).to_contain_text("signature")
    await expect(gallery.page.locator("#gallery")).to_be_hidden()


async def test_with_a_new_token_uploads_go_on(
    open_gallery: OpenGallery, stack: RunningStack, user: str, photo: MakePhoto
) -> None:
    """A token that expires in the middle of an upload costs nothing: with a new one the upload goes on by itself."""
    gallery = await open_gallery(expected=(REFUSED,))
    problem = {"status": 401, "code": "token_expired", "detail": "The token has expired."}

    async def refuse(route: Route) -> None:
        await route.fulfill(status=401, json=problem)

    await gallery.page.route("**/v1/files", refuse)
    await gallery.choose(photo(1))
    await expect(gallery.page.locator("#access-why")).to_contain_text("Your token has expired")
    await gallery.page.unroute("**/v1/files")
    await gallery.page.evaluate("token => location.assign('#token=' + token)", stack.token(user, lifetime=1800))
    await gallery.wait_for_picture("photo-1.jpg")
    assert gallery.page.url == f"{stack.url}/"


async def test_a_service_that_is_away_is_asked_again(open_gallery: OpenGallery, stack: RunningStack, user: str) -> None:
    """If Shoebox cannot be reached, the page says so and offers another try."""
    gallery = await open_gallery(token=None, expected=("Failed to load resource",))
    await gallery.page.route("**/v1/limits", lambda route: route.abort("connectionrefused"))
    await gallery.page.goto(f"{stack.url}/#token={stack.token(user)}")
    await expect(gallery.page.get_by_text("Shoebox cannot be reached.")).to_be_visible()
    await gallery.page.unroute("**/v1/limits")
    await gallery.page.get_by_role("button", name="Try again").click()
    await gallery.listed()
    await expect(gallery.page.locator("#notice")).to_be_hidden()


async def test_another_shops_token_sees_nothing(
    open_gallery: OpenGallery, stack: RunningStack, user: str, photo: MakePhoto, tmp_path: Path
) -> None:
    """The same user name at another shop is another person: nothing of the first one's is left on the screen."""
    gallery = await open_gallery()
    refused = tmp_path / "diary.txt"
    refused.write_text("Dear diary")
    await gallery.choose(refused)
    await gallery.wait_for("diary.txt", "refused")
    await gallery.choose(photo(1))
    await gallery.wait_for_picture("photo-1.jpg")
    token = stack.token(user, "corner-shop")
    await gallery.page.evaluate("token => location.assign('#token=' + token)", token)
    await gallery.page.get_by_role("button", name="Switch").click()
    await expect(gallery.page.locator("#owner")).to_have_text(f"{user} · corner-shop")
    await gallery.listed()
    await expect(gallery.tiles()).to_have_count(0)
    await expect(gallery.page.locator(".welcome")).to_be_visible()


async def test_a_link_of_somebody_else_asks_first(
    open_gallery: OpenGallery, stack: RunningStack, user: str, photo: MakePhoto
) -> None:
    """A stranger's link names both users and changes nothing until the answer; the address bar is clean meanwhile."""
    gallery = await open_gallery()
    link = f"{stack.url}/#token={stack.token('mallory', 'corner-shop')}"
    dialog = gallery.page.get_by_role("dialog", name="This link signs you in as mallory · corner-shop")

    for answer in ("Escape", "Stay"):
        await gallery.page.goto(link)
        await expect(dialog).to_contain_text(f"You are signed in as {user} · demo.")
        assert gallery.page.url == f"{stack.url}/"
        if answer == "Escape":
            await gallery.page.keyboard.press(answer)
        else:
            await dialog.get_by_role("button", name=answer).click()
        await expect(dialog).to_be_hidden()
        await expect(gallery.page.locator("#owner")).to_have_text(f"{user} · demo")
    await gallery.choose(photo(1))
    await gallery.wait_for_picture("photo-1.jpg")
    await gallery.page.reload()
    await gallery.wait_for_picture("photo-1.jpg")

    await gallery.page.goto(link)
    await dialog.get_by_role("button", name="Switch").click()
    await expect(gallery.page.locator("#owner")).to_have_text("mallory · corner-shop")
    await gallery.listed()
    await expect(gallery.tiles()).to_have_count(0)


async def test_a_link_asks_before_the_page_shows_anything(
    open_gallery: OpenGallery, stack: RunningStack, user: str
) -> None:
    """Also where the link loads the page anew in a tab that has a session."""
    gallery = await open_gallery()
    await gallery.page.goto("about:blank")
    before = len(gallery.requests)

    await gallery.page.goto(f"{stack.url}/#token={stack.token('mallory')}")

    dialog = gallery.page.get_by_role("dialog", name="This link signs you in as mallory · demo")
    await expect(dialog).to_be_visible()
    assert not [request for request in gallery.requests[before:] if "/v1/" in request.url]
    await dialog.get_by_role("button", name="Stay").click()
    await gallery.listed()
    await expect(gallery.page.locator("#owner")).to_have_text(f"{user} · demo")


async def test_a_useless_link_ends_no_session(open_gallery: OpenGallery, stack: RunningStack, user: str) -> None:
    """An expired or unreadable token in a link takes nobody's session away, and there is nothing to ask."""
    gallery = await open_gallery()
    for useless in ("garbage", stack.token("mallory", lifetime=60, age=120), stack.token(user, lifetime=60, age=120)):
        await gallery.page.goto(f"{stack.url}/#token={useless}")
        await gallery.page.wait_for_url(f"{stack.url}/")
        await expect(gallery.page.locator("#confirm")).to_be_hidden()
        await gallery.page.reload()
        await gallery.listed()
        await expect(gallery.page.locator("#owner")).to_have_text(f"{user} · demo")


async def test_a_writing_token_alone_says_what_it_lacks(
    open_gallery: OpenGallery, stack: RunningStack, user: str
) -> None:
    """Without files:read nothing can be shown, so nothing is offered; the page says why."""
    gallery = await open_gallery(token=None, expected=(r"status of 403",))
    await gallery.page.goto(f"{stack.url}/#token={stack.token(user, scopes=('files:write',))}")
    await expect(gallery.page.locator("#notice")).to_contain_text("files:read")
    await expect(gallery.page.locator("#adder")).to_be_hidden()


async def test_a_reading_token_offers_no_changes(
    open_gallery: OpenGallery, stack: RunningStack, user: str, photo: MakePhoto
) -> None:
    """With a token that may only read, photos are shown, but nothing to add or delete them with."""
    writer = await open_gallery()
    await writer.choose(photo(1))
    await writer.wait_for_picture("photo-1.jpg")
    reader = await open_gallery(token=stack.token(user, scopes=("files:read",)))
    await reader.wait_for_picture("photo-1.jpg")
    await expect(reader.page.locator("#adder")).to_be_hidden()
    await expect(reader.page.get_by_role("button", name="Delete")).to_have_count(0)
    await reader.tile("photo-1.jpg").locator(".open").click()
    await expect(reader.page.locator("#lightbox-delete")).to_be_hidden()


async def test_a_token_can_be_given_back(open_gallery: OpenGallery) -> None:
    """Change token forgets the token of this tab, also over a reload."""
    gallery = await open_gallery()
    await gallery.page.get_by_role("button", name="Change token").click()
    await expect(gallery.page.locator("#access")).to_be_visible()
    await gallery.page.reload()
    await expect(gallery.page.locator("#access")).to_be_visible()
