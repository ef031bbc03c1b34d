"""Ingest on the emulator, with its own role; its rules, with faults, are in tests/unit/test_ingest_rules.py."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import struct
import uuid
import zlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
from PIL import Image
from prometheus_client import REGISTRY

from load_tests.naive import handler as naive
from shoebox.aws.clients import Clients
from shoebox.aws.dynamodb import DynamoDBClient
from shoebox.aws.s3 import S3Client
from shoebox.aws.sqs import VisibilityClient, open_visibility
from shoebox.config import Limits, environment_without_aws
from shoebox.files.dynamodb import DynamoDBFileStore
from shoebox.files.model import File, FileKey, Generation, Owner, Registration, State
from shoebox.files.s3 import open_pictures
from shoebox.files.sns import SnsEventPublisher
from shoebox.files.sqs import SqsDeletionQueue
from shoebox.files.ulid import new_ulid
from shoebox.stack.deployment import ResolvedStack
from shoebox_client.renditions import RENDITIONS
from shoebox_client.samples import exif_block, jpeg_of_size, scene
from tests.emulator.conftest import ClientsFor, EmulatorAt
from tests.faulty_aws import LossyConnections, StaleReads
from workers.batch import BatchResult, Message, TimeBudget
from workers.heartbeat import Heartbeat
from workers.ingest import Ingest
from workers.render_pool import RenderPool
from workers.runtime.context import Context


class RecordedDeletions(SqsDeletionQueue):
    """Sends orders, and remembers them."""

    def __init__(self, client: Any, queue_url: str) -> None:
        super().__init__(client, queue_url)
        self.ordered: list[Generation] = []

    async def order(self, generation: Generation, *, after_ingest: bool = False) -> None:
        """Order the deletion of a generation's objects."""
        await super().order(generation, after_ingest=after_ingest)
        self.ordered.append(generation)


@dataclass
class Bench:
    """Ingest with its surroundings: what a client would have done before, and what can be seen after."""

    ingest: Ingest
    visibility: VisibilityClient
    store: S3Client
    table: DynamoDBFileStore
    deletions: RecordedDeletions
    s3: Any
    sqs: Any
    sns: Any
    topic: str
    events_url: str
    faults: LossyConnections
    stale: StaleReads
    owner: Owner = field(default_factory=lambda: Owner("demo", uuid.uuid4().hex))

    async def upload(self, data: bytes, media_type: str = "image/jpeg", **promised: Any) -> File:
        """Register and upload `data`; `promised` may tell a lie about size or sha256."""
        promise = {"size": len(data), "sha256": sha256(data).hexdigest(), **promised}
        promises = [Registration("photo", media_type=media_type, **promise)]
        [file] = (await self.table.register(self.owner, promises)).files
        await self.s3.put_object(Bucket="shoebox-personal", Key=file.generation.original, Body=data)
        return file

    async def deliver(self, *messages: Message, at_once: int = 4) -> list[str]:
        """Run one batch; the ids that go back."""
        result = await self.ingest.run(messages, TimeBudget.of_remaining(60), at_once=at_once)
        return list(result.returned)

    async def process(self, data: bytes, media_type: str = "image/jpeg", **promised: Any) -> File:
        """Upload, deliver once, and see what became of it; the message must be done."""
        file = await self.upload(data, media_type, **promised)
        assert await self.deliver(message(file.generation)) == []
        found = await self.table.get(file.key)
        assert found is not None
        return found

    async def rendition(self, file: File, name: str) -> bytes:
        """Return the bytes of a stored rendition."""
        answer = await self.s3.get_object(Bucket="shoebox-personal", Key=file.rendition(name))
        return bytes(await answer["Body"].read())

    async def renditions_stored(self, file: File) -> int:
        """How many renditions of a file lie in S3."""
        answer = await self.s3.list_objects_v2(Bucket="shoebox-personal", Prefix=file.rendition("x")[: -len("x.jpg")])
        return int(answer["KeyCount"])

    async def discarded(self) -> list[Generation]:
        """Return the generations whose deletion was ordered; each must have its tombstone."""
        for generation in self.deletions.ordered:
            assert any(pending.mark for pending in await self.table.pending_deletions(generation))
        return self.deletions.ordered

    async def events(self, *, at_least: int) -> list[dict[str, Any]]:
        """Return the file events of this bench's owner that were published and not yet taken.

        LocalStack delivers after SNS has answered, so a marker is published behind them: when it is here, so are they.
        Its threads may still let the marker overtake; `at_least` keeps that from failing a test.
        """
        marker = {"user": uuid.uuid4().hex}
        await self.sns.publish(TopicArn=self.topic, Message=json.dumps(marker))
        found: list[dict[str, Any]] = []
        mine: list[dict[str, Any]] = []
        async with asyncio.timeout(60):
            while marker not in found or len(mine) < at_least:
                answer = await self.sqs.receive_message(
                    QueueUrl=self.events_url, MaxNumberOfMessages=10, WaitTimeSeconds=1
                )
                found += [json.loads(m["Body"]) for m in answer.get("Messages", [])]
                mine = [event for event in found if event["user"] == self.owner.user]
        return mine


def done_twice() -> tuple[float, float]:
    """Photos that were prepared once more, and deliveries that had nothing to do, so far."""
    repeated, skipped = (REGISTRY.get_sample_value(f"shoebox_photos_{name}_total") for name in ("repeated", "skipped"))
    assert repeated is not None
    assert skipped is not None
    return repeated, skipped


def message(
    *generations: Generation, receive_count: int = 1, body: str | None = None, ago: timedelta = timedelta()
) -> Message:
    """S3's message about originals, which were uploaded some time ago."""
    records = [
        {
            "eventTime": (datetime.now(UTC) - ago).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "shoebox-personal"}, "object": {"key": generation.original}},
        }
        for generation in generations
    ]
    return Message(uuid.uuid4().hex, body or json.dumps({"Records": records}), receive_count, datetime.now(UTC))


@pytest.fixture
async def bench(
    emulator: EmulatorAt, provisioned: ResolvedStack, clients_for: ClientsFor, root_clients: Clients
) -> AsyncIterator[Bench]:
    """Ingest under its own role; only the bench looks with root's eyes."""
    clients = await clients_for("ingest")
    sqs, sns = await root_clients.open("sqs"), await root_clients.open("sns")
    topic = provisioned.arn_of("topic", "file-events")
    url = (await sqs.create_queue(QueueName=f"events-{uuid.uuid4().hex}"))["QueueUrl"]
    arn = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]))["Attributes"]["QueueArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [allow | {"Resource": arn}]}
    await sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    subscription = await sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"}
    )
    limits = Limits()
    async with contextlib.AsyncExitStack() as opening:
        pictures = await opening.enter_async_context(
            open_pictures(emulator.aws, clients, "shoebox-personal", s3_url=emulator.url)
        )
        faults = LossyConnections(emulator.url)
        opening.callback(faults.close)
        stale = StaleReads(DynamoDBClient(faults, clients.credentials, region=emulator.aws.region))
        table = DynamoDBFileStore(stale, "shoebox-files")
        deletions = RecordedDeletions(clients.when_needed("sqs"), provisioned.queue_url("deletions"))
        pool = RenderPool(limits, memory_at_once=1_350_000_000, environment=environment_without_aws())
        await opening.enter_async_context(pool)
        visibility = await opening.enter_async_context(open_visibility(emulator.aws, clients.credentials))
        ingest = Ingest(
            table,
            pictures,
            SnsEventPublisher(clients.when_needed("sns"), topic),
            deletions,
            pool,
            max_bytes=limits.max_bytes,
        )
        yield Bench(
            ingest,
            visibility,
            pictures._objects,
            table,
            deletions,
            await root_clients.open("s3"),
            sqs,
            sns,
            topic,
            url,
            faults,
            stale,
        )
    await sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    await sqs.delete_queue(QueueUrl=url)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    """Return a picture as a file."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def bomb() -> bytes:
    """Return a PNG of a few bytes that would be 900 megapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 999)) + chunk(b"IEND", b"")
    )


def scan_bomb() -> bytes:
    """Return a progressive JPEG of 600 scans, behind a comment that holds an end-of-image marker."""
    data = saved(Image.new("L", (160, 120), 77), "JPEG", progressive=True).removesuffix(b"\xff\xd9")
    return data + b"\xff\xfe\x00\x04\xff\xd9" + data[data.rindex(b"\xff\xda") :] * 600 + b"\xff\xd9"


async def test_a_photo_becomes_ready(bench: Bench):
    """Renditions lie in S3 with the sizes that the item names, upright, without GPS; the event is out."""
    file = await bench.process(saved(scene(1600, 1200), "JPEG", exif=exif_block(orientation=6, gps=True)))

    assert (file.state, file.reason, file.register_until) == (State.READY, None, None)
    assert file.picture is not None
    assert (file.picture.width, file.picture.height) == (1200, 1600)
    assert file.picture.metadata["has_gps"] is True
    assert file.picture.metadata["camera_make"] == "Shoebox"
    assert file.picture.metadata["captured_at_source"] == "EXIF:DateTimeOriginal"
    for info in file.picture.renditions:
        jpeg = await bench.rendition(file, info.name)
        image = Image.open(io.BytesIO(jpeg))
        assert (image.format, image.size, len(jpeg)) == ("JPEG", (info.width, info.height), info.size)
        assert len(image.getexif()) == 0
    assert [r.name for r in file.picture.renditions] == list(RENDITIONS)
    assert file.registered_at <= file.uploaded_at <= file.finished_at  # type: ignore[operator]
    [event] = await bench.events(at_least=1)
    assert (event["event"], event["file_id"], event["tenant"]) == ("file.ready", file.key.file_id, "demo")
    dated = (event["captured_at"], event["captured_at_source"])
    assert dated == ("2024-06-21T18:30:05+02:00", "EXIF:DateTimeOriginal")


JPEG = saved(scene(320, 240), "JPEG")


@pytest.mark.parametrize(
    ("data", "media_type", "promised", "reason"),
    [
        (JPEG, "image/jpeg", {"size": 5}, "size_mismatch"),
        (JPEG, "image/jpeg", {"sha256": "0" * 64}, "checksum_mismatch"),
        (JPEG, "image/png", {}, "wrong_type"),
        (b"no picture at all", "image/jpeg", {}, "wrong_type"),
        (JPEG[: len(JPEG) // 2], "image/jpeg", {}, "truncated"),
        (bomb(), "image/png", {}, "too_many_pixels"),
        (scan_bomb(), "image/jpeg", {}, "too_costly"),
        (b"", "image/jpeg", {}, "empty"),
        (JPEG[:200] + b"\0" * 400 + JPEG[600:], "image/jpeg", {}, "corrupt"),
    ],
    ids=["size", "checksum", "type", "text", "truncated", "bomb", "scans", "empty", "corrupt"],
)
async def test_a_bad_file_is_rejected_with_its_reason(
    bench: Bench, data: bytes, media_type: str, promised: dict[str, Any], reason: str
):
    """Permanent faults end REJECTED at the first delivery; nothing is rendered, the original stays."""
    file = await bench.process(data, media_type, **promised)

    assert (file.state, file.reason) == (State.REJECTED, reason)
    assert file.detail
    assert await bench.renditions_stored(file) == 0
    original = await bench.s3.head_object(Bucket="shoebox-personal", Key=file.generation.original)
    assert original["ContentLength"] == len(data)
    [event] = await bench.events(at_least=1)
    assert (event["event"], event["reason"]) == ("file.rejected", reason)


async def test_an_encoded_original_is_rejected(bench: Bench):
    """A Content-Encoding, which a PUT's signature does not cover, would make browsers decode verified bytes."""
    file = await bench.upload(JPEG)
    key = file.generation.original
    await bench.s3.put_object(Bucket="shoebox-personal", Key=key, Body=JPEG, ContentEncoding="gzip")

    assert await bench.deliver(message(file.generation)) == []

    found = await bench.table.get(file.key)
    assert found is not None
    assert (found.state, found.reason) == (State.REJECTED, "content_encoding")
    assert "gzip" in (found.detail or "")


async def test_a_bad_neighbour_harms_nobody(bench: Bench):
    """In one batch: good ones, a bomb, a truncated one, a malformed message. Only the malformed one goes back."""
    good = [await bench.upload(jpeg_of_size(n, 640, 480, 20_000)) for n in range(3)]
    bad = [await bench.upload(bomb(), "image/png"), await bench.upload(JPEG[:-20])]
    malformed = message(body="hello")

    returned = await bench.deliver(malformed, *(message(f.generation) for f in good + bad))

    assert returned == [malformed.id]
    states = {f.key: f.state for f in await bench.table.get_many([f.key for f in good + bad])}
    assert [states[f.key] for f in good + bad] == [State.READY] * 3 + [State.REJECTED] * 2


async def test_two_workers_with_the_same_photo(bench: Bench):
    """Deliveries that run at the same time: one is first, all messages are done, one event; each other is counted."""
    file = await bench.upload(JPEG)
    before = sum(done_twice())

    returned = await asyncio.gather(*(bench.deliver(message(file.generation)) for _ in range(4)))

    assert returned == [[]] * 4
    found = await bench.table.get(file.key)
    assert found is not None
    assert found.state is State.READY
    assert len(await bench.events(at_least=1)) == 1
    assert sum(done_twice()) == before + 3


async def test_a_passing_fault_goes_back_and_is_done_later(bench: Bench):
    """A bucket that cannot be reached fails that message alone; the next delivery finishes the photo."""
    file = await bench.upload(JPEG)
    right, bench.store.bucket = bench.store.bucket, "shoebox-missing"
    failing = message(file.generation)
    assert await bench.deliver(failing) == [failing.id]
    still = await bench.table.get(file.key)
    assert still is not None
    assert still.state is State.REGISTERED

    bench.store.bucket = right
    assert await bench.deliver(message(file.generation, receive_count=2)) == []
    found = await bench.table.get(file.key)
    assert found is not None
    assert found.state is State.READY


# --- whose bytes they are -------------------------------------------------------------------------------------------


async def test_bytes_without_a_file_are_discarded(bench: Bench):
    """Their registration was deleted, and the old URL lived on: a tombstone, then an order, and the message is done."""
    unknown = Generation(FileKey(bench.owner, bench.owner.file_id("0" * 64)), new_ulid(datetime.now(UTC)))

    assert await bench.deliver(message(unknown)) == []

    assert await bench.discarded() == [unknown]
    assert (await bench.table.page(bench.owner, limit=10)).files == []
    assert await bench.events(at_least=0) == []


async def test_what_a_photo_supersedes_is_ordered_to_be_deleted(bench: Bench):
    """The API's own order may be lost: ingest orders again before the item forgets, whatever becomes of the photo."""
    for data in (JPEG, b"no picture"):
        rejected = await bench.process(data, size=3)
        file = await bench.upload(data)
        assert (await bench.table.states([file.key]))[file.key].supersedes == rejected.generation

        assert await bench.deliver(message(file.generation)) == []

        found = (await bench.table.states([file.key]))[file.key]
        assert (found.generation, found.supersedes) == (file.generation, None)
        assert (await bench.discarded())[-1:] == [rejected.generation]
    assert len(await bench.discarded()) == 2


async def test_a_stale_read_loses_no_photo(bench: Bench):
    """On AWS an eventually consistent read may not know a fresh photo; ingest asks for the truth."""
    await bench.stale.freeze("shoebox-files")
    file = await bench.upload(JPEG)
    assert (await bench.table.get_many([file.key]), bench.stale.served) == ([], 1)

    assert await bench.deliver(message(file.generation)) == []

    found = await bench.table.get(file.key)
    assert found is not None
    assert found.state is State.READY
    assert await bench.discarded() == []


async def test_a_lost_answer_costs_no_event(bench: Bench):
    """READY was written, its answer lost, and the client's own retry fails its condition: the event is published."""
    ready, rejected = await bench.upload(JPEG), await bench.upload(b"no picture")
    bench.faults.lose["UpdateItem"] = 2

    assert await bench.deliver(message(ready.generation), message(rejected.generation)) == []

    assert bench.faults.lost["UpdateItem"] == 2
    events = {event["event"] for event in await bench.events(at_least=2)}
    assert events == {"file.ready", "file.rejected"}
    assert await bench.discarded() == []


async def test_more_keys_than_one_read_takes(bench: Bench):
    """DynamoDB reads 100 items at once; a batch of several messages may tell of more."""
    promises = [Registration(f"{n}.jpg", 5, "image/jpeg", f"{n:064x}") for n in range(140)]
    halves = [(await bench.table.register(bench.owner, half)).files for half in (promises[:70], promises[70:])]
    good = await bench.upload(JPEG)
    many = [message(*(file.generation for file in half)) for half in halves]

    assert await bench.deliver(*many, message(good.generation)) == []

    found = await bench.table.get(good.key)
    assert found is not None
    assert found.state is State.READY


async def received(bench: Bench, queue_url: str, message_id: str) -> dict[str, Any]:
    """Return the message with this id, received from a queue where others lie, too."""
    async with asyncio.timeout(60):
        while True:
            answer = await bench.sqs.receive_message(
                QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1, AttributeNames=["All"]
            )
            for found in answer.get("Messages", []):
                if found["MessageId"] == message_id:
                    return dict(found)


async def first_delivery(bench: Bench, provisioned: ResolvedStack, body: str) -> Message:
    """Return a message that the queue of uploads gives for the first time, as Lambda would hand it over."""
    queue_url = provisioned.queue_url("uploads")
    sent = await bench.sqs.send_message(QueueUrl=queue_url, MessageBody=body)
    first = await received(bench, queue_url, sent["MessageId"])
    return Message.of_record(
        {
            "messageId": first["MessageId"],
            "body": first["Body"],
            "receiptHandle": first["ReceiptHandle"],
            "eventSourceARN": provisioned.arn_of("queue", "uploads"),
            "attributes": first["Attributes"],
        }
    )


async def received_again(bench: Bench, provisioned: ResolvedStack, message_id: str) -> str:
    """How often the message was received, when it is; then it is deleted."""
    queue_url = provisioned.queue_url("uploads")
    again = await received(bench, queue_url, message_id)
    await bench.sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=again["ReceiptHandle"])
    return str(again["Attributes"]["ApproximateReceiveCount"])


async def test_what_the_deadline_leaves_is_received_again_at_once(bench: Bench, provisioned: ResolvedStack):
    """With its own role ingest gives the message back; it does not wait for minutes of visibility timeout."""
    file = await bench.upload(JPEG)
    late = await first_delivery(bench, provisioned, message(file.generation).body)
    before = given_back()

    run = partial(bench.ingest.run, [late], TimeBudget.of_remaining(0), at_once=4)
    result = await Heartbeat(bench.visibility, 20, "ingest").run([late], run, seconds_left=60)

    assert result.returned == (late.id,)
    assert given_back() == before + 1
    assert await received_again(bench, provisioned, late.id) == "2"


async def test_a_dead_worker_keeps_its_messages_no_longer_than_its_heartbeat(bench: Bench, provisioned: ResolvedStack):
    """Ingest's own role may hide its messages for less: one whose worker stops comes back after a second, not 360."""
    lost = await first_delivery(bench, provisioned, "{}")
    beating = asyncio.Event()

    async def work() -> BatchResult:
        beating.set()
        await asyncio.Event().wait()
        raise AssertionError

    worker = asyncio.create_task(Heartbeat(bench.visibility, 1, "ingest").run([lost], work, seconds_left=60))
    await beating.wait()
    worker.cancel()

    with pytest.raises(asyncio.CancelledError):
        await worker
    assert await received_again(bench, provisioned, lost.id) == "2"


def given_back() -> float:
    """Messages that ingest gave back so far."""
    return REGISTRY.get_sample_value("shoebox_messages_given_back_total", {"function": "ingest"}) or 0.0


# --- as S3 invokes it, in the naive stack of the load tests ---------------------------------------------------------


def s3_event(generation: Generation) -> dict[str, Any]:
    """Return what S3 invokes a function with."""
    event: dict[str, Any] = json.loads(message(generation).body)
    return event


async def test_one_event_is_one_photo(bench: Bench):
    """The naive handler takes it to READY; a second try changes nothing, and publishes the same event again."""
    file = await bench.upload(JPEG)
    for _ in range(2):
        await naive.take(partial(bench.ingest.run, at_once=4), s3_event(file.generation), Context())

    found = await bench.table.get(file.key)
    assert found is not None
    assert found.state is State.READY
    assert len({event["event_id"] for event in await bench.events(at_least=2)}) == 1
