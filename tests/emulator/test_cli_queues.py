"""`shoebox provision` and `shoebox queues` as processes, on an emulator that runs already."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from emulator.embedded import ROOT_CREDENTIALS, Emulator
from shoebox.aws.clients import Clients
from tests.command import Ended, shoebox


@pytest.fixture(scope="module")
def empty() -> Iterator[Emulator]:
    """Provide an embedded emulator for this module: `provision` has one prefix only, and counts what it creates."""
    with asyncio.Runner() as runner:
        started = Emulator()
        runner.run(started.__aenter__())
        yield started
        runner.run(started.stop())


async def test_provision_list_redrive(empty: Emulator, tmp_path: Path):
    """Everything is created once and told; queues are listed with what they hold; dead letters go back to work."""
    at = ("--endpoint-url", empty.url)
    first = await shoebox("provision", *at, "--json", folder=tmp_path)
    again = await shoebox("provision", *at, folder=tmp_path)
    async with Clients(empty.aws, ROOT_CREDENTIALS) as clients:
        sqs, s3 = await clients.open("sqs"), await clients.open("s3")
        dead = (await sqs.get_queue_url(QueueName="shoebox-uploads-dead"))["QueueUrl"]
        for body in ("a", "b"):
            await sqs.send_message(QueueUrl=dead, MessageBody=body)
        published = await (await s3.get_object(Bucket="shoebox-public", Key="keys/demo.json"))["Body"].read()
    listed, shown = await asyncio.gather(
        shoebox("queues", "list", *at, "--json", folder=tmp_path),
        shoebox("queues", "list", folder=tmp_path, env={"AWS_ENDPOINT_URL": empty.url}),
    )
    moved = await shoebox("queues", "redrive", "uploads-dead", *at, folder=tmp_path)
    none = await shoebox("queues", "redrive", "uploads-dead", *at, "--json", folder=tmp_path)
    after = await shoebox("queues", "list", *at, "--json", folder=tmp_path)

    assert (first.code, first.stderr) == (0, "")
    assert {resource["change"] for resource in first.document["resources"]} == {"created"}
    assert "shoebox-uploads" in {resource["name"] for resource in first.document["resources"]}
    assert (again.code, again.stderr) == (0, "")
    assert ": 0 created, 0 updated, 12 unchanged." in again.stdout
    key = tmp_path / ".shoebox" / "keys" / "demo.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(json.loads(published)["keys"]) == 1
    told = counts(listed)["uploads"]  # S3 tells the queue once that it will tell it
    assert counts(listed) == {"uploads": told, "uploads-dead": 2, "deletions": 0, "deletions-dead": 0}
    assert [row.split() for row in shown.stdout.splitlines() if "uploads " in row] == [
        ["shoebox-uploads", str(told), "0", "0", "shoebox-uploads-dead"]
    ]
    assert (moved.code, moved.stdout) == (0, "")
    assert "2 messages of uploads-dead are back at work" in moved.stderr
    assert (none.code, none.document) == (0, {"queue": "uploads-dead", "moved": 0})
    assert counts(after) == {"uploads": told + 2, "uploads-dead": 0, "deletions": 0, "deletions-dead": 0}


def counts(listed: Ended) -> dict[str, int]:
    """Return waiting messages by queue."""
    assert listed.code == 0, listed.stderr
    return {queue["name"].removeprefix("shoebox-"): queue["waiting"] for queue in listed.document["queues"]}


async def test_a_wrong_prefix_is_one_clear_message(empty: Emulator, tmp_path: Path):
    """Its queues are not there: 3, with where to look."""
    ended = await shoebox("queues", "list", "--endpoint-url", empty.url, "--prefix", "nobody", folder=tmp_path)

    assert (ended.code, ended.stdout) == (3, "")
    assert "SQS refuses" in ended.stderr
    assert "--prefix" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_only_a_dead_letter_queue_can_be_redriven(empty: Emulator, tmp_path: Path):
    """Another queue is a mistake in the command: 2, with the names that would do."""
    at = ("--endpoint-url", empty.url)
    await shoebox("provision", *at, "--quiet", folder=tmp_path)
    ended = await shoebox("queues", "redrive", "uploads", *at, folder=tmp_path)

    assert (ended.code, ended.stdout) == (2, "")
    assert "uploads is no dead-letter queue." in ended.stderr
    assert "uploads-dead, deletions-dead" in ended.stderr
