"""The gallery as a user sees it: what one can do there, and what the browser noticed meanwhile."""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from playwright.async_api import BrowserContext, CDPSession, ConsoleMessage, Locator, Page, Request, Route, expect
from running_stack import RunningStack

OpenGallery: TypeAlias = Callable[..., Awaitable["Gallery"]]
MakePhoto: TypeAlias = Callable[..., Path]
PATIENCE = 30_000  # ms: everything here is quick, but the machine may be busy
expect.set_options(timeout=PATIENCE)

# Drops files on the page as the browser does when they come from a file manager.
_DROP = """
([files, step]) => {
  const transfer = new DataTransfer();
  for (const { name, type, data } of files) {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    transfer.items.add(new File([bytes], name, { type }));
  }
  const event = new DragEvent(step, { dataTransfer: transfer, bubbles: true, cancelable: true });
  document.querySelector("main").dispatchEvent(event);
}
"""
_PASTE = """
([{ name, type, data }]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, { type }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
}
"""


@dataclass
class Gallery:
    """A page with the gallery. `errors` are the console's, but for those that match one of `expected`."""

    page: Page
    context: BrowserContext
    stack: RunningStack
    expected: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    messages: list[ConsoleMessage] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    held: list[Route] = field(default_factory=list)
    devtools: CDPSession | None = None

    def listen(self) -> None:
        """Note requests, console messages and uncaught errors from now on."""
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.on("console", lambda message: self.messages.append(message))
        self.page.on("pageerror", lambda error: self.crashes.append(str(error)))

    @property
    def errors(self) -> list[str]:
        """What the console shows as an error or a warning; a violated Content-Security-Policy is one."""
        texts = [m.text for m in self.messages if m.type in {"error", "warning"}]
        return self.crashes + [t for t in texts if not any(re.search(pattern, t) for pattern in self.expected)]

    def uploads(self) -> list[Request]:
        """Return the requests that carried bytes to the storage."""
        return [r for r in self.requests if r.method == "PUT" and r.url.startswith(self.stack.s3_url)]

    async def open(self, token: str | None) -> None:
        """Open the link that holds `token`, and wait for the list."""
        await self.page.goto(f"{self.stack.url}/" + (f"#token={token}" if token else ""))
        if token:
            await self.listed()

    async def close(self) -> None:
        """Close the page, and let go of what was held up: Playwright's tasks would else wait for it for ever."""
        await self.context.close()  # first: a request that is let go of on an open page goes its way
        while self.held:
            await self.held.pop().abort()

    def hold(self, route: Route) -> None:
        """Handle a route without a response for as long as the page is open."""
        self.held.append(route)

    async def listed(self) -> None:
        """Wait until the list has been loaded."""
        await expect(self.page.locator("#tiles")).to_have_attribute("aria-busy", "false")

    async def choose(self, *paths: Path | str | Any) -> None:
        """Choose files as with the button."""
        await self.page.set_input_files("#chooser", list(paths))

    async def drag(self, step: str, files: Sequence[tuple[str, str, bytes]]) -> None:
        """Make a step of drag and drop (dragenter, dragover, dragleave, drop) with files (name, type, bytes)."""
        await self.page.evaluate(_DROP, [_described(files), step])

    async def paste(self, name: str, media_type: str, data: bytes) -> None:
        """Paste a picture from the clipboard."""
        await self.page.evaluate(_PASTE, _described([(name, media_type, data)]))

    async def limit_upload(self, bytes_per_second: int) -> None:
        """Limit what the page can send; -1 lifts the limit."""
        self.devtools = self.devtools or await self.context.new_cdp_session(self.page)
        conditions = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
        await self.devtools.send("Network.emulateNetworkConditions", conditions)

    def tile(self, name: str) -> Locator:
        """Return the tile of the photo with this name."""
        exactly = re.compile(f"^{re.escape(name)}$")
        return self.page.locator(".tile").filter(has=self.page.locator(".name", has_text=exactly))

    def tiles(self, state: str | None = None) -> Locator:
        """Return the tiles that are shown, all or those in a state."""
        chosen = f'.tile[data-state="{state}"]' if state else ".tile"
        return self.page.locator(f"{chosen}:not([hidden])")

    async def wait_for(self, name: str, state: str) -> Locator:
        """Wait until the photo's tile is in a state."""
        tile = self.tile(name)
        await expect(tile).to_have_attribute("data-state", state)
        return tile

    async def wait_for_picture(self, name: str) -> int:
        """Wait until the photo's picture is on the screen; its width in pixels."""
        picture = (await self.wait_for(name, "ready")).locator("img.picture")
        await picture.scroll_into_view_if_needed()
        await expect(picture).to_have_attribute("data-loaded", "")
        width: int = await picture.evaluate("image => image.naturalWidth")
        return width

    async def delete(self, name: str, *, answer: str = "Delete") -> None:
        """Press a tile's delete button and give an answer to the question."""
        await self.tile(name).get_by_role("button", name=f"Delete {name}").click()
        await self.page.locator("#confirm").get_by_role("button", name=answer, exact=True).click()


def _described(files: Sequence[tuple[str, str, bytes]]) -> list[dict[str, str]]:
    return [
        {"name": name, "type": media_type, "data": base64.b64encode(data).decode()} for name, media_type, data in files
    ]
