"""A file's identity and keys."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoebox.files.items import to_file
from shoebox.files.model import FILE_ID, File, FileKey, Generation, Owner, Registration, State, checksum_header

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ULID = "01KB6ZJX3M0123456789ABCDEF"
SHA = hashlib.sha256(b"photo").hexdigest()


def test_the_same_bytes_of_the_same_owner_are_the_same_file() -> None:
    """Ids come from owner and content: equal for a retry, different for anybody else."""
    ids = {Owner(tenant, user).file_id(SHA) for tenant, user in [("demo", "a"), ("demo", "b"), ("other", "a")]}

    assert len(ids) == 3
    assert Owner("demo", "a").file_id(SHA) in ids
    assert all(FILE_ID.match(file_id) for file_id in ids)


def test_owner_and_user_cannot_be_confused() -> None:
    """Where the tenant ends is part of the id, so ab+c and a+bc are different owners."""
    assert Owner("ab", "c").file_id(SHA) != Owner("a", "bc").file_id(SHA)


@given(st.from_regex(r"\A[0-9a-f]{64}\Z"))
def test_an_original_key_leads_back_to_its_file(sha256: str) -> None:
    """What S3 tells in an event names exactly one file."""
    owner = Owner("demo", "anna_1")
    key = FileKey(owner, owner.file_id(sha256))
    generation = Generation(key, ULID)

    assert generation.original == f"originals/0/demo/anna_1/{key.file_id}/{ULID}"
    assert Generation.of_original(generation.original) == generation
    assert generation.rendition("1", "320") == f"renditions/demo/anna_1/{key.file_id}/{ULID}/1/320.jpg"
    assert Generation.of_original(generation.rendition("1", "320")) is None


def test_the_first_key_layout_is_a_generation_without_a_name() -> None:
    """Objects from before keys had a generation keep their keys; it sorts before every other generation."""
    key = FileKey(Owner("demo", "anna_1"), Owner("demo", "anna_1").file_id(SHA))
    first = Generation(key, "")

    assert first.original == f"originals/demo/anna_1/{key.file_id}"
    assert Generation.of_original(first.original) == first
    assert first.rendition("1", "320") == f"renditions/demo/anna_1/{key.file_id}/320.jpg"
    assert first.ulid < ULID


@pytest.mark.parametrize(
    "key",
    [
        "originals/demo/anna/{file_id}/" + "0" * 26,
        "originals/0/demo/anna/{file_id}",
        "originals/0/demo/anna/{file_id}/",
        "originals/0/demo/anna/{file_id}/01kb6zjx3m0123456789abcdef",
        "originals/0/demo/anna/{file_id}/" + "8" + "0" * 25,
        "originals/0/demo/anna/{file_id}/" + "0" * 26 + "/x",
        "originals/0/demo/anna/{file_id}/" + "0" * 26 + "\n",
        "originals/A/demo/anna/{file_id}/" + "0" * 26,
    ],
)
def test_what_is_no_key_of_ours_belongs_to_nobody(key: str) -> None:
    """Lane and generation come together, and a generation is a ULID."""
    assert Generation.of_original(key.format(file_id=Owner("demo", "anna").file_id(SHA))) is None


def test_an_owner_is_spread_over_shards() -> None:
    """A busy owner's files do not meet in one partition of the index."""
    owner = Owner("demo", "anna")
    used = {FileKey(owner, owner.file_id(f"{n:064x}")).owner_shard for n in range(200)}

    assert used == set(owner.shard_keys())


@pytest.mark.parametrize(
    ("state", "left", "expired"),
    [
        (State.REGISTERED, -1, True),
        (State.REGISTERED, 0, True),
        (State.REGISTERED, 1, False),
        (State.READY, -1, False),
        (State.REGISTERED, None, False),
    ],
)
def test_only_registrations_expire(state: State, left: int | None, expired: bool) -> None:
    """Nothing deletes an item when its time has run out, so reads decide; a READY photo never expires."""
    register_until = None if left is None else int((NOW + timedelta(seconds=left)).timestamp())
    owner = Owner("demo", "a")
    file = File(
        generation=Generation(FileKey(owner, owner.file_id(SHA)), ULID),
        registration=Registration("a.jpg", 5, "image/jpeg", SHA),
        state=state,
        registered_at=NOW,
        register_until=register_until,
    )

    assert file.expired(NOW) is expired


def test_the_checksum_header_is_the_raw_digest_in_base64() -> None:
    """S3 wants base64 of the 32 bytes, not of the hex text."""
    assert checksum_header(hashlib.sha256(b"").hexdigest()) == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def test_a_picture_of_an_older_item_has_no_warnings() -> None:
    """Items that were written before there were warnings are read all the same."""
    texts = {"tenant": "demo", "user": "anna", "file_id": "f", "name": "a.jpg", "media_type": "image/jpeg"}
    texts |= {"sha256": SHA, "state": "READY", "registered_at": NOW.isoformat()}
    texts["picture"] = '{"width":4,"height":3,"placeholder":"h","renditions":[],"metadata":{}}'
    file = to_file({"size": {"N": "1"}} | {name: {"S": text} for name, text in texts.items()})
    assert file.picture is not None
    assert file.picture.warnings == ()
