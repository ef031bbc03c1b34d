"""A bucket that notifies a function, with a real S3 and real environments."""

import json
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fleet_bench import FleetOf, function, stack_of, until

from emulator.embedded import Emulator
from emulator.provision import RoleSource, provision
from shoebox.aws.clients import Clients
from shoebox.stack.deployment import ResolvedStack

OBJECTS = 40


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return what the function wrote down."""
    return tmp_path / "journal"


@pytest.fixture
def stack(emulator: Emulator, journal: Path) -> ResolvedStack:
    """Describe a stack of its own for the test: a bucket whose `photos/` invoke a function that notes each event."""

    functions = {"noter-fn": function("note", environment={"JOURNAL": str(journal)})}
    notification = {"events": ["s3:ObjectCreated:*"], "prefix": "photos/", "function": "noter-fn"}
    made = stack_of(functions, emulator.url, buckets={"album": {"notifications": [notification]}})
    deployment = made.deployment.model_copy(update={"prefix": f"s3-{uuid.uuid4().hex[:8]}"})
    return ResolvedStack(stack=made.stack, deployment=deployment)


def written(journal: Path) -> list[dict[str, Any]]:
    """Return the path of the function's notes."""
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


async def put(s3: Any, stack: ResolvedStack, *keys: str) -> None:
    """Store small objects."""
    for key in keys:
        await s3.put_object(Bucket=stack.name_of("bucket", "album"), Key=key, Body=b"x")


async def test_each_object_is_an_invocation(
    fleet_of: FleetOf, stack: ResolvedStack, root_clients: Clients, journal: Path
):
    """S3's own event with one record, once for each object of the prefix, and none for the test event."""
    await provision(stack, root_clients)
    keys = [f"photos/{n} ü.jpg" for n in range(OBJECTS)]
    async with fleet_of(stack, RoleSource(stack, root_clients)) as running:
        await put(await root_clients.open("s3"), stack, "other/1.jpg", *keys)
        await until(lambda: len(written(journal)) >= OBJECTS)
        await until(lambda: not any(of.pending for of in running.fleet.statistics().events))
        await until(lambda: running.fleet.statistics().mappings[0].deleted == OBJECTS + 1)  # and S3's test event
        [events], [delivery] = running.fleet.statistics().events, running.fleet.statistics().mappings

    notes = written(journal)
    assert Counter(len(note["event"]["Records"]) for note in notes) == {1: OBJECTS}
    names = Counter(note["event"]["Records"][0]["s3"]["object"]["key"] for note in notes)
    assert names == Counter(key.replace(" ", "+").replace("ü", "%C3%BC") for key in keys)
    assert {note["event"]["Records"][0]["eventSource"] for note in notes} == {"aws:s3"}
    assert len({note["request_id"] for note in notes}) == OBJECTS
    assert (events.function, events.succeeded, events.given_up) == ("noter-fn", OBJECTS, 0)
    assert (delivery.function, delivery.kept) == ("s3-to-noter-fn", 0)


async def test_what_came_while_no_fleet_ran_is_delivered_at_its_start(
    fleet_of: FleetOf, stack: ResolvedStack, root_clients: Clients, journal: Path
):
    """S3 keeps at it for hours; here the queue waits."""
    await provision(stack, root_clients)
    await put(await root_clients.open("s3"), stack, "photos/1.jpg")
    async with fleet_of(stack, RoleSource(stack, root_clients)):
        await until(lambda: written(journal))
    [note] = written(journal)
    assert note["event"]["Records"][0]["s3"]["object"]["key"] == "photos/1.jpg"
