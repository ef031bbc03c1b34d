"""Verdicts of all experiments: photo by photo, from what the API, S3, the table and the topic say.

A photo that was stored and not deleted must be READY, its original be what was sent, its renditions show its own
code, and an event of its own be published for each time that it became READY. Nothing else may be left.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp

from emulator.embedded import ACCOUNT
from shoebox_client.errors import ClientError, NotFound
from shoebox_client.renditions import RENDITIONS
from tests.chaos.load import Load
from tests.chaos.photos import Photo, digest, shown_code
from tests.chaos.stack import Stack


@dataclass
class Verdict:
    """Counts of photos, and what was wrong with which; `findings` empty means that the experiment was passed.

    lost: item, bytes or renditions of a kept photo are gone, or are another's. no_event: it became READY more often
    than events of different ids came; doubled: less often. stuck: not READY, or not deleted, at the timeout.
    orphans: objects and items that belong to nothing. refused: never stored. wrong: responses that no client must get.
    """

    photos: int = 0
    faults: int = 0
    lost: int = 0
    no_event: int = 0
    doubled: int = 0
    stuck: int = 0
    orphans: int = 0
    refused: int = 0
    wrong: int = 0
    seconds: float = 0.0
    note: str = ""
    findings: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Nothing was found."""
        return not self.findings

    def document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {"passed": self.passed, **asdict(self)}


class Events:
    """File events as a subscriber's queue gets them: their ids by file, and how often each came."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self.deliveries: dict[str, Counter[str]] = defaultdict(Counter)

    async def subscribe(self) -> None:
        """Subscribe a queue; doing it twice makes one."""
        sqs, sns = await self._stack.client("sqs"), await self._stack.client("sns")
        await sqs.create_queue(QueueName="chaos-events")
        arn = self._stack.arn("queue", "uploads").replace("shoebox-uploads", "chaos-events")
        allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [allow | {"Resource": arn}]}
        await sqs.set_queue_attributes(QueueUrl=self._url, Attributes={"Policy": json.dumps(policy)})
        raw = {"RawMessageDelivery": "true"}
        topic = self._stack.arn("topic", "file-events")
        await sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)

    @property
    def _url(self) -> str:
        return f"{self._stack.addresses['emulator']}/{ACCOUNT}/chaos-events"

    async def take(self) -> None:
        """Take all that has come."""
        sqs = await self._stack.client("sqs")
        try:
            await self._take(sqs)
        except sqs.exceptions.QueueDoesNotExist:  # an emulator that lost its data, as the verdict on the photos shows
            await self.subscribe()

    async def _take(self, sqs: Any) -> None:
        while messages := (await sqs.receive_message(QueueUrl=self._url, MaxNumberOfMessages=10)).get("Messages"):
            for message in messages:
                event = json.loads(message["Body"])
                if event["event"] == "file.ready":
                    self.deliveries[event["file_id"]][event["event_id"]] += 1
            handles = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
            await sqs.delete_message_batch(QueueUrl=self._url, Entries=handles)


class Judge:
    """Judges the photos of a load."""

    def __init__(self, stack: Stack, events: Events, load: Load, timeout_factor: float = 1.0) -> None:
        self._stack = stack
        self._events = events
        self._load = load
        self._timeout_factor = timeout_factor

    async def judge(self, *, seconds: float, quiet: Iterable[str] = (), may_refuse: bool = False) -> Verdict:
        """Wait until all is as it should be, or `seconds` are over, and say what is not.

        `quiet` queues must be empty, too, before the last look: a message that is still there could do harm later.
        """
        end = time.monotonic() + seconds * self._timeout_factor
        while time.monotonic() < end and not await self._settled(quiet):  # noqa: ASYNC110 - it is in other processes
            await asyncio.sleep(0.5)
        verdict = Verdict(photos=len(self._load.photos), wrong=len(self._load.wrong))
        verdict.findings += self._load.wrong
        kept = [photo for photo in self._load.photos if photo.stored and photo.kept]
        refused = [photo for photo in self._load.photos if not photo.stored]
        verdict.refused = len(refused)
        if not may_refuse:
            verdict.findings += [f"{photo.path.name}: never stored; {'; '.join(photo.notes)}" for photo in refused]
        async with aiohttp.ClientSession() as session:
            for photo in kept:
                await self._judge_kept(photo, verdict, session)
        await self._judge_rest({photo.file_id for photo in kept}, {photo.file_id for photo in refused}, verdict)
        return verdict

    async def _settled(self, quiet: Iterable[str]) -> bool:
        kept = [photo for photo in self._load.photos if photo.stored and photo.kept]
        await self._events.take()
        if any(self._events.deliveries[photo.file_id].total() < photo.ready_count for photo in kept):
            return False
        states = await self._load.states(kept)
        if any(states.get(photo.file_id) != "READY" for photo in kept):
            return False
        for queue in quiet:
            if await self._waiting(queue):
                return False
        gone = {photo.file_id for photo in self._load.photos if not photo.kept}
        if gone & {_file_id(key) for key in await self.objects()}:
            return False
        return not await self._items_but({photo.file_id for photo in self._load.photos if photo.kept})

    async def _judge_kept(self, photo: Photo, verdict: Verdict, session: aiohttp.ClientSession) -> None:
        name = photo.path.name
        try:
            async with self._load.api(photo) as api:
                file = await api.file(photo.file_id)
        except NotFound:
            verdict.lost += 1
            verdict.findings.append(f"{name}: 404, its item is gone")
            return
        except ClientError as error:
            verdict.stuck += 1
            verdict.findings.append(f"{name}: no answer: {error.detail}")
            return
        if file["state"] == "REGISTERED":
            verdict.stuck += 1
            verdict.findings.append(f"{name}: still REGISTERED")
            return
        ids = self._events.deliveries[photo.file_id]
        faults = [f"state {file['state']}, {file['reason']}"] if file["state"] != "READY" else []
        faults += await _faults_of_objects(photo, file, session)
        if len(ids) < photo.ready_count:
            verdict.no_event += 1
            verdict.findings.append(f"{name}: {_events(ids)} for {photo.ready_count} times READY")
        if len(ids) > photo.ready_count + photo.extra_allowed:
            verdict.doubled += 1
            verdict.findings.append(f"{name}: {_events(ids)} for {photo.ready_count} times READY")
        if faults:
            verdict.lost += 1
            verdict.findings.append(f"{name}: {'; '.join(faults)}")

    async def _judge_rest(self, kept: set[str], refused: set[str], verdict: Verdict) -> None:
        """Judge what is in the bucket and in the table and should not be."""
        objects = Counter((key.partition("/")[0], _file_id(key)) for key in await self.objects())
        for (kind, file_id), count in objects.items():
            allowed = {"originals": 1, "renditions": len(RENDITIONS)}[kind] if file_id in kept else 0
            if count > allowed and file_id not in refused:
                verdict.orphans += count - allowed
                verdict.findings.append(f"{file_id}: {count} {kind}, {allowed} belong to it")
        for pk, state in (await self._items_but(kept | refused)).items():
            if state == "DELETING":
                verdict.stuck += 1
                verdict.findings.append(f"{pk}: still DELETING")
            else:
                verdict.orphans += 1
                verdict.findings.append(f"{pk}: an item that is {state} and belongs to nobody")

    async def objects(self) -> list[str]:
        """Return the keys of all objects of the load's owners."""
        s3, keys = await self._stack.client("s3"), []
        pages = s3.get_paginator("list_objects_v2")
        for prefix in ("originals/", "renditions/"):
            async for page in pages.paginate(Bucket=self._stack.name("bucket", "personal"), Prefix=prefix):
                keys += [entry["Key"] for entry in page.get("Contents", [])]
        return [key for key in keys if self._of_load(key, "/")]

    async def _items_but(self, file_ids: set[str]) -> dict[str, str]:
        """Return state by key of all items of the load's owners but these files' own, tombstones among them."""
        dynamodb, found = await self._stack.client("dynamodb"), {}
        pages = dynamodb.get_paginator("scan")
        async for page in pages.paginate(TableName=self._stack.name("table", "files"), ConsistentRead=True):
            for item in page["Items"]:
                pk = item["pk"]["S"]
                own = pk.startswith("F#") and _file_id(pk) in file_ids
                if self._of_load(pk, "#") and not own:
                    found[pk] = item["state"]["S"]
        return found

    def _of_load(self, key: str, separator: str) -> bool:
        owners = {(photo.tenant, photo.user) for photo in self._load.photos}
        return any(f"{separator}{tenant}{separator}{user}{separator}" in key for tenant, user in owners)

    async def _waiting(self, queue: str) -> int:
        sqs = await self._stack.client("sqs")
        attributes = await sqs.get_queue_attributes(QueueUrl=self._stack.queue_url(queue), AttributeNames=["All"])
        return sum(int(v) for k, v in attributes["Attributes"].items() if k.startswith("ApproximateNumberOf"))


async def _faults_of_objects(photo: Photo, file: dict[str, Any], session: aiohttp.ClientSession) -> list[str]:
    faults = []
    renditions = {entry["name"]: entry["url"] for entry in file["renditions"]}
    if len(renditions) != len(RENDITIONS):
        faults.append(f"{len(renditions)} renditions")
    for name, url in {"original": file["original_url"], **renditions}.items():
        status, data = await _get(session, url) if url else (404, b"")
        try:
            if status != 200:
                faults.append(f"{name} is missing ({status})")
            elif name == "original" and digest(data) != photo.sha256:
                faults.append("the original is not what was sent")
            elif shown_code(data) != photo.code:
                faults.append(f"{name} shows another photo")
        except OSError:
            faults.append(f"{name} is no whole picture")
    return faults


def _events(ids: Counter[str]) -> str:
    return f"{ids.total()} events of {len(ids)} ids"


async def _get(session: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
    for _ in range(3):
        try:
            async with session.get(url) as answer:
                return answer.status, await answer.read()
        except aiohttp.ClientError:
            await asyncio.sleep(0.5)
    return 0, b""


def _file_id(key: str) -> str:
    """Return the part of an S3 key or of an item's key that is a file's id: f and 32 letters or digits."""
    parts = key.replace("#", "/").split("/")
    return next((part for part in parts if len(part) == 33 and part.startswith("f")), key)
