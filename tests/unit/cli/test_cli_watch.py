"""`upload --watch`: what is new or changed goes up once it is whole, through outages, until Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from command import end, start
from upload_service import TOKEN, Fault, Service

from shoebox_client import events
from shoebox_client.api import open_api
from shoebox_client.records import Outcome, Record
from shoebox_client.retry import RetryPolicy
from shoebox_client.uploads import Uploader, UploadSettings
from shoebox_client.walk import Picture, Watcher, scan_pauses

MakePicture = Callable[..., Path]


def found(name: str, size: int = 1, changed: int = 1) -> Picture:
    """Return a picture as a scan finds it."""
    return Picture(Path(name), size, "image/jpeg", changed)


@pytest.mark.parametrize(
    ("looks", "news"),
    [
        ([[found("a")], [found("a")], [found("a")]], ["a"]),
        ([[found("a", 1)], [found("a", 2)], [found("a", 2)], [found("a", 2)]], ["a"]),  # it was being written
        ([[found("a", 1, 1)], [found("a", 1, 1)], [found("a", 1, 2)], [found("a", 1, 2)]], ["a", "a"]),  # changed
        ([[found("a")], [found("a")], [found("b")], [found("b")]], ["a", "b"]),  # moved
        ([[found("a")], [], [found("a")]], []),  # gone and back: not seen twice in a row
        ([[found("a")], [found("a")], [], [found("a")], [found("a")]], ["a", "a"]),
    ],
)
def test_news_is_what_two_looks_agree_on(looks: list[list[Picture]], news: list[str]) -> None:
    """A file that grows is being written; one that changes, or comes back, is news again."""
    watcher, told = Watcher(), []
    for look in looks:
        told += [thing.path.name for thing in look if watcher.is_new(thing)]
        watcher.end_scan()

    assert told == news


async def test_looks_are_two_seconds_apart_or_more() -> None:
    """The pause is at least two seconds, and ten times what a look took."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    pause = scan_pauses(sleep)
    await pause()
    await pause()

    assert slept == [2.0, 2.0]


class Looks:
    """Pauses that end when the test says so."""

    def __init__(self) -> None:
        self.due = asyncio.Semaphore(0)
        self.done = asyncio.Semaphore(0)

    async def __call__(self) -> None:
        """Tell that a scan has ended; wait for the next one."""
        self.done.release()
        await self.due.acquire()

    async def two(self) -> None:
        """Let it look twice more."""
        for _ in range(2):
            self.due.release()
            await self.done.acquire()


async def test_a_watched_folder_is_followed_through_an_outage(service: Service, picture: MakePicture) -> None:
    """What is there, what comes, what changes and what moves ends READY; an outage that would end a run does not."""
    first, ready, looks = picture("a.jpg"), asyncio.Queue[Record](), Looks()
    retry = replace(RetryPolicy.endless(), first_pause=0.0, max_pause=0.0, jitter=0.0)
    settings = UploadSettings(linger=0.01, between_scans=looks, retry=retry)

    def listen(event: events.Event) -> None:
        if isinstance(event, events.FileFinished):
            ready.put_nowait(event.record)

    async with open_api(service.url, TOKEN) as api:
        uploader = Uploader(api, await api.limits(), settings, listen)
        run = asyncio.create_task(uploader.run([first.parent]))
        async with asyncio.timeout(60):
            await looks.done.acquire()
            await looks.two()
            ends = [await ready.get()]
            service.faults = [Fault("register", times=25, status=503)]
            picture("b.jpg")
            await looks.two()
            ends.append(await ready.get())
            first.rename(first.with_name("c.jpg"))
            picture("b.jpg", 6000, seed="other")
            await looks.two()
            ends += [await ready.get(), await ready.get()]
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run

    assert [(record.name, record.outcome) for record in ends[:2]] == [(n, Outcome.READY) for n in ("a.jpg", "b.jpg")]
    assert {(record.name, record.outcome) for record in ends[2:]} == {(n, Outcome.READY) for n in ("b.jpg", "c.jpg")}
    assert (service.count("put"), len(service.files), uploader.report.count(Outcome.READY)) == (3, 3, 4)


@pytest.mark.parametrize(("reject", "code"), [(False, 0), (True, 1)])
async def test_ctrl_c_ends_it_well(service: Service, picture: MakePicture, reject: bool, code: int) -> None:
    """A line of JSON for each photo as soon as it is done, a summary at the end; the code tells of rejected ones."""
    if reject:
        service.reject["a.jpg"] = "corrupt"
    folder = picture("a.jpg").parent
    (folder / "lock").symlink_to("nowhere")

    process = await start("upload", folder, "--watch", "--json", service=service)
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 60)
    process.send_signal(signal.SIGINT)
    ended = await end(process)

    record, last = json.loads(line), json.loads(ended.stdout)
    assert (record["name"], record["outcome"]) == ("a.jpg", "REJECTED" if reject else "READY")
    assert last["summary"]["files"] == 1
    assert (ended.code, "Traceback" in ended.stderr, "1 photo" in ended.stderr) == (code, False, True)
