"""A worker is killed in the middle of its batch, on the real stack: every photo is READY exactly once."""

import asyncio
import json
import re
import uuid
from collections import Counter
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from fleet.local import Local, LocalSettings
from shoebox.files import Owner, Registration, State
from shoebox.ports.files_table import FilesTable
from shoebox.samples import jpeg_of_size

ROOT = Path(__file__).parents[2]
PHOTOS = 60


def impatient_stack(folder: Path) -> Path:
    """stack.yaml, but messages of a dead worker come back after 12 seconds instead of six minutes."""
    text = (ROOT / "stack.yaml").read_text()
    text = text.replace("uploads: {visibility_timeout: 360,", "uploads: {visibility_timeout: 12,")
    text = re.sub(r"(handler: workers\.ingest\.handler\n    memory: 2048\n    timeout:) 60", r"\1 2", text)
    assert "visibility_timeout: 12," in text
    assert "timeout: 2\n" in text
    path = folder / "stack.yaml"
    path.write_text(text)
    return path


def ingest_processes(local: Local) -> list[psutil.Process]:
    """The execution environments of `ingest` that live."""
    children = psutil.Process().children(recursive=True)
    return [p for p in children if _variable(p, "AWS_LAMBDA_FUNCTION_NAME") == "shoebox-ingest"]


def _variable(process: psutil.Process, name: str) -> str | None:
    try:
        return process.environ().get(name)
    except psutil.Error:
        return None


async def until(look: Any, seconds: float) -> None:
    """Wait until `look` gives something true."""
    async with asyncio.timeout(seconds):
        while not await look():  # noqa: ASYNC110 - the state is in another process
            await asyncio.sleep(0.05)


async def test_sigkill_in_mid_batch_loses_nothing(tmp_path: Path):
    """Sixty photos, and `kill -9` of every ingest process while some are done: all end READY, each with one change."""
    settings = LocalSettings(
        stack_file=impatient_stack(tmp_path),
        task_root=ROOT,
        data_dir=None,
        emulator_port=0,
        gateway_port=0,
        control_port=0,
    )
    owner = Owner("demo", uuid.uuid4().hex)
    photos = [jpeg_of_size(n, 640, 480, 30_000) for n in range(PHOTOS)]
    async with Local.start(settings) as local:
        table = FilesTable(await local.clients.open("dynamodb"), "shoebox-files")
        s3, sqs = await local.clients.open("s3"), await local.clients.open("sqs")
        events = await _subscribe(local)
        promised = [Registration("p.jpg", len(d), "image/jpeg", sha256(d).hexdigest()) for d in photos]
        files = await table.register(owner, promised)

        async def states() -> Counter[State]:
            return Counter(f.state for f in await table.get_many([f.key for f in files]))

        for file, data in zip(files, photos, strict=True):
            await s3.put_object(Bucket="shoebox-personal", Key=file.key.original, Body=data)

        async def some_are_ready() -> bool:
            return (await states())[State.READY] >= 5

        await until(some_are_ready, 60)
        victims = ingest_processes(local)
        for victim in victims:
            victim.kill()
        ready_at_the_kill = (await states())[State.READY]

        async def all_are_ready() -> bool:
            return (await states())[State.READY] == PHOTOS

        await until(all_are_ready, 90)
        assert victims
        assert ready_at_the_kill < PHOTOS, "the kill came too late to prove anything"
        assert {p.pid for p in ingest_processes(local)}.isdisjoint(v.pid for v in victims)
        assert {
            f.picture is not None and len(f.picture.renditions) for f in await table.get_many([f.key for f in files])
        } == {3}
        told: set[str] = set()

        async def everybody_was_told() -> bool:
            answer = await sqs.receive_message(QueueUrl=events, MaxNumberOfMessages=10)
            told.update(json.loads(m["Body"])["event_id"] for m in answer.get("Messages", []))
            return len(told) == PHOTOS

        await until(everybody_was_told, 30)
        dead = await sqs.get_queue_attributes(
            QueueUrl=local.bound.queue_url("uploads-dead"), AttributeNames=["ApproximateNumberOfMessages"]
        )
        assert dead["Attributes"]["ApproximateNumberOfMessages"] == "0"


async def _subscribe(local: Local) -> str:
    """A queue that gets every file event."""
    sqs, sns = await local.clients.open("sqs"), await local.clients.open("sns")
    url: str = (await sqs.create_queue(QueueName="told"))["QueueUrl"]
    arn = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"]))["Attributes"]["QueueArn"]
    allow = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [allow | {"Resource": arn}]}
    await sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    await sns.subscribe(
        TopicArn=local.bound.arn_of("topic", "file-events"),
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"RawMessageDelivery": "true"},
    )
    return url
