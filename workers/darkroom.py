"""The darkroom: where pictures are developed, off the event loop, with only so many megapixels out at once.

Hashing, decoding and resizing release the GIL, so threads use every core. A picture is weighed by its header before
anything is decoded, and waits for permits by that weight: eight phone photos or one panorama.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self, TypeVar

from shoebox.config import Limits
from shoebox.files import Registration
from shoebox.metrics import RENDER_SECONDS
from shoebox.ports.pictures import Original
from workers.imaging import ImageLimits, Inspection, PictureRejected, Prepared, inspect, render
from workers.permits import Permits

T = TypeVar("T")


class Darkroom:
    """Verifies and prepares pictures in threads; a context manager that ends them."""

    def __init__(self, limits: Limits, *, megapixels_at_once: float) -> None:
        self._limits = ImageLimits(max_bytes=limits.max_bytes, max_pixels=limits.max_pixels, max_side=limits.max_side)
        self._permits = Permits(megapixels_at_once)
        self._threads = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="darkroom")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def prepare(self, promised: Registration, original: Original) -> Prepared:
        """The picture's renditions and metadata.

        Raises:
            PictureRejected: the bytes are not what was promised, or no picture within the limits.
        """
        inspection = await self._in_thread(lambda: self._verify(promised, original))
        async with self._permits.hold(inspection.megapixels):
            with RENDER_SECONDS.time():
                return await self._in_thread(lambda: render(inspection))

    def _verify(self, promised: Registration, original: Original) -> Inspection:
        data = original.data
        if data is None:
            raise PictureRejected("too_large", f"{original.size} bytes; at most {self._limits.max_bytes} are taken.")
        if len(data) != promised.size:
            raise PictureRejected("size_mismatch", f"{len(data)} bytes came; {promised.size} were registered.")
        if hashlib.sha256(data).hexdigest() != promised.sha256:
            raise PictureRejected("checksum_mismatch", "The bytes do not have the SHA-256 that was registered.")
        return inspect(data, promised.media_type, self._limits)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
