"""What the embedded emulator keeps: after a stop, after a kill -9 of it or of its parent, on a damaged or full disk."""

import asyncio
import itertools
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from emulator.data_folder import FolderInUse, StillSaving, data_folder
from emulator.embedded import ROOT_CREDENTIALS, Emulator, NoRoomToStart, StateNotSaved, StateUnreadable
from emulator.provision import Change, provision
from shoebox.aws.clients import Clients
from shoebox.config import AwsSettings
from shoebox.stack.deployment import ResolvedStack
from shoebox.stack.model import Stack
from tests.emulator.conftest import bind_to

pytestmark = pytest.mark.only_on("embedded", reason="it is about the embedded emulator's own process")
ROOT_FOLDER = Path(__file__).parents[2]
TABLE = "shoebox-files"
BUCKET = "shoebox-personal"


class Stored:
    """A running emulator with the stack, and what there is in it."""

    def __init__(self, emulator: Emulator, resolved: ResolvedStack, clients: Clients, folder: Path) -> None:
        self.emulator = emulator
        self.resolved = resolved
        self._clients = clients
        self._alive = folder / "state" / "alive"

    async def client(self, service: str) -> Any:
        """Return a client with root's keys."""
        return await self._clients.open(service)

    async def until_saved(self) -> None:
        """Wait until all that was answered is on disk."""
        answered = time.time()
        async with asyncio.timeout(60):
            while self._alive.stat().st_mtime < answered:  # noqa: ASYNC110 - the emulator is another process
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """SIGKILL."""
        assert self.emulator.pid is not None
        os.kill(self.emulator.pid, signal.SIGKILL)
        await self.emulator.died.wait()

    async def put(self, name: str, **more: str) -> None:
        """Write an item."""
        item = {"pk": {"S": name}, **{key: {"S": value} for key, value in more.items()}}
        await (await self.client("dynamodb")).put_item(TableName=TABLE, Item=item)

    async def items(self) -> dict[str, dict[str, Any]]:
        """All items by key."""
        pages = (await self.client("dynamodb")).get_paginator("scan").paginate(TableName=TABLE)
        return {item["pk"]["S"]: item async for page in pages for item in page["Items"]}

    async def bodies(self, queue: str) -> list[str]:
        """Return what is visible in a queue, in its order."""
        sqs, found = await self.client("sqs"), []
        url = self.resolved.queue_url(queue)
        while messages := (await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)).get("Messages"):
            found += [message["Body"] for message in messages]
        return found


@asynccontextmanager
async def stored(folder: Path, stack: Stack, **settings: Any) -> AsyncIterator[Stored]:
    """Provide an emulator on `folder` with the stack in it."""
    async with Emulator(folder, **settings) as emulator, Clients(emulator.aws, ROOT_CREDENTIALS) as clients:
        resolved = bind_to(emulator, stack)
        await provision(resolved, clients)
        yield Stored(emulator, resolved, clients, folder)


async def test_a_kill_loses_nothing_that_was_saved(tmp_path: Path, stack: Stack):
    """Items as they were last, without those that were deleted; messages with their order and their receives."""
    async with stored(tmp_path, stack) as at:
        for number in range(20):
            await at.put(f"p{number}", state="NEW")
        dynamodb, sqs = await at.client("dynamodb"), await at.client("sqs")
        await dynamodb.delete_item(TableName=TABLE, Key={"pk": {"S": "p0"}})
        await at.put("p1", state="CHANGED")
        url = at.resolved.queue_url("deletions")
        for number in range(5):
            await sqs.send_message(QueueUrl=url, MessageBody=str(number))
        (first,) = (await sqs.receive_message(QueueUrl=url))["Messages"]
        await sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
        (second,) = (await sqs.receive_message(QueueUrl=url, AttributeNames=["All"]))["Messages"]
        await at.until_saved()
        before = await at.items()
        await at.kill()
    async with stored(tmp_path, stack) as at:
        assert at.emulator.recovery.cut_off
        assert await at.items() == before
        assert (len(before), before["p1"]["state"]["S"]) == (19, "CHANGED")
        sqs, url = await at.client("sqs"), at.resolved.queue_url("deletions")
        assert await at.bodies("deletions") == ["2", "3", "4"]
        await sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=0)
        (again,) = (await sqs.receive_message(QueueUrl=url, AttributeNames=["All"]))["Messages"]
        assert (again["Body"], again["Attributes"]["ApproximateReceiveCount"]) == ("1", "2")


async def test_after_a_kill_there_is_nothing_to_provision(tmp_path: Path, stack: Stack):
    """Queues, tables, buckets' settings and roles are there, too."""
    async with stored(tmp_path, stack) as at:
        await at.until_saved()
        await at.kill()
    async with Emulator(tmp_path) as emulator, Clients(emulator.aws, ROOT_CREDENTIALS) as clients:
        report = await provision(bind_to(emulator, stack), clients)
        assert report.outcomes == report.having(Change.UNCHANGED)


async def test_an_upload_newer_than_the_last_save_is_told_of_again(tmp_path: Path, stack: Stack):
    """Its object is on disk, its message was not: the event is fired again, and the start says how many there were."""
    async with stored(tmp_path, stack) as at:
        s3 = await at.client("s3")
        await s3.put_object(Bucket=BUCKET, Key="originals/saved", Body=b"x")
        await at.until_saved()
        received = [key_of(body) for body in await at.bodies("uploads")]
        await at.until_saved()
        assert at.emulator.pid is not None
        os.kill(at.emulator.pid, signal.SIGSTOP)  # no save from here on
        write_as_the_emulator_does(tmp_path, "originals/late")
        write_as_the_emulator_does(tmp_path, "renditions/late")
        await at.kill()
    async with stored(tmp_path, stack) as at:
        assert received[-1:] == ["originals/saved"]
        assert (at.emulator.recovery.uploads_again, at.emulator.recovery.other_objects) == (1, 1)
        assert [key_of(body) for body in await at.bodies("uploads")] == ["originals/late"]


def key_of(body: str) -> str:
    """Return the object's key in an event; "" in S3's test event."""
    records = json.loads(body).get("Records")
    return str(records[0]["s3"]["object"]["key"]) if records else ""


def write_as_the_emulator_does(folder: Path, key: str) -> None:
    """Write an object and its record to disk, as a PUT leaves them before its response."""
    (former,) = (folder / "s3").rglob("originals/saved")
    path = former.parents[1] / key
    path.parent.mkdir(exist_ok=True)
    record = json.loads(Path(f"{former}.meta.json").read_bytes())
    now = time.strftime("%Y-%m-%dT%H:%M:%S.999Z", time.gmtime())
    path.write_bytes(b"x")
    Path(f"{path}.meta.json").write_text(json.dumps({**record, "key": key, "last_modified": now}))


async def test_a_stop_is_no_loss(tmp_path: Path, stack: Stack):
    """What came in the last moment before SIGTERM is saved; the next start has nothing to tell."""
    async with stored(tmp_path, stack) as at:
        await at.put("last")
    async with stored(tmp_path, stack) as at:
        assert "last" in await at.items()
        assert (at.emulator.recovery.cut_off, at.emulator.recovery.uploads_again) == (False, 0)


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happened_to_items_is_there_after_a_kill(tmp_path: Path, stack: Stack, seed: int):
    """Puts, updates, deletes, batches and transactions in any order: every way to write is noticed."""
    chance = random.Random(seed)
    async with stored(tmp_path, stack) as at:
        dynamodb = await at.client("dynamodb")
        for step in range(150):
            await random_write(dynamodb, chance, step)
            if chance.random() < 0.02:
                await at.until_saved()
        await at.until_saved()
        before = await at.items()
        await at.kill()
    async with stored(tmp_path, stack) as at:
        assert await at.items() == before
        assert before


async def random_write(dynamodb: Any, chance: random.Random, step: int) -> None:
    """One of DynamoDB's ways to change items."""
    names = [f"p{chance.randrange(12)}" for _ in range(2)]
    keys = [{"pk": {"S": name}} for name in dict.fromkeys(names)]
    items = [{**key, "n": {"N": str(step)}, "deep": {"M": {"l": {"L": [{"S": "ü\u2028"}]}}}} for key in keys]
    update = {"UpdateExpression": "SET n = :n ADD tries :n", "ExpressionAttributeValues": {":n": {"N": str(step)}}}
    match chance.randrange(6):
        case 0:
            await dynamodb.put_item(TableName=TABLE, Item=items[0])
        case 1:
            await dynamodb.update_item(TableName=TABLE, Key=keys[0], **update)
        case 2:
            await dynamodb.delete_item(TableName=TABLE, Key=keys[0])
        case 3:
            await dynamodb.batch_write_item(RequestItems={TABLE: [{"PutRequest": {"Item": item}} for item in items]})
        case 4:
            requests = [{"DeleteRequest": {"Key": key}} for key in keys]
            await dynamodb.batch_write_item(RequestItems={TABLE: requests})
        case _:
            await dynamodb.transact_write_items(
                TransactItems=[
                    {"Update": {"TableName": TABLE, "Key": keys[0], **update}},
                    *({"Put": {"TableName": TABLE, "Item": item}} for item in items[1:]),
                ]
            )


async def test_the_files_of_an_earlier_version_are_taken_over(tmp_path: Path, stack: Stack):
    """ministack's own JSON, which that version wrote at a stop, is read once; the state is ours from then on."""
    state = tmp_path / "state"
    async with stored(tmp_path, stack) as at:
        await at.put("old", state="READY")
        await (await at.client("sqs")).send_message(QueueUrl=at.resolved.queue_url("deletions"), MessageBody="old")
    write_former_files = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", FORMER_STOP, str(state)), cwd=ROOT_FOLDER
    )
    assert await write_former_files.wait() == 0
    assert {path.name for path in state.iterdir()} >= {"dynamodb.json", "sqs.json", "s3.json", "iam.json"}
    async with stored(tmp_path, stack) as at:
        assert not at.emulator.recovery.cut_off
        assert (await at.items())["old"]["state"] == {"S": "READY"}
        assert await at.bodies("deletions") == ["old"]
        assert not (state / "dynamodb.json").exists()
        assert json.loads((state / "dynamodb.json.former").read_bytes())
        await at.until_saved()
        await at.kill()
    async with stored(tmp_path, stack) as at:
        assert "old" in await at.items()


# Loads the state of today, and leaves it as ministack itself does when it stops.
FORMER_STOP = """
import asyncio, os, pathlib, sys
state = pathlib.Path(sys.argv[1])
os.environ.update(PERSIST_STATE="1", STATE_DIR=str(state), AUTH="true")
from ministack import app
from ministack.core import persistence
from emulator.server.state import StatePersistence
save_all = app.save_all
async def main():
    persistence = StatePersistence(state)
    persistence.install()
    persistence.load()
    save_all(app._build_persistence_save_dict())
asyncio.run(main())
for path in state.iterdir():
    if path.suffix != ".json" or path.name == "recovery.json":
        path.unlink()
"""


async def test_a_damaged_state_stops_the_start_and_is_not_overwritten(tmp_path: Path, stack: Stack):
    """Better no start than an empty one that is saved over what could be repaired."""
    async with stored(tmp_path, stack) as at:
        await at.put("there")
    database = tmp_path / "state" / "state.db"
    database.write_bytes(damaged := b"SQLite format 3\x00" + b"no database" * 1000)
    with pytest.raises(StateUnreadable, match=r"state\.db cannot be read"):
        async with Emulator(tmp_path):
            pass
    assert database.read_bytes() == damaged


@pytest.mark.parametrize("damaged", [b'{"__ministack_format__": 2, "payload": {"tables": {"tr', b"\xff", b"[1]"])
async def test_a_damaged_file_of_an_earlier_version_stops_the_start(tmp_path: Path, damaged: bytes):
    """It is the only copy of its state; neither it nor the others are taken over or removed."""
    state = tmp_path / "state"
    state.mkdir()
    files = {"dynamodb.json": damaged, "sqs.json": b"{}"}
    for name, content in files.items():
        (state / name).write_bytes(content)
    for _ in range(2):
        with pytest.raises(
            StateUnreadable, match=r"dynamodb\.json, which an earlier version of Shoebox wrote"
        ) as caught:
            async with Emulator(tmp_path):
                pass
        assert "Traceback" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in state.glob("*.json*")} == files


@pytest.mark.parametrize("name", ["recovery.json", "alive"])
async def test_a_file_that_cannot_be_written_stops_the_start_with_its_reason(tmp_path: Path, name: str):
    """One line that names the file, and no traceback."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / name).symlink_to(tmp_path / "nowhere" / name)
    with pytest.raises(StateUnreadable, match=name) as caught:
        async with Emulator(tmp_path):
            pass
    assert "Traceback" not in str(caught.value)


async def test_a_message_that_a_queue_has_replaced_by_a_copy_is_kept(tmp_path: Path):
    """It has the id, and so the row, of the one before."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", COPIED_MESSAGE, str(tmp_path)), stdout=asyncio.subprocess.PIPE, cwd=ROOT_FOLDER
    )
    assert (await child.communicate())[0].split() == [b"1"]


# Saves a message, replaces it by its copy, saves that, and counts the messages that are on disk.
COPIED_MESSAGE = """
import asyncio, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
os.environ.update(PERSIST_STATE="1", STATE_DIR=str(folder))
from ministack.services import sqs
from emulator.server.state import StatePersistence
from emulator.server.state_file import StateFile
async def main():
    persistence = StatePersistence(folder)
    persistence.load()
    url = sqs._act_create_queue({"QueueName": "q"}, "")["QueueUrl"]
    sqs._act_send_message({"QueueUrl": url, "MessageBody": "photo"}, url)
    await persistence.save()
    (queue,) = sqs._queues._data.values()
    queue["messages"] = [dict(queue["messages"][0])]
    persistence.close()
    print(len(list(StateFile(folder / "state.db").rows("message"))))
asyncio.run(main())
"""


# A parent as `shoebox up` is one: the data folder's lock, and an emulator that inherits it.
PARENT = """
import asyncio, pathlib, sys
from emulator.data_folder import data_folder
from emulator.embedded import Emulator
async def main():
    with data_folder(pathlib.Path(sys.argv[1])) as held:
        async with Emulator(held.path / "aws", inherited=(held.lock,)) as emulator:
            print(emulator.port, emulator.pid, flush=True)
            await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_a_killed_parents_folder_is_locked_until_its_emulator_has_saved(tmp_path: Path):
    """A second stack that started at once would load the older state, and write it back over the newer."""
    parent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PARENT, str(tmp_path)), stdout=asyncio.subprocess.PIPE, cwd=ROOT_FOLDER
    )
    assert parent.stdout is not None
    line = (await parent.stdout.readline()).split()
    while not line[0].isdigit():  # log lines come first
        line = (await parent.stdout.readline()).split()
    port, emulator = int(line[0]), int(line[1])
    with pytest.raises(FolderInUse, match=f"pid {parent.pid}"), data_folder(tmp_path):
        pass
    await create_queue(port)
    os.kill(emulator, signal.SIGSTOP)  # it has all the time in the world to save
    parent.kill()
    await parent.wait()
    with pytest.raises(StillSaving, match="its emulator has not ended yet"), data_folder(tmp_path):
        pass
    os.kill(emulator, signal.SIGCONT)
    async with asyncio.timeout(60):
        while not unlocked(tmp_path):  # noqa: ASYNC110 - a lock of another process tells nobody
            await asyncio.sleep(0.05)
    async with Emulator(tmp_path / "aws") as again, Clients(again.aws, ROOT_CREDENTIALS) as clients:
        assert not again.recovery.cut_off, "it was killed by nobody"
        assert len((await (await clients.open("sqs")).list_queues())["QueueUrls"]) == 1


async def create_queue(port: int) -> None:
    """Change something that has to be saved."""
    async with Clients(AwsSettings(endpoint_url=f"http://127.0.0.1:{port}"), ROOT_CREDENTIALS) as clients:
        await (await clients.open("sqs")).create_queue(QueueName="kept")


def unlocked(folder: Path) -> bool:
    """Whether a stack could start on it."""
    try:
        with data_folder(folder):
            return True
    except StillSaving:
        return False


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Path]:
    """Provide a file system of 40 MB; root alone may make one, and tests run as root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    await run("mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(folder))
    yield folder
    await run("umount", "--lazy", str(folder))


async def run(*command: str) -> None:
    """Run a program that must succeed."""
    process = await asyncio.create_subprocess_exec(*command)
    assert await process.wait() == 0, command


async def test_a_disk_that_fills_up_refuses_uploads_while_the_rest_goes_on(small_disk: Path, stack: Stack):
    """507 before it is full; what was answered 200 is on disk; reads, deletes and the finishing of others go on."""
    accepted = []
    async with stored(small_disk / "aws", stack) as at:
        s3 = await at.client("s3")
        while (refusal := await refused(put(s3, f"originals/{len(accepted)}", 1_000_000))) is None:
            accepted.append(f"originals/{len(accepted)}")
        assert refusal["ResponseMetadata"]["HTTPStatusCode"] == 507
        assert refusal["Error"]["Code"] == "InsufficientStorage"
        assert "The disk that keeps this stack's data is full" in refusal["Error"]["Message"]
        await put(s3, "renditions/1", 100_000)
        await at.put("finished")
        await s3.delete_object(Bucket=BUCKET, Key=accepted.pop(0))
        await s3.delete_object(Bucket=BUCKET, Key=accepted.pop(0))
        await put(s3, "originals/again", 1_000_000)
    async with stored(small_disk / "aws", stack) as at:
        s3 = await at.client("s3")
        for key in [*accepted, "originals/again", "renditions/1"]:
            answer = await s3.get_object(Bucket=BUCKET, Key=key)
            assert await answer["Body"].read()
        assert "finished" in await at.items()


async def put(s3: Any, key: str, size: int) -> None:
    """Store an object of zeros."""
    await s3.put_object(Bucket=BUCKET, Key=key, Body=bytes(size))


async def refused(call: Awaitable[Any]) -> Any:
    """AWS's answer to a call that it refuses; None when it does not."""
    try:
        await call
    except ClientError as error:
        return error.response
    return None


async def test_a_full_disk_loses_nothing_that_was_saved_and_says_so(small_disk: Path, stack: Stack):
    """Others filled it: objects and items are refused, reads go on; the stop fails, and keeps the state before."""
    with pytest.raises(StateNotSaved, match="could not save its state"):
        await fill_up(small_disk, stack)
    (small_disk / "filler").unlink()
    async with stored(small_disk / "aws", stack) as at:
        assert at.emulator.recovery.cut_off
        assert (await at.items()).keys() >= {f"kept{number}" for number in range(50)}


async def fill_up(disk: Path, stack: Stack) -> None:
    """Store something, fill the disk, and see what is refused."""
    async with stored(disk / "aws", stack) as at:
        s3 = await at.client("s3")
        for number in range(50):
            await at.put(f"kept{number}", fill="x" * 1000)
        await put(s3, "renditions/old", 3)
        await at.until_saved()
        fill(disk / "filler")
        assert (await refused(put(s3, "renditions/new", 3)))["Error"]["Code"] == "InsufficientStorage"
        names = (f"more{number}" for number in itertools.count())
        async with asyncio.timeout(60):
            while (refusal := await refused(at.put(next(names), fill="x" * 10_000))) is None:
                pass
        assert refusal["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert "full" in refusal["Error"]["Message"]
        assert await (await s3.get_object(Bucket=BUCKET, Key="renditions/old"))["Body"].read() == bytes(3)
        assert "kept0" in await at.items()


def fill(path: Path) -> None:
    """Leave no room on a disk."""
    with path.open("wb", buffering=0) as file:
        for size in (1_000_000, 4096):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass


async def test_a_start_on_a_full_disk_says_that_it_is_full(small_disk: Path, stack: Stack):
    """Nothing is changed, and everything is there when there is room again."""
    async with stored(small_disk / "aws", stack) as at:
        await at.put("kept")
    fill(small_disk / "filler")
    with pytest.raises(NoRoomToStart, match="is full"):
        async with Emulator(small_disk / "aws"):
            pass
    (small_disk / "filler").unlink()
    async with stored(small_disk / "aws", stack) as at:
        assert "kept" in await at.items()


async def test_a_multipart_upload_can_be_completed_after_the_disk_was_full(small_disk: Path, stack: Stack):
    """Its parts are in memory: the completion that failed is tried again, and only then there is an event."""
    async with stored(small_disk / "aws", stack) as at:
        await at.bodies("uploads")
        s3 = await at.client("s3")
        upload = {"Bucket": BUCKET, "Key": "originals/parts"}
        upload["UploadId"] = (await s3.create_multipart_upload(**upload))["UploadId"]
        sent = [await s3.upload_part(**upload, PartNumber=n, Body=bytes(5_000_000)) for n in (1, 2, 3, 4)]
        parts = {"Parts": [{"PartNumber": n, "ETag": each["ETag"]} for n, each in enumerate(sent, 1)]}
        leave(small_disk, 12_000_000)
        refusal = await refused(s3.complete_multipart_upload(**upload, MultipartUpload=parts))
        assert refusal["Error"]["Code"] == "InsufficientStorage"
        assert await at.bodies("uploads") == []
        (small_disk / "filler").unlink()
        await s3.complete_multipart_upload(**upload, MultipartUpload=parts)
        head = await s3.head_object(Bucket=BUCKET, Key="originals/parts")
        assert head["ContentLength"] == 20_000_000
        assert [key_of(body) for body in await at.bodies("uploads")] == ["originals/parts"]


async def test_on_a_full_disk_uploads_wait_and_cost_no_receive(small_disk: Path, stack: Stack):
    """What cannot be finished is not given out; deletion orders, which make room, are."""
    async with stored(small_disk / "aws", stack) as at:
        await at.bodies("uploads")
        await put(await at.client("s3"), "originals/1", 3)
        sqs, uploads = await at.client("sqs"), at.resolved.queue_url("uploads")
        await sqs.send_message(QueueUrl=at.resolved.queue_url("deletions"), MessageBody="order")
        leave(small_disk, 3_000_000)
        for _ in range(6):
            refusal = await refused(sqs.receive_message(QueueUrl=uploads))
            assert refusal["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert await at.bodies("deletions") == ["order"]
        (small_disk / "filler").unlink()
        (message,) = (await sqs.receive_message(QueueUrl=uploads, AttributeNames=["All"]))["Messages"]
        assert message["Attributes"]["ApproximateReceiveCount"] == "1"


def leave(disk: Path, size: int) -> None:
    """Fill a disk until so many bytes are left."""
    found = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(found.f_bavail * found.f_frsize - size))
