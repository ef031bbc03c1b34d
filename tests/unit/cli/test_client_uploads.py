"""The upload engine against a service on a real socket: batches, repeats, faults, interruptions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from upload_service import TOKEN, Fault, Service

from shoebox_client import events
from shoebox_client.api import open_api
from shoebox_client.errors import NotAllowed, TransientError, Unreachable
from shoebox_client.names import is_plain_name
from shoebox_client.records import Outcome, Report
from shoebox_client.retry import RetryPolicy
from shoebox_client.uploads import Uploader, UploadSettings

QUICK = RetryPolicy(max_attempts=4, first_pause=0.01, max_pause=0.02, jitter=0.0)
MakePicture = Callable[..., Path]
MakeFolder = Callable[..., Path]


async def upload(
    service: Service, *paths: Path, listener: events.Listener = events.ignore, token: str = TOKEN, **settings: Any
) -> Report:
    """Run the engine once."""
    async with open_api(service.url, token, retry=QUICK) as api:
        wanted = UploadSettings(**{"retry": QUICK, "linger": 30.0, "poll_pauses": (0.01, 0.05), **settings})
        return await Uploader(api, await api.limits(), wanted, listener).run(paths)


async def test_a_folder_is_stored_and_followed_to_its_end(service: Service, picture: MakePicture) -> None:
    """Every picture of a folder ends READY, in the order of names, with the service's facts."""
    pictures = [picture(name) for name in ("b.jpg", "a.jpg", "deep/c.jpg")]

    report = await upload(service, pictures[0].parent)

    assert [record.name for record in report.records] == ["a.jpg", "b.jpg", "c.jpg"]
    assert {record.outcome for record in report.records} == {Outcome.READY}
    assert [record.milliseconds for record in report.records] == [123] * 3
    assert all(service.by_name(path.name).body == path.read_bytes() for path in pictures)
    assert report.bytes_sent == service.stored_bytes() == 15_000


async def test_registrations_go_in_hundreds(service: Service, folder: MakeFolder) -> None:
    """250 files are three registrations and 250 uploads, at most `concurrency` at once."""
    photos = folder(250, 60)

    report = await upload(service, photos, concurrency=3)

    assert report.count(Outcome.READY) == 250
    assert service.register_sizes == [100, 100, 50]
    assert service.count("put") == 250
    assert service.max_putting <= 3


async def test_a_second_run_sends_nothing(service: Service, folder: MakeFolder) -> None:
    """What is stored already is a success, and costs no bytes."""
    photos = folder(5)
    await upload(service, photos)

    again = await upload(service, photos)

    assert again.succeeded
    assert all(record.already_stored for record in again.records)
    assert again.bytes_sent == 0
    assert service.count("put") == 5


async def test_the_same_content_twice_is_sent_once(service: Service, picture: MakePicture) -> None:
    """Twins within a run share one upload and one fate."""
    first, twin = picture("a.jpg", seed="same"), picture("b.jpg", seed="same")

    report = await upload(service, first.parent)

    assert service.count("put") == 1
    assert sum(service.register_sizes) == 1
    assert [r.outcome for r in report.records] == [Outcome.READY, Outcome.READY]
    assert {r.path: r.duplicate_of.path for r in report.records if r.duplicate_of} in ({twin: first}, {first: twin})


async def test_a_rejected_file_tells_why(service: Service, picture: MakePicture) -> None:
    """The service's reason and words are in the report, and the run did not succeed."""
    service.reject["bad.jpg"] = "truncated"
    folder = picture("bad.jpg").parent
    picture("good.jpg")

    report = await upload(service, folder)

    bad, good = report.records
    assert (bad.outcome, bad.code, bad.detail) == (Outcome.REJECTED, "truncated", "It is damaged.")
    assert good.outcome is Outcome.READY
    assert not report.succeeded


async def test_a_refused_entry_leaves_its_neighbours_alone(service: Service, picture: MakePicture) -> None:
    """A problem of one entry fails that file only."""
    service.problems["bad.jpg"] = {"code": "name_invalid", "detail": "No."}
    folder = picture("bad.jpg").parent
    picture("good.jpg")

    report = await upload(service, folder)

    assert [(r.outcome, r.code) for r in report.records] == [(Outcome.FAILED, "name_invalid"), (Outcome.READY, None)]


async def test_limits_hold_before_any_byte_is_read(service: Service, picture: MakePicture) -> None:
    """Empty and too large files fail with the service's own codes, unregistered."""
    empty = picture("empty.jpg", 4)
    empty.write_bytes(b"")
    large = picture("large.jpg", 4)
    with large.open("r+b") as file:
        file.truncate(service.limits["max_bytes"] + 1)

    report = await upload(service, empty.parent)

    assert [r.code for r in report.records] == ["size_zero", "size_too_large"]
    assert service.count("register") == 0


@pytest.mark.parametrize(
    "fault",
    [
        Fault("put", status=500),
        Fault("put", status=503, body="<Error><Code>SlowDown</Code></Error>"),
        Fault("put", status=400, body="<Error><Code>RequestTimeout</Code></Error>"),
        Fault("put", status=400, body="<Error><Code>BadDigest</Code></Error>"),
        Fault("put", drop_after=0),
        Fault("put", drop_after=300_000),
    ],
    ids=["500", "slow down", "request timeout", "corrupted on the way", "dropped at once", "dropped half-way"],
)
async def test_a_passing_fault_of_the_storage_is_retried(service: Service, picture: MakePicture, fault: Fault) -> None:
    """The file is sent again, with a fresh URL, and counts once."""
    service.faults = [fault]
    retried: list[events.Event] = []
    path = picture("a.jpg", 700_000)

    report = await upload(service, path, listener=retried.append)

    assert report.records[0].outcome is Outcome.READY
    assert service.count("put") == 2
    assert service.count("register") == 2
    assert report.bytes_sent == service.stored_bytes() == 700_000
    assert sum(isinstance(event, events.RetryScheduled) for event in retried) == 1
    assert sum(event.count for event in retried if isinstance(event, events.BytesSent)) == 700_000


async def test_a_url_refused_as_expired_is_asked_for_again(service: Service, picture: MakePicture) -> None:
    """403 from the storage leads to a new registration, at once."""
    service.faults = [Fault("put", status=403, body="<Error><Code>AccessDenied</Code></Error>")]

    report = await upload(service, picture("a.jpg"))

    assert report.succeeded
    assert (service.count("register"), service.count("put")) == (2, 2)


@pytest.mark.parametrize(("kind", "size"), [("put", 5000), ("part", 1_000_000)])
async def test_a_storage_that_refuses_every_url_is_not_asked_for_ever(
    service: Service, picture: MakePicture, kind: str, size: int
) -> None:
    """A missing permission, for instance: three tries, and S3's own words."""
    body = "<Error><Code>AccessDenied</Code><Message>Not &lt;this&gt; role</Message></Error>"
    service.faults = [Fault(kind, 10**6, status=403, body=body)]

    retry = RetryPolicy(first_pause=0.01, jitter=0.0)
    report = await upload(service, picture("a.jpg", size), concurrency=1, retry=retry)

    [record] = report.records
    assert (record.outcome, record.code) == (Outcome.FAILED, "upload_refused")
    assert record.detail == ("The storage answered 403 (AccessDenied): Not <this> role. New upload URLs did not help.")
    assert service.count(kind) == 3


async def test_a_full_storage_says_so_itself(service: Service, picture: MakePicture) -> None:
    """507 is not tried again; the message of S3's error document tells what to do."""
    message = "There is no room on the disk.\nFree some."
    body = f"<Error><Code>InsufficientStorage</Code><Message>{message}</Message></Error>"
    service.faults = [Fault("put", status=507, body=body)]

    report = await upload(service, picture("a.jpg"))

    [record] = report.records
    assert (record.code, service.count("put")) == ("InsufficientStorage", 1)
    assert record.detail == ("The storage answered 507 (InsufficientStorage): There is no room on the disk. Free some.")


async def test_a_url_that_is_about_to_expire_is_not_tried(service: Service, picture: MakePicture) -> None:
    """A URL with a few seconds left is exchanged before any byte is sent."""
    service.url_seconds = 5

    report = await upload(service, picture("a.jpg"))

    assert report.succeeded
    assert (service.count("register"), service.count("put")) == (2, 1)


async def test_retry_after_is_honoured(service: Service, picture: MakePicture) -> None:
    """After a 429 the next try comes no sooner than the service asked for."""
    service.faults = [Fault("register", status=429, headers={"retry-after": "1"})]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    report = await upload(service, picture("a.jpg"), retry=replace(QUICK, sleep=sleep))

    assert report.succeeded
    assert slept == [1.0]


@pytest.mark.parametrize("kind", ["register", "poll"])
async def test_a_passing_fault_of_the_api_is_retried(service: Service, picture: MakePicture, kind: str) -> None:
    """A dropped connection and a 502 do not end the run."""
    service.faults = [Fault(kind, status=502), Fault(kind, drop_after=0)]

    report = await upload(service, picture("a.jpg"))

    assert report.succeeded
    assert service.count("put") == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault("register", 10**6, status=503, headers={"retry-after": "1"}),
        Fault("put", 10**6, status=503, headers={"retry-after": "1"}),
        Fault("poll", 10**6, status=503, headers={"retry-after": "1"}),
        Fault("register", 10**6, drop_after=0),
        Fault("put", 10**6, drop_after=0),
        Fault("poll", 10**6, drop_after=0),
        Fault("part", 10**6, drop_after=0),
        Fault("complete", 10**6, status=502),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status or 'cut'}",
)
async def test_an_outage_of_a_minute_costs_nothing(service: Service, picture: MakePicture, fault: Fault) -> None:
    """Whatever fails for a minute, the photo is READY afterwards, and few questions are asked meanwhile."""
    now, told = 0.0, list[events.Event]()
    service.faults = [replace(fault)]

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        if now >= 60:
            service.faults = []

    policy = RetryPolicy(sleep=sleep, clock=lambda: now)
    size = 1_000_000 if fault.kind in {"part", "complete"} else 5000
    report = await upload(service, picture("a.jpg", size), listener=told.append, retry=policy, concurrency=1)

    assert report.records[0].outcome is Outcome.READY
    assert 60 <= now <= 80
    assert service.count(fault.kind) <= 24  # aiohttp sends a GET again by itself where a kept connection was cut
    assert max(event.since for event in told if isinstance(event, events.RetryScheduled)) > 30


async def test_a_question_that_nobody_answers_ends_nothing(service: Service, picture: MakePicture) -> None:
    """Where even the policy's attempts are used up, a stored file is asked about again."""
    service.faults = [Fault("poll", times=2 * QUICK.max_attempts + 1, status=503)]

    report = await upload(service, picture("a.jpg"))

    assert report.records[0].outcome is Outcome.READY
    assert service.count("poll") == 2 * QUICK.max_attempts + 2


async def test_a_service_that_only_fails_ends_the_run(service: Service, folder: MakeFolder) -> None:
    """After three files in a row that no retry helped, the others stay to be sent by the next run."""
    service.faults = [Fault("put", times=999, status=503)]
    photos = folder(20)

    with pytest.raises(TransientError):
        await upload(service, photos, concurrency=1)

    assert service.count("put") == 3 * QUICK.max_attempts


async def test_a_lasting_fault_fails_the_file_after_the_last_attempt(service: Service, picture: MakePicture) -> None:
    """A file that the storage never takes fails by itself; the policy's attempts are all that is tried."""
    service.faults = [Fault("put", times=99, status=500)]

    report = await upload(service, picture("a.jpg"))

    assert (report.records[0].outcome, report.records[0].code) == (Outcome.FAILED, "unavailable")
    assert service.count("put") == QUICK.max_attempts


async def test_a_refusal_is_final(service: Service, picture: MakePicture) -> None:
    """What the storage refuses for good is tried once."""
    service.faults = [Fault("put", times=99, status=400, body="<Error><Code>EntityTooLarge</Code></Error>")]

    report = await upload(service, picture("a.jpg"))

    assert (report.records[0].outcome, report.records[0].code) == (Outcome.FAILED, "EntityTooLarge")
    assert service.count("put") == 1


async def test_a_standstill_is_noticed(service: Service, picture: MakePicture) -> None:
    """An upload that nobody answers is broken off and sent again."""
    service.faults = [Fault("put", hang=True)]

    report = await upload(service, picture("a.jpg"), stall_timeout=0.2)

    assert report.succeeded
    assert service.count("put") == 2


async def test_a_wrong_token_ends_the_run(service: Service, picture: MakePicture) -> None:
    """401 is not retried, and no byte is sent."""
    with pytest.raises(NotAllowed) as caught:
        await upload(service, picture("a.jpg"), token="wrong")

    assert caught.value.code == "token_missing"
    assert (service.count("register"), service.count("put")) == (1, 0)


async def test_a_storage_that_is_gone_ends_the_run(service: Service, folder: MakeFolder) -> None:
    """After three files in a row that reach nobody, the others are not tried."""
    service.faults = [Fault("put", times=999, drop_after=0)]
    photos = folder(20)

    with pytest.raises(Unreachable):
        await upload(service, photos, concurrency=1)

    assert service.count("put") == 3 * QUICK.max_attempts


async def test_an_interrupted_run_is_continued_by_the_next(service: Service, folder: MakeFolder) -> None:
    """What was stored before the interruption is not sent again; what was not, is."""
    photos = folder(12)
    stored: list[events.Event] = []
    five = asyncio.Event()

    def listen(event: events.Event) -> None:
        stored.extend([event] if isinstance(event, events.FileStored) else [])
        if len(stored) == 5:
            five.set()
            service.faults = [Fault("put", times=99, hang=True)]

    run = asyncio.create_task(upload(service, photos, concurrency=1, listener=listen))
    await five.wait()
    await service.hung.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    for file in service.files.values():
        service._polled(file)
    service.faults, before = [], service.count("put")

    report = await upload(service, photos)

    assert report.succeeded
    assert sum(record.already_stored for record in report.records) == 5
    assert service.count("put") - before == 7


async def test_a_file_that_changes_meanwhile_fails_clearly(service: Service, picture: MakePicture) -> None:
    """Bytes other than those that were hashed are never passed off as them."""
    path = picture("a.jpg")

    sent: list[events.Event] = []

    def rewrite(event: events.Event) -> None:
        sent.extend([event] if isinstance(event, events.BytesSent) and event.count else [])
        if isinstance(event, events.UploadStarted):
            path.write_bytes(path.read_bytes()[::-1] + b"more")

    report = await upload(service, path, listener=rewrite)

    assert (report.records[0].outcome, report.records[0].code) == (Outcome.FAILED, "file_changed")
    assert "changed while it was being uploaded" in (report.records[0].detail or "")
    assert sent == []


async def test_a_file_cut_short_while_it_is_sent_fails_clearly(service: Service, picture: MakePicture) -> None:
    """A file that shrinks under the upload is told apart from a broken connection."""
    path = picture("a.jpg", 900_000)

    def cut(event: events.Event) -> None:
        if isinstance(event, events.BytesSent) and event.count > 0:
            os.truncate(path, 1000)

    report = await upload(service, path, listener=cut)

    assert (report.records[0].outcome, report.records[0].code) == (Outcome.FAILED, "file_changed")
    assert service.count("put") == 1


async def test_an_unreadable_file_fails_alone(service: Service, picture: MakePicture) -> None:
    """A link into nowhere is reported, and its neighbours are stored."""
    folder = picture("good.jpg").parent
    (folder / "broken.jpg").symlink_to(folder / "missing.jpg")

    report = await upload(service, folder)

    assert [(r.name, r.outcome, r.code) for r in report.records] == [
        ("broken.jpg", Outcome.FAILED, "unreadable"),
        ("good.jpg", Outcome.READY, None),
    ]


async def test_without_waiting_a_stored_file_is_enough(service: Service, picture: MakePicture) -> None:
    """`wait=False` asks for nothing after the upload."""
    report = await upload(service, picture("a.jpg"), wait=False)

    assert report.records[0].outcome is Outcome.UPLOADED
    assert report.succeeded
    assert service.count("poll") == 0


async def test_waiting_for_the_processing_ends(service: Service, picture: MakePicture) -> None:
    """A file that is never processed is reported as unfinished, not waited for for ever."""
    service.polls_until_ready = 10**6

    report = await upload(service, picture("a.jpg"), processing_timeout=0.3)

    assert (report.records[0].outcome, report.records[0].code) == (Outcome.UNFINISHED, "not_processed")
    assert report.records[0].stored
    assert not report.succeeded


@pytest.mark.parametrize(("told", "timeout"), [(0.3, None), (720, 0.3)])
async def test_the_service_says_how_long_to_wait(
    service: Service, picture: MakePicture, told: float, timeout: float | None
) -> None:
    """Without a time-out of its own a run ends after the service's `wait_seconds` without news."""
    service.polls_until_ready = 10**6
    service.limits = {**service.limits, "wait_seconds": told}

    report = await upload(service, picture("a.jpg"), processing_timeout=timeout)

    assert report.records[0].code == "not_processed"


async def test_a_file_deleted_while_waiting_is_reported(service: Service, picture: MakePicture) -> None:
    """A file that the service no longer knows fails after a few looks."""

    def forget(event: events.Event) -> None:
        if isinstance(event, events.FileStored):
            service.files.clear()

    report = await upload(service, picture("a.jpg"), listener=forget)

    assert (report.records[0].outcome, report.records[0].code) == (Outcome.FAILED, "gone")


@pytest.mark.parametrize("name", ["back\\slash.jpg", "line\nbreak.jpg", "photo\u202egpj.exe.jpg", "\ufeffa.jpg"])
async def test_no_photo_fails_for_its_name(service: Service, picture: MakePicture, name: str) -> None:
    """What the service would refuse in a name is cleaned before it is sent."""
    report = await upload(service, picture(name))

    assert report.succeeded
    assert is_plain_name(next(iter(service.files.values())).registration["name"])


async def test_a_name_that_is_no_utf8_is_sent_readably(service: Service, picture: MakePicture) -> None:
    """Bytes of a name that are no UTF-8 become replacement characters, in the report's JSON too."""
    path = picture("a.jpg")
    odd = path.rename(os.fsdecode(os.fsencode(path.parent) + b"/caf\xe9.jpg"))

    report = await upload(service, odd)

    assert next(iter(service.files.values())).registration["name"] == "caf\N{REPLACEMENT CHARACTER}.jpg"
    assert report.records[0].document()["path"].endswith("caf\N{REPLACEMENT CHARACTER}.jpg")
