"""/v1/files/{id}/multipart: large files in parts, interrupted and resumed, on the stores in memory."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import Any

import pytest

from shoebox.files.memory import Fault
from shoebox.files.model import FileKey
from tests.api_bench import PART, PICTURE
from tests.unit.api.conftest import MemoryBench

DATA = b"".join(bytes([n]) * 1024 * 1024 for n in range(11))  # 11 MiB: parts of 5, 5 and 1
PARTS = [DATA[:PART], DATA[PART : 2 * PART], DATA[2 * PART :]]


class Upload:
    """An open multipart upload, as a client sees it."""

    def __init__(self, bench: MemoryBench, file_id: str, opened: dict[str, Any]) -> None:
        self.bench = bench
        self.opened = opened
        self.address = f"/v1/files/{file_id}/multipart/{opened['upload_id']}"
        self.key = FileKey(bench.owner, file_id)

    async def links(self, *numbers: int) -> list[dict[str, Any]]:
        """Links for some parts."""
        parts = [{"part": n, "sha256": sha256(PARTS[n - 1]).hexdigest()} for n in numbers]
        response = await self.bench.client().post(f"{self.address}/parts", json={"parts": parts})
        assert response.status_code == 200
        found: list[dict[str, Any]] = response.json()["parts"]
        return found

    async def send(self, *numbers: int) -> None:
        """Send some parts."""
        for link in await self.links(*numbers):
            assert await self.bench.put(link, PARTS[link["part"] - 1], content_type=None) == 200

    async def complete(self) -> Any:
        """Ask for the parts to be joined."""
        return await self.bench.client().post(f"{self.address}/complete")


@pytest.fixture
async def upload(bench: MemoryBench) -> Upload:
    """Return an upload of DATA, just opened."""
    file = await bench.register(DATA)
    response = await bench.client().post(f"/v1/files/{file['file_id']}/multipart")
    assert response.status_code == 201
    return Upload(bench, file["file_id"], response.json())


async def test_a_large_file_goes_up_in_parts(bench: MemoryBench, upload: Upload) -> None:
    """Parts in any order, then one request: S3 has the whole file, and the response shows it."""
    assert set(upload.opened) == {"upload_id", "part_bytes", "parts", "expires_at"}
    assert (upload.opened["part_bytes"], upload.opened["parts"]) == (PART, 3)
    await upload.send(3, 1, 2)

    response = await upload.complete()
    assert (response.status_code, response.json()["state"]) == (202, "REGISTERED")
    assert await bench.stored(upload.key.file_id) == DATA


async def test_an_interrupted_upload_goes_on(bench: MemoryBench, upload: Upload) -> None:
    """After a restart the client finds its upload, sees what has arrived, and sends the rest."""
    await upload.send(2)
    client = bench.client()

    again = await client.post(f"/v1/files/{upload.key.file_id}/multipart")
    assert (again.status_code, again.json()["upload_id"]) == (200, upload.opened["upload_id"])
    progress = (await client.get(upload.address)).json()
    assert (progress["part_bytes"], progress["parts"]) == (PART, 3)
    assert progress["done"] == [{"part": 2, "size": PART, "sha256": sha256(PARTS[1]).hexdigest()}]
    await upload.send(1, 3)
    assert (await upload.complete()).status_code == 202


async def test_an_unfinished_upload_cannot_be_completed(bench: MemoryBench, upload: Upload) -> None:
    """The response names the parts that are missing; nothing is lost, and the rest can follow."""
    await upload.send(2)
    refused = await upload.complete()

    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert "1, 3." in refused.json()["detail"]
    await upload.send(1, 3)
    assert (await upload.complete()).status_code == 202


async def test_completing_again_does_no_harm(bench: MemoryBench, upload: Upload) -> None:
    """A client whose response was lost asks again and gets the same; so do two at one time."""
    await upload.send(1, 2, 3)
    responses = await asyncio.gather(*(upload.complete() for _ in range(3)))
    responses.append(await upload.complete())

    assert {response.status_code for response in responses} == {202}
    assert await bench.stored(upload.key.file_id) == DATA


async def test_a_lost_response_completes_an_upload_all_the_same(bench: MemoryBench, upload: Upload) -> None:
    """S3 has joined the parts and knows no such upload any more; the client asks once more, and the file is there."""
    await upload.send(1, 2, 3)
    bench.pictures.faults.add("complete_multipart", Fault.LOST_RESPONSE)

    responses = [await upload.complete() for _ in range(2)]

    assert [response.status_code for response in responses] == [503, 202]
    assert await bench.stored(upload.key.file_id) == DATA


async def test_a_lost_response_opens_an_upload_all_the_same(bench: MemoryBench) -> None:
    """The table has noted the upload, and the client, who asks once more, finds it open."""
    file = await bench.register(DATA)
    bench.files.faults.add("open_multipart", Fault.LOST_RESPONSE)

    responses = [await bench.client().post(f"/v1/files/{file['file_id']}/multipart") for _ in range(2)]

    assert [response.status_code for response in responses] == [503, 200]
    await Upload(bench, file["file_id"], responses[1].json()).send(1)


async def test_many_opening_at_once_share_one_upload(bench: MemoryBench) -> None:
    """A race of ten leaves one upload; the losers' are given up."""
    file = await bench.register(b"x" * 100)
    address = f"/v1/files/{file['file_id']}/multipart"
    responses = await asyncio.gather(*(bench.client().post(address) for _ in range(10)))

    assert sorted(response.status_code for response in responses) == [200] * 9 + [201]
    assert len({response.json()["upload_id"] for response in responses}) == 1


async def test_an_aborted_upload_is_gone_and_its_file_still_waits(bench: MemoryBench, upload: Upload) -> None:
    """204, then 404 for all of it; a new upload can be opened."""
    await upload.send(1)
    client = bench.client()
    assert (await client.delete(upload.address)).status_code == 204

    assert (await client.get(upload.address)).status_code == 404
    assert (await client.delete(upload.address)).status_code == 404
    assert (await upload.complete()).status_code == 404
    generation = await bench.generation(upload.key.file_id)
    assert await bench.pictures.parts(generation, upload.opened["upload_id"]) is None
    anew = await client.post(f"/v1/files/{upload.key.file_id}/multipart")
    assert anew.status_code == 201
    assert anew.json()["upload_id"] != upload.opened["upload_id"]
    assert (await client.get(upload.address)).status_code == 404


async def test_an_upload_that_s3_has_forgotten_is_replaced(bench: MemoryBench, upload: Upload) -> None:
    """S3 gives up old uploads by itself; opening then begins a new one."""
    await bench.pictures.abort_multipart(await bench.generation(upload.key.file_id), upload.opened["upload_id"])
    assert (await bench.client().get(upload.address)).status_code == 404
    anew = await bench.client().post(f"/v1/files/{upload.key.file_id}/multipart")

    assert anew.status_code == 201
    assert anew.json()["upload_id"] != upload.opened["upload_id"]


@pytest.mark.parametrize("dropped_when", ["before the parts are listed", "before they are joined"])
async def test_an_upload_that_s3_has_dropped_cannot_be_completed(
    bench: MemoryBench, upload: Upload, dropped_when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """404, never "stored": a lifecycle rule, or a restart of the emulator, took the parts. A new upload can follow."""
    await upload.send(1, 2, 3)
    pictures, generation = bench.pictures, await bench.generation(upload.key.file_id)
    held = await pictures.parts(generation, upload.opened["upload_id"])
    await pictures.abort_multipart(generation, upload.opened["upload_id"])
    if dropped_when == "before they are joined":

        async def parts(*_: Any) -> Any:
            return held

        monkeypatch.setattr(type(pictures), "parts", parts)
    refused = await upload.complete()
    monkeypatch.undo()

    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    file = await bench.services.files.get(upload.key)
    assert file is not None
    assert file.upload_id is None
    anew = await bench.client().post(f"/v1/files/{upload.key.file_id}/multipart")
    assert anew.status_code == 201
    again = Upload(bench, upload.key.file_id, anew.json())
    await again.send(1, 2, 3)
    assert (await again.complete()).status_code == 202
    assert await bench.stored(upload.key.file_id) == DATA


async def test_another_files_upload_is_not_found(bench: MemoryBench, upload: Upload) -> None:
    """An upload belongs to its file, even among files of one user."""
    other = await bench.register(b"other")
    foreign = upload.address.replace(upload.key.file_id, other["file_id"])
    client, body = bench.client(), {"parts": [{"part": 1, "sha256": "0" * 64}]}

    assert (await client.get(foreign)).status_code == 404
    assert (await client.delete(foreign)).status_code == 404
    assert (await client.post(f"{foreign}/complete")).status_code == 404
    assert (await client.post(f"{foreign}/parts", json=body)).status_code == 404
    assert (await client.get(upload.address)).status_code == 200


@pytest.mark.parametrize("picture", [PICTURE, None])
async def test_a_finished_file_takes_no_parts(bench: MemoryBench, upload: Upload, picture: Any) -> None:
    """What is READY or REJECTED has no upload, and opening one is a conflict."""
    await bench.finish(upload.key.file_id, picture)
    client = bench.client()

    assert (await client.get(upload.address)).status_code == 404
    opened = await client.post(f"/v1/files/{upload.key.file_id}/multipart")
    assert (opened.status_code, opened.json()["code"]) == (409, "conflict")


async def test_a_part_is_bound_to_its_content_and_length(bench: MemoryBench, upload: Upload) -> None:
    """Other bytes, and another number of them, are refused, and do not count as sent."""
    [first] = await upload.links(1)
    assert first["headers"]["content-length"] == str(PART)
    for data in (PARTS[1], PARTS[0][:-1], PARTS[0] + b"!"):
        assert await bench.put(first, data, content_type=None) in {400, 403}
    assert await bench.put({**first, "url": first["url"].replace("partNumber=1", "partNumber=2")}, PARTS[0]) == 403

    assert (await bench.client().get(upload.address)).json()["done"] == []


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [{"part": 0, "sha256": "0" * 64}],
        [{"part": 4, "sha256": "0" * 64}],
        [{"part": 10_001, "sha256": "0" * 64}],
        [{"part": "1", "sha256": "0" * 64}],
        [{"part": 1, "sha256": "0" * 63}],
        [{"part": 1, "sha256": "A" * 64}],
        [{"part": 1, "sha256": "0" * 64 + "\n"}],
        [{"part": 1}],
        [{"part": 1, "sha256": "0" * 64, "size": 5}],
        [{"part": 1, "sha256": "0" * 64}] * 101,
        [{"part": 1, "sha256": "0" * 64}, {"part": 9, "sha256": "0" * 64}],
    ],
)
async def test_parts_that_cannot_be_are_refused(bench: MemoryBench, upload: Upload, parts: list[Any]) -> None:
    """Unknown numbers, malformed checksums, unknown keys, none and too many: `validation`."""
    response = await bench.client().post(f"{upload.address}/parts", json={"parts": parts})

    assert (response.status_code, response.json()["code"]) == (422, "validation")
