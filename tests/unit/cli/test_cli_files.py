"""`shoebox files` and `shoebox token`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command import shoebox
from upload_service import Service

from shoebox.tenants.jwks import VerificationKey
from shoebox.tenants.keys import KeyPair
from shoebox.tenants.tokens import read_token, verify_token

MakePicture = Callable[..., Path]
MakeFolder = Callable[..., Path]


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """Save a key pair where the local stack keeps the demo tenant's."""
    pair = KeyPair.generate()
    path = tmp_path / ".shoebox" / "keys" / "demo.pem"
    pair.save(path.parent).rename(path)
    return path


async def test_list_pages_through_all(service: Service, folder: MakeFolder) -> None:
    """--all follows the cursor to the end; a limit says that there is more."""
    photos = folder(130, 60)
    await shoebox("upload", photos, "--no-wait", service=service)

    everything = await shoebox("files", "list", "--all", "--json", service=service)
    some = await shoebox("files", "list", "--limit", "120", "--json", service=service)
    table = await shoebox("files", "list", "--limit", "2", service=service)

    assert (len(everything.document["files"]), everything.document["more"]) == (130, False)
    assert (len(some.document["files"]), some.document["more"]) == (120, True)
    assert "there are more" in table.stderr


async def test_list_filters_by_state(service: Service, picture: MakePicture) -> None:
    """--state takes any case, and refuses what is no state."""
    service.reject["bad.jpg"] = "corrupt"
    await shoebox("upload", picture("bad.jpg"), picture("good.jpg"), service=service)

    rejected = await shoebox("files", "list", "--state", "rejected", "--json", service=service)
    wrong = await shoebox("files", "list", "--state", "LOST", service=service)

    assert [f["name"] for f in rejected.document["files"]] == ["bad.jpg"]
    assert wrong.code == 2


async def test_show_and_delete(service: Service, picture: MakePicture) -> None:
    """A file is shown with its warnings, deleted once, and then is not there."""
    service.warn["a.jpg"] = ["icc_profile_broken"]
    uploaded = await shoebox("upload", picture("a.jpg"), service=service)
    (file_id,) = service.files

    shown = await shoebox("files", "show", file_id, service=service)
    as_json = await shoebox("files", "show", file_id, "--json", service=service)
    unasked = await shoebox("files", "delete", file_id, service=service)
    deleted = await shoebox("files", "delete", file_id, "--yes", service=service)
    again = await shoebox("files", "delete", file_id, "--yes", "--json", service=service)
    gone = await shoebox("files", "show", file_id, service=service)

    assert "a.jpg" in shown.stdout
    assert "icc_profile_broken" in shown.stdout
    assert "icc_profile_broken" in uploaded.stdout
    assert as_json.document["file_id"] == file_id
    assert (unasked.code, "--yes" in unasked.stderr) == (2, True)
    assert (deleted.code, deleted.stdout) == (0, f"{file_id}\n")
    assert (again.code, again.document) == (1, {"deleted": [], "not_found": [file_id]})
    assert (gone.code, "There is no file" in gone.stderr) == (1, True)


async def test_mint_prints_just_a_token(key: Path, tmp_path: Path) -> None:
    """stdout is a token that verification accepts, with the claims that were asked for."""
    ended = await shoebox("token", "mint", "--user", "anna", "--scope", "files:read", "--ttl", "30m", folder=tmp_path)

    assert (ended.code, ended.stderr, ended.stdout.count("\n")) == (0, "", 1)
    pair, token = KeyPair.load(key), read_token(ended.stdout.strip())
    found = verify_token(token, _verification_key(pair), now=time.time())
    assert (found.tenant, found.user, found.scopes) == ("demo", "anna", ("files:read",))
    assert 1700 < found.expires_at - time.time() <= 1800


async def test_mint_refuses_what_would_be_refused(key: Path, tmp_path: Path) -> None:
    """Wrong times, scopes and users are wrong usage; a missing key or one open to others is the set-up's fault."""
    codes = [
        (await shoebox("token", "mint", *arguments, folder=tmp_path)).code
        for arguments in (["--ttl", "soon"], ["--ttl", "2d"], ["--scope", "all"], ["--user", "a b"])
    ]
    missing = await shoebox("token", "mint", "--tenant", "other", folder=tmp_path)
    os.chmod(key, 0o640)  # noqa: PTH101
    open_to_others = await shoebox("token", "mint", folder=tmp_path)

    assert codes == [2, 2, 2, 2]
    assert (missing.code, "--key" in missing.stderr) == (5, True)
    assert (open_to_others.code, "chmod 600" in open_to_others.stderr) == (5, True)


async def test_a_local_key_stands_in_for_a_token(service: Service, key: Path, tmp_path: Path) -> None:
    """Without a token, one is minted from the local key, and stderr says so; only for this machine."""
    here = await shoebox("files", "list", folder=tmp_path, env={"SHOEBOX_URL": service.url})
    elsewhere = await shoebox("files", "list", folder=tmp_path, env={"SHOEBOX_URL": "http://shoebox.invalid"})

    assert "No token given" in here.stderr
    assert "token_missing" in here.stderr  # the test's service knows one token only
    assert (elsewhere.code, "There is no token" in elsewhere.stderr) == (4, True)
    assert service.count("poll") == 1


def _verification_key(pair: KeyPair) -> VerificationKey:
    from shoebox.tenants.jwks import read_jwks
    from shoebox.tenants.keys import jwks_document

    return read_jwks(jwks_document([pair]))[pair.key_id]
