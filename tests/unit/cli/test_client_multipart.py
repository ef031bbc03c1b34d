"""Large files in parts: parts that are stored are never sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from test_client_uploads import upload
from upload_service import Fault, Service

from shoebox_client import events
from shoebox_client.records import Outcome

SIZE = 1_100_000  # five parts, the last one short
MakePicture = Callable[..., Path]


async def test_a_large_file_goes_in_parts(service: Service, picture: MakePicture) -> None:
    """From the service's limit on, a file is sent in parts of the service's size."""
    large, small = picture("large.jpg", SIZE), picture("small.jpg", 900_000)

    report = await upload(service, large, small)

    assert [r.outcome for r in report.records] == [Outcome.READY] * 2
    assert service.by_name("large.jpg").body == large.read_bytes()
    assert (service.count("part"), service.count("put")) == (5, 1)
    assert report.bytes_sent == SIZE + 900_000


@pytest.mark.parametrize(
    "fault", [Fault("part", status=500), Fault("part", drop_after=100_000), Fault("part", status=403)]
)
async def test_only_the_part_that_failed_is_sent_again(service: Service, picture: MakePicture, fault: Fault) -> None:
    """A fault costs one part, with a fresh URL."""
    service.faults = [fault]

    report = await upload(service, picture("large.jpg", SIZE))

    assert report.succeeded
    assert service.count("part") == 6
    assert service.stored_bytes() == report.bytes_sent == SIZE
    assert (service.count("register"), service.count("open_multipart")) == (1, 1)


async def test_an_interrupted_upload_goes_on_with_the_parts_that_are_missing(
    service: Service, picture: MakePicture
) -> None:
    """The next run sends the missing parts only, and shows the others as kept."""
    path = picture("large.jpg", SIZE)
    service.faults = [Fault("sign_parts", times=0), Fault("part", times=0)]

    def hang_after_two(event: events.Event) -> None:
        if isinstance(event, events.BytesSent) and service.count("part") == 2:
            service.faults = [Fault("part", times=99, hang=True)]

    run = asyncio.create_task(upload(service, path, concurrency=1, listener=hang_after_two))
    await service.hung.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    kept = len(service.by_name("large.jpg").parts)
    service.faults, before = [], service.count("part")
    shown: list[events.Event] = []

    report = await upload(service, path, listener=shown.append)

    assert 1 <= kept < 5
    assert report.succeeded
    assert service.count("part") - before == 5 - kept
    assert service.stored_bytes() == SIZE
    assert report.bytes_sent == SIZE - kept * 250_000
    assert sum(event.count for event in shown if isinstance(event, events.BytesSent)) == SIZE


async def test_a_stored_part_with_other_bytes_is_replaced(service: Service, picture: MakePicture) -> None:
    """A part that S3 holds with another checksum is sent again."""
    path = picture("large.jpg", SIZE)
    service.faults = [Fault("complete", status=422, body="{}")]
    await upload(service, path)
    file = service.by_name("large.jpg")
    file.parts[2] = bytes(250_000)

    report = await upload(service, path)

    assert report.succeeded
    assert service.count("part") == 6
    assert file.body == path.read_bytes()


async def test_a_part_that_got_lost_is_sent_when_completing_shows_it(service: Service, picture: MakePicture) -> None:
    """409 on completing leads to another look at what is there."""
    path = picture("large.jpg", SIZE)
    lost: list[bytes] = []

    def lose(event: events.Event) -> None:
        file = next(iter(service.files.values()), None)
        if not lost and file and len(file.parts) == 4:
            lost.append(file.parts.pop(1))

    report = await upload(service, path, listener=lose, concurrency=1)

    assert lost
    assert report.succeeded
    assert service.count("complete") == 2
    assert service.count("part") == 6


async def test_an_upload_that_was_given_up_is_begun_anew(service: Service, picture: MakePicture) -> None:
    """When the service no longer knows the upload, the file is registered again and sent whole."""
    path = picture("large.jpg", SIZE)

    shown: list[events.Event] = []

    def give_up(event: events.Event) -> None:
        shown.append(event)
        file = next(iter(service.files.values()), None)
        if file and len(file.parts) == 4 and service.count("open_multipart") == 1:
            file.upload_id = None
            file.parts.clear()

    report = await upload(service, path, listener=give_up, concurrency=1)

    assert report.succeeded
    assert service.count("open_multipart") == 2
    assert service.by_name("large.jpg").body == path.read_bytes()
    assert sum(event.count for event in shown if isinstance(event, events.BytesSent)) == SIZE


async def test_an_upload_that_is_gone_at_its_end_is_begun_anew(service: Service, picture: MakePicture) -> None:
    """404 on completing: the parts were dropped, and the file is not there. It is registered again."""
    path = picture("large.jpg", SIZE)
    service.faults = [Fault("complete", status=404, body='{"code": "not_found", "detail": "No such upload."}')]

    report = await upload(service, path, concurrency=1)

    assert report.succeeded
    assert (service.count("register"), service.count("open_multipart"), service.count("complete")) == (2, 2, 2)
    assert service.by_name("large.jpg").body == path.read_bytes()
