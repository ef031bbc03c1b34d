"""Experiments with unexpected messages and uploads: twice, late, old, far too long, malformed, bombs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

import aiohttp
from yarl import URL

from shoebox_client.sending import UploadInstruction
from tests.chaos.judge import Judge, Verdict
from tests.chaos.lab import Experiment, Lab
from tests.chaos.load import Load
from tests.chaos.photos import Photo, scan_bomb
from tests.chaos.stack import Stack, stopped


def record(bucket: str, key: str) -> dict[str, Any]:
    """Return a record of S3's event notification, as an object's creation sends it ("Event message structure")."""
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "eventName": "ObjectCreated:Put",
        "s3": {"s3SchemaVersion": "1.0", "bucket": {"name": bucket}, "object": {"key": key, "size": 1}},
    }


async def send(stack: Stack, bodies: Sequence[str]) -> int:
    """Put messages into the uploads queue; return how many."""
    sqs = await stack.client("sqs")
    for body in bodies:
        await sqs.send_message(QueueUrl=stack.queue_url("uploads"), MessageBody=body)
    return len(bodies)


def message(stack: Stack, *keys: str) -> str:
    """Return a message that announces these objects."""
    bucket = stack.name("bucket", "personal")
    return json.dumps({"Records": [record(bucket, key) for key in keys]})


async def originals(judge: Judge) -> list[str]:
    """Return the keys of the load's originals."""
    return [key for key in await judge.objects() if key.startswith("originals/")]


async def duplicates(lab: Lab) -> Verdict:
    """Send copies while photos are processed, when they are READY, when they were deleted, and when they came anew."""
    load = lab.load()
    judge = lab.judge(load)
    photos = await load.make(lab.photos)
    faults = 0

    async def copies(keys: Sequence[str]) -> None:
        nonlocal faults
        bodies = [message(lab.stack, key) for key in keys for _ in range(lab.random.randint(1, 3))]
        lab.random.shuffle(bodies)
        faults += await send(lab.stack, bodies)

    async def while_they_come() -> None:
        for _ in range(4):
            await asyncio.sleep(0.7)
            await copies(await originals(judge))

    await asyncio.gather(load.upload(photos, over=2), while_they_come())
    await load.until_ready(photos)
    old = await originals(judge)
    await copies(old)
    again, gone = photos[: len(photos) // 2], photos[len(photos) // 2 :]
    await load.delete(photos)
    await copies(old)
    await load.register_again(again)
    await copies(old)
    await load.until_ready(again)
    await copies(old)
    await copies(await originals(judge))
    await asyncio.sleep(3)
    verdict = await judge.judge(seconds=90)
    verdict.faults = faults
    verdict.note = f"{len(again)} deleted and uploaded anew, {len(gone)} deleted"
    return verdict


async def malformed(lab: Lab) -> Verdict:
    """Send malformed messages together with good ones: only they become dead letters, and they delay no others."""
    load, stack = lab.load(), lab.stack
    judge = lab.judge(load)
    (first,) = await load.ready(1)
    (key,) = await originals(judge)
    huge = [
        message(stack, *(key.replace(first.file_id, unknown_id(lab.random)) for _ in range(150)))
        for _ in range(lab.photos)
    ]
    strange = [
        "{}",
        "[]",
        "null",
        "5",
        '{"Records": [{}]}',
        '{"Records": 5}',
        "é" * 1000,
        message(stack, "originals/x"),
    ]
    bodies = huge + strange
    lab.random.shuffle(bodies)
    photos = await load.make(lab.photos - 1)
    links = await _register(load, photos)
    with stopped(stack.processes("main")):  # nobody receives, so that good and bad are received together
        await asyncio.gather(send(stack, bodies), *(_put(photo, links[photo.file_id]) for photo in photos))
    verdict = await judge.judge(seconds=150)
    verdict.faults = len(bodies)
    return verdict


def unknown_id(random: Random) -> str:
    """Return the id of a file that does not exist."""
    return "f" + "".join(random.choices("abcdefghijklmnopqrstuvwxyz234567", k=32))


async def old_url(lab: Lab) -> Verdict:
    """PUT with old URLs: deleted bytes do not come back, and those of a new registration are not touched."""
    load = lab.load()
    photos = await load.make(lab.photos)
    links = await _register(load, photos)
    await asyncio.gather(*(_put(photo, links[photo.file_id]) for photo in photos))
    await load.until_ready(photos)
    await load.delete(photos)
    again = photos[: len(photos) // 2]
    await asyncio.sleep(0.25)
    statuses = await asyncio.gather(*(_put(photo, links[photo.file_id]) for photo in photos))
    await load.register_again(again)
    statuses += await asyncio.gather(*(_put(photo, links[photo.file_id]) for photo in again))
    for photo in photos[len(again) :]:
        photo.stored = True
    verdict = await lab.judge(load).judge(seconds=90, quiet=["deletions"])
    verdict.faults = statuses.count(200)
    return verdict


async def _register(load: Load, photos: Sequence[Photo]) -> dict[str, UploadInstruction]:
    """Register photos of one owner; return how to send each."""
    async with load.api(photos[0]) as api:
        entries = await api.register(
            [
                {"name": p.path.name, "size": p.path.stat().st_size, "content_type": "image/jpeg", "sha256": p.sha256}
                for p in photos
            ]
        )
    return {entry["file_id"]: UploadInstruction.from_document(entry["upload"]) for entry in entries}


async def _put(photo: Photo, link: UploadInstruction) -> int:
    async with aiohttp.ClientSession() as session:
        url = URL(link.url, encoded=True)
        async with session.put(url, data=photo.path.read_bytes(), headers=link.headers) as answer:
            photo.stored |= answer.status == 200
            return answer.status


async def bombs(lab: Lab) -> Verdict:
    """Upload bombs beside ordinary photos, which all become READY; the note says how long the slowest took."""
    return await _bombs(lab, side=10_000, seconds=600)


async def small_bombs(lab: Lab) -> Verdict:
    """Do the same with smaller bombs, for the short form."""
    return await _bombs(lab, side=4_000, seconds=120)


async def _bombs(lab: Lab, side: int, seconds: float) -> Verdict:
    load = lab.load()
    bomb = scan_bomb(side)
    others = Load(lab.stack, lab.folder / "bombs", lab.name, lab.random)
    for number, photo in enumerate(await others.make(6, tenant="evil")):
        data = bomb[:2] + b"\xff\xfe\x00\x04" + number.to_bytes(2, "big") + bomb[2:]  # a comment makes it another file
        photo.path.write_bytes(data)
    photos = await load.make(lab.photos)
    await others.upload(others.photos)
    await load.upload(photos, over=1)
    slowest = await load.until_ready(photos, seconds)
    verdict = await lab.judge(load).judge(seconds=30)
    verdict.faults = len(others.photos)
    verdict.note = f"the last ordinary photo was READY {slowest:.1f} s after its upload"
    return verdict


EXPERIMENTS = [
    Experiment(
        "duplicates",
        "every S3 message up to four times, in any order; old ones after deletion and anew",
        duplicates,
        "plain",
        short=True,
    ),
    Experiment(
        "malformed", "malformed messages and such with 150 records beside good ones", malformed, "plain", short=True
    ),
    Experiment(
        "old-url",
        "deleted, and PUT again with the old URL: soon, and after a new registration",
        old_url,
        "plain",
        short=True,
    ),
    Experiment(
        "small-bombs",
        "six scan bombs of 16 megapixels of one tenant beside photos of another",
        small_bombs,
        "plain",
        short=True,
    ),
    Experiment(
        "bombs", "six scan bombs of 100 megapixels of one tenant beside photos of another", bombs, "own", changes=()
    ),
]
