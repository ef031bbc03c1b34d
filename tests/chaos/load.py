"""The load of an experiment: photos that are made, uploaded and deleted by their owners, all through our own client."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np

from shoebox.files.model import Owner
from shoebox_client.api import Api, open_api
from shoebox_client.errors import ClientError, NotFound, TransientError
from shoebox_client.retry import RetryPolicy
from shoebox_client.uploads import Uploader, UploadSettings
from tests.chaos.photos import Photo, digest, draw
from tests.chaos.stack import Stack, environment
from tests.command import COMMAND

TENANT = "chaos"
_GROUP = 5  # photos of one client
_ONCE = RetryPolicy(max_attempts=1)


@dataclass
class Load:
    """The photos of one experiment, and wrong responses to its clients. `user` owns what names no other owner."""

    stack: Stack
    folder: Path
    user: str
    random: Random
    photos: list[Photo] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # responses that a client must not get

    async def make(self, count: int, *, tenant: str = TENANT, user: str | None = None) -> list[Photo]:
        """Draw photos, each with a code of its own, for an owner."""
        await self.stack.add_tenant(tenant)
        made = [self._draw(len(self.photos) + n, tenant, user or self.user) for n in range(count)]
        self.photos += made
        return made

    def _draw(self, number: int, tenant: str, user: str) -> Photo:
        code = self.random.getrandbits(48)
        data = draw(code, np.random.default_rng(code))
        path = self.folder / tenant / user / f"photo-{number:04}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return Photo(number, code, path, tenant, user, Owner(tenant, user).file_id(digest(data)), digest(data))

    @asynccontextmanager
    async def api(self, photo: Photo) -> AsyncIterator[Api]:
        """Provide the HTTP API as the photo's owner, where the stack is now."""
        async with open_api(self.stack.url, self.stack.token(photo.tenant, photo.user)) as api:
            yield api

    # --- uploads -----------------------------------------------------------------------------------------------

    async def upload(self, photos: Sequence[Photo], *, over: float = 0.0, seconds: float = 300) -> None:
        """Upload by many clients, who begin within `over` seconds; each runs again until all is stored, or time is up.

        A photo counts as stored when its PUT was answered 200.
        """
        end = time.monotonic() + over + seconds
        groups = [photos[start : start + _GROUP] for start in range(0, len(photos), _GROUP)]
        moments = sorted(self.random.uniform(0, over) for _ in groups)
        await asyncio.gather(*(self._client(g, at, end) for g, at in zip(groups, moments, strict=True)))

    async def _client(self, photos: Sequence[Photo], at: float, end: float, pause: float = 0.5) -> None:
        await asyncio.sleep(at)
        by_path = {photo.path: photo for photo in photos}
        while True:
            missing = [photo.path for photo in photos if not photo.stored]
            try:
                async with asyncio.timeout(end - time.monotonic()), self.api(photos[0]) as api:
                    settings = UploadSettings(wait=False, linger=0.05, stall_timeout=5)
                    uploader = Uploader(api, await api.limits(), settings)
                    try:
                        await uploader.run(missing)
                    finally:
                        for record in uploader.report.records:
                            by_path[record.path].stored |= record.stored
            except ClientError as error:
                photos[0].notes.append(f"client: {error.detail}")
            except TimeoutError:
                photos[0].notes.append("client: time is up")
            if all(photo.stored for photo in photos) or time.monotonic() > end:
                return
            await asyncio.sleep(pause)

    async def command(self, photos: Sequence[Photo], *options: str) -> asyncio.subprocess.Process:
        """Start `shoebox upload` for the photos of one owner; its JSON comes on stdout, at its end."""
        token = self.stack.token(photos[0].tenant, photos[0].user)
        return await asyncio.create_subprocess_exec(
            *COMMAND,
            *("upload", str(photos[0].path.parent), "--json", "--no-progress", "--url", self.stack.url, *options),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**environment(), "SHOEBOX_TOKEN": token},
            start_new_session=True,
        )

    def note_stored(self, photos: Sequence[Photo], stdout: bytes) -> None:
        """Note which photos are stored, from the JSON of `shoebox upload`."""
        records = json.loads(stdout)["files"] if stdout else []
        ready = {record["sha256"] for record in records if record["outcome"] == "READY"}
        for photo in photos:
            photo.stored = photo.sha256 in ready
            if not photo.stored:
                photo.notes.append("not READY for `shoebox upload`")

    async def states(self, photos: Sequence[Photo]) -> dict[str, str]:
        """Return the state by file id, of those that exist."""
        found: dict[str, str] = {}
        for owner in {(photo.tenant, photo.user) for photo in photos}:
            theirs = [photo for photo in photos if (photo.tenant, photo.user) == owner]
            async with self.api(theirs[0]) as api:
                for start in range(0, len(theirs), 100):
                    files = await api.files([photo.file_id for photo in theirs[start : start + 100]])
                    found |= {file["file_id"]: file["state"] for file in files}
        return found

    async def until_ready(self, photos: Sequence[Photo], seconds: float = 60) -> float:
        """Wait until all are READY, or time is up; return how long it took."""
        begin = time.monotonic()
        while time.monotonic() < begin + seconds:
            states = await self.states(photos)
            if all(states.get(photo.file_id) == "READY" for photo in photos):
                break
            await asyncio.sleep(0.25)
        return time.monotonic() - begin

    async def ready(self, count: int, **owner: str) -> list[Photo]:
        """Make photos, upload them, and wait until they are READY."""
        photos = await self.make(count, **owner)
        await self.upload(photos)
        await self.until_ready(photos)
        return photos

    # --- deletions ---------------------------------------------------------------------------------------------

    async def delete(self, photos: Sequence[Photo], *, over: float = 0.0, seconds: float = 60) -> None:
        """Delete as the owners do; a 404 to the first request of an owner is wrong."""
        moments = [self.random.uniform(0, over) for _ in photos]
        await asyncio.gather(*(self._delete(p, at, seconds) for p, at in zip(photos, moments, strict=True)))

    async def _delete(self, photo: Photo, at: float, seconds: float) -> None:
        await asyncio.sleep(at)
        photo.kept = False
        tried, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            tried += 1
            try:
                async with self.api(photo) as api:
                    await api.with_retry(_ONCE).delete(photo.file_id)
            except NotFound:
                if tried == 1:
                    self.wrong.append(f"{photo.path.name}: 404 for the owner's first DELETE")
                return
            except TransientError:
                await asyncio.sleep(0.5)
            else:
                return
        self.wrong.append(f"{photo.path.name}: DELETE is not answered")

    async def register_again(self, photos: Sequence[Photo], seconds: float = 90) -> None:
        """Register and upload anew what was deleted, as soon as that is allowed."""
        await asyncio.gather(*(self._again(photo, seconds) for photo in photos))

    async def replace(self, photos: Sequence[Photo], *, over: float, seconds: float = 90) -> None:
        """Delete as each owner, and upload the same bytes anew as soon as that is allowed."""

        async def one(photo: Photo, at: float) -> None:
            await self._delete(photo, at, seconds)
            await self._again(photo, seconds)

        moments = [self.random.uniform(0, over) for _ in photos]
        await asyncio.gather(*(one(photo, at) for photo, at in zip(photos, moments, strict=True)))

    async def _again(self, photo: Photo, seconds: float) -> None:
        photo.stored, photo.kept = False, True
        photo.ready_count += 1
        await self._client([photo], 0, time.monotonic() + seconds, pause=0.1)
