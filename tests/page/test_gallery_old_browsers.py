"""The gallery in a browser without anything that one of the supported ones lacks."""

import json
import re
from pathlib import Path

import pytest
from gallery import OpenGallery
from playwright.async_api import Route, expect
from running_stack import RunningStack

from tests.browser_features import load_table

pytestmark = pytest.mark.asyncio(loop_scope="session")
# Takes away what is too new; returns how many features that was.
CUT_DOWN = """
(({ globals, statics, prototypes }) => {
  let removed = 0;
  const drop = (owner, name) => {
    if (owner && Object.hasOwn(owner, name) && Reflect.deleteProperty(owner, name)) removed++;
  };
  const split = (path) => path.split(".");
  for (const [owner, name] of statics.map(split)) drop(globalThis[owner], name);
  for (const [owner, name] of prototypes.map(split)) drop(globalThis[owner]?.prototype, name);
  for (const name of globals) drop(globalThis, name);
  globalThis.removed = removed;
})
"""
# As Firefox had it before 114: a worker is a classic script whatever is asked for.
CLASSIC_WORKERS = "window.Worker = class extends Worker { constructor(url) { super(url); } };"
# As over plain http from another machine.
NO_SUBTLE = "delete Crypto.prototype.subtle;"


@pytest.mark.parametrize(
    "more", ["", CLASSIC_WORKERS, CLASSIC_WORKERS + NO_SUBTLE], ids=["worker", "page", "plain-http"]
)
async def test_a_large_photo_goes_up(
    open_gallery: OpenGallery, stack: RunningStack, user: str, large: Path, more: str
) -> None:
    """A photo of more than 16 MiB is sent in parts, shown and opened, whoever computes its checksums."""
    cut_down = f"{CUT_DOWN}({json.dumps({kind: sorted(names) for kind, names in load_table().items()})});"

    async def cut_worker_down(route: Route) -> None:
        answer = await route.fetch()
        await route.fulfill(response=answer, body=f"{cut_down}{await answer.text()}")

    gallery = await open_gallery(token=None)
    await gallery.page.add_init_script(cut_down + more)
    await gallery.page.route("**/pages/hash-worker.js", cut_worker_down)
    await gallery.open(stack.token(user))
    await gallery.page.reload()
    await gallery.listed()
    assert await gallery.page.evaluate("removed") > 100
    assert await gallery.page.evaluate("typeof AbortSignal.any") == "undefined"
    await gallery.choose(large)
    await gallery.wait_for_picture("large.jpg")
    assert sorted(re.findall(r"partNumber=(\d)", request.url)[0] for request in gallery.uploads()) == ["1", "2", "3"]
    await gallery.tile("large.jpg").locator(".open").press("Enter")
    await expect(gallery.page.get_by_role("dialog", name="large.jpg")).to_be_visible()
