"""Small parts of the client: retries, channels, fingerprints, answers that make no sense."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from upload_service import TOKEN, Fault, Service

from shoebox_client.api import open_api
from shoebox_client.errors import ClientError, FileError, NotShoebox, Refused, TransientError, Unreachable, UrlExpired
from shoebox_client.hashing import fingerprint, part_digest
from shoebox_client.retry import Retry, RetryPolicy, retry_after
from shoebox_client.stages import Channel, run_all

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
QUICK = RetryPolicy(max_attempts=3, first_pause=0.001, max_pause=0.002, jitter=0.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("99999", 120.0),
        ("Mon, 23 Nov 2026 12:00:09 GMT", 9.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("nan", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    """Both forms of RFC 9110 are understood, bounded, and nonsense is ignored."""
    assert retry_after(value, NOW) == seconds


STEADY = RetryPolicy(jitter=0.0)


@pytest.mark.parametrize(
    ("error", "attempt", "pause"),
    [
        (Unreachable("x"), 1, 0.25),
        (Unreachable("x"), 4, 2.0),
        (Unreachable("x"), 99, 20.0),
        (TransientError("x", retry_after=1.0), 1, 1.0),
        (TransientError("x", retry_after=1.0), 6, 8.0),
        (TransientError("x", retry_after=45.0), 6, 45.0),
        (TransientError("x", retry_after=0.0), 6, 8.0),
        (UrlExpired("x"), 1, 0.0),
        (UrlExpired("x"), 3, 1.0),
        (Refused("x", code="conflict", status=409), 1, None),
        (FileError("x", code="file_changed"), 1, None),
    ],
)
def test_only_passing_faults_are_tried_again(error: ClientError, attempt: int, pause: float | None) -> None:
    """What cannot get better is not repeated; pauses grow, and what the service asks for is their minimum."""
    assert STEADY.pause_after(error, attempt) == pause


def test_jitter_keeps_clients_apart() -> None:
    """Up to a second on top, within the longest pause."""
    pauses = {RetryPolicy().pause_after(Unreachable("x"), 3) for _ in range(50)}

    assert len(pauses) > 1
    assert all(pause is not None and 1.0 <= pause <= 2.0 for pause in pauses)


async def test_an_outage_of_minutes_is_survived_without_many_questions() -> None:
    """503 with Retry-After: 1 for two minutes: the pauses grow all the same, and the listener is told for how long."""
    now, told = 0.0, list[Retry]()

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    async def work(_: ClientError | None) -> float:
        if now < 120:
            raise TransientError("busy", retry_after=1.0)
        return now

    back = await RetryPolicy(sleep=sleep, clock=lambda: now).run(work, told.append)

    assert 120 <= back <= 120 + 20
    assert len(told) <= 14
    assert told[0].since == 0.0
    assert told[-1].since + told[-1].pause == back


async def test_a_service_that_asks_for_long_pauses_is_not_waited_for_without_end() -> None:
    """Retry-After: 120 each time: three such pauses, not nineteen."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def work(_: ClientError | None) -> None:
        raise TransientError("busy", retry_after=120.0)

    with pytest.raises(TransientError) as caught:
        await RetryPolicy(sleep=sleep).run(work)

    assert pauses == [120.0, 120.0, 120.0]
    assert caught.value.exhausted


@pytest.mark.parametrize(
    ("faults", "tries", "end"),
    [
        (
            [UrlExpired("The storage answered 403.")] * 9,
            3,
            "upload_refused: The storage answered 403. New upload URLs did not help.",
        ),
        ([UrlExpired("x"), UrlExpired("x"), Unreachable("y"), UrlExpired("x"), UrlExpired("x")], 6, "done"),
    ],
)
async def test_the_third_expired_url_in_a_row_is_a_refusal(faults: list[ClientError], tries: int, end: str) -> None:
    """A URL that was signed a moment ago has not expired: the storage refuses it for another reason."""
    seen: list[ClientError | None] = []

    async def sleep(_: float) -> None:
        pass

    async def work(fault: ClientError | None) -> str:
        seen.append(fault)
        if len(seen) <= len(faults):
            raise faults[len(seen) - 1]
        return "done"

    async def outcome() -> str:
        try:
            return await RetryPolicy(sleep=sleep).run(work)
        except ClientError as error:
            return f"{error.code}: {error.detail}"

    assert (await outcome(), len(seen)) == (end, tries)


async def test_an_exhausted_fault_is_not_retried_further_out() -> None:
    """Retries do not multiply where one retried call contains another."""
    calls = 0

    async def inner(_: ClientError | None) -> None:
        nonlocal calls
        calls += 1
        raise Unreachable("x")

    with pytest.raises(Unreachable):
        await QUICK.run(lambda _: QUICK.run(inner))

    assert calls == 3


async def test_each_try_learns_of_the_fault_before() -> None:
    """The first try gets None, later ones the last fault."""
    seen: list[str | None] = []

    async def work(fault: ClientError | None) -> str:
        seen.append(fault.code if fault else None)
        if len(seen) < 3:
            raise TransientError("x", code=f"fault-{len(seen)}")
        return "done"

    assert await QUICK.run(work) == "done"
    assert seen == [None, "fault-1", "fault-2"]


async def test_a_channel_ends_for_every_reader() -> None:
    """Each of several readers stops, and each thing is read once."""
    channel: Channel[int] = Channel(2)
    read: list[int] = []

    async def reader() -> None:
        read.extend([thing async for thing in channel])

    async def writer() -> None:
        for n in range(10):
            await channel.put(n)
        await channel.close()

    await asyncio.wait_for(run_all(reader(), reader(), reader(), writer()), 30)

    assert sorted(read) == list(range(10))


async def test_a_batch_is_full_or_waits_no_longer_than_its_linger() -> None:
    """Full batches come at once; a slow writer's few things are not held back; the rest comes at the end."""
    channel: Channel[int] = Channel(10)
    batches: list[list[int]] = []
    third = asyncio.Event()

    async def reader() -> None:
        async for batch in channel.batches(2, linger=0.01):
            batches.append(batch)
            if len(batches) == 2:
                third.set()

    async def writer() -> None:
        for n in range(3):
            await channel.put(n)
        await third.wait()  # the third was given out alone, without an end
        await channel.put(3)
        await channel.close()

    await asyncio.wait_for(run_all(reader(), writer()), 30)

    assert batches == [[0, 1], [2], [3]]


def test_a_fingerprint_notices_a_change(tmp_path: Path) -> None:
    """The digest is SHA-256; another size or time of change tells that the file is another one."""
    path = tmp_path / "a"
    path.write_bytes(b"x" * 3_000_000)

    found = fingerprint(path)
    with path.open("rb") as file:
        before = found.still_holds(file)
    path.write_bytes(b"y" * 3_000_001)
    with path.open("rb") as file:
        after = found.still_holds(file)

    assert found.sha256 == hashlib.sha256(b"x" * 3_000_000).hexdigest()
    assert (before, after) == (True, False)


def test_a_parts_digest_is_that_of_its_bytes(tmp_path: Path) -> None:
    """A part is hashed from its start for its length; beyond the end there is nothing to hash."""
    path = tmp_path / "a"
    path.write_bytes(bytes(range(256)))

    assert part_digest(path, 10, 20) == hashlib.sha256(bytes(range(10, 30))).hexdigest()
    with pytest.raises(FileError):
        part_digest(path, 250, 20)


@pytest.mark.parametrize(("status", "body"), [(200, "<html>"), (200, "[]"), (200, "{}"), (404, "Not here")])
async def test_an_answer_that_makes_no_sense_is_not_shoebox(service: Service, status: int, body: str) -> None:
    """Whatever listens there: what is not the API is recognised, not stumbled over."""
    service.faults = [Fault("register", status=status, body=body)]

    async with open_api(service.url, TOKEN, retry=QUICK) as api:
        with pytest.raises(NotShoebox):
            await api.register([{}])


async def test_an_address_that_is_none_is_not_shoebox() -> None:
    """A URL without a scheme is an error of its own, not a crash."""
    async with open_api("localhost:8080", TOKEN, retry=QUICK) as api:
        with pytest.raises(NotShoebox):
            await api.limits()
