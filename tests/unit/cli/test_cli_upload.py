"""`shoebox upload`: its streams, exit codes, and Ctrl-C."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from command import end, shoebox, start
from upload_service import Fault, Service

MakePicture = Callable[..., Path]
MakeFolder = Callable[..., Path]


async def test_json_is_one_document_and_nothing_else(service: Service, picture: MakePicture) -> None:
    """stdout parses as JSON also when files are rejected, fail, are doubled or left out; exit code 1 tells of it."""
    service.reject["bad.jpg"] = "truncated"
    service.warn = {name: ["icc_profile_broken"] for name in ("good.jpg", "twin.jpg")}  # whichever is registered first
    folder = picture("bad.jpg").parent
    picture("good.jpg")
    picture("twin.jpg", seed="good.jpg")
    (folder / "notes.txt").write_text("no picture")

    ended = await shoebox("upload", folder, "--json", service=service)

    assert ended.code == 1
    assert {f["name"]: (f["outcome"], f["code"], f["warnings"]) for f in ended.document["files"]} == {
        "bad.jpg": ("REJECTED", "truncated", []),
        "good.jpg": ("READY", None, ["icc_profile_broken"]),
        "twin.jpg": ("READY", None, ["icc_profile_broken"]),
    }
    assert [Path(left["path"]).name for left in ended.document["left_out"]] == ["notes.txt"]
    assert ended.document["summary"]["duplicates"] == 1
    assert ended.document["interrupted"] is False


async def test_people_get_a_table_and_a_summary(service: Service, picture: MakePicture) -> None:
    """The table is data, on stdout; the summary is talk, on stderr."""
    folder = picture("a.jpg").parent

    ended = await shoebox("upload", folder, service=service)

    assert ended.code == 0
    assert "a.jpg" in ended.stdout
    assert "READY" in ended.stdout
    assert "123" in ended.stdout
    assert "1 photo: 1 ready" in ended.stderr


async def test_quiet_says_nothing(service: Service, picture: MakePicture) -> None:
    """--quiet leaves stderr empty when all is well; the data stays."""
    ended = await shoebox("upload", picture("a.jpg"), "--quiet", service=service)

    assert (ended.code, ended.stderr) == (0, "")
    assert "READY" in ended.stdout


async def test_bars_go_to_stderr_and_honour_no_color(service: Service, picture: MakePicture) -> None:
    """Where a terminal is, bars show reading, uploading and processing; NO_COLOR takes the colours away."""
    coloured = await shoebox("upload", picture("a.jpg"), "--json", service=service, env={"FORCE_COLOR": "1"})
    plain = await shoebox(
        "upload", picture("b.jpg"), "--json", service=service, env={"FORCE_COLOR": "1", "NO_COLOR": "1"}
    )

    assert all(bar in coloured.stderr for bar in ("Reading", "Uploading", "Processing"))
    assert "\x1b[36m" in coloured.stderr
    assert "\x1b[36m" not in plain.stderr
    assert coloured.document["summary"]["ready"] == plain.document["summary"]["ready"] == 1


@pytest.mark.usefixtures("no_jitter")
async def test_retries_are_told_and_hidden_by_no_progress(service: Service, picture: MakePicture) -> None:
    """A repeated try is a line on stderr, and stdout stays pure."""
    service.faults = [Fault("put", status=500), Fault("put", status=500)]

    told = await shoebox("upload", picture("a.jpg"), "--json", service=service)
    service.faults = [Fault("put", status=500)]
    hidden = await shoebox("upload", picture("b.jpg"), "--json", "--no-progress", service=service)

    assert "a.jpg: trying again" in told.stderr
    assert "trying again" not in hidden.stderr
    assert told.document["summary"]["ready"] == hidden.document["summary"]["ready"] == 1


async def test_ctrl_c_leaves_everything_resumable_and_says_how(service: Service, folder: MakeFolder) -> None:
    """SIGINT ends with 130, a hint, and a JSON document of what is known; the next run sends the rest only."""
    photos = folder(6)
    service.faults = [Fault("put", times=0)]
    first = await shoebox("upload", photos / "00.jpg", photos / "01.jpg", service=service)
    service.faults = [Fault("put", times=99, hang=True)]

    process = await start("upload", photos, "--json", service=service)
    await service.hung.wait()
    process.send_signal(signal.SIGINT)
    ended = await end(process)
    service.faults, before = [], service.count("put")
    again = await shoebox("upload", photos, "--json", service=service)

    assert first.code == 0
    assert ended.code == 130
    assert "Run the same command again" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.document["interrupted"] is True
    assert {f["outcome"] for f in ended.document["files"]} == {"READY", "UNFINISHED"}
    assert again.code == 0
    assert again.document["summary"]["already_stored"] == 2
    assert service.count("put") - before == 4


async def test_sigterm_ends_as_ctrl_c(service: Service, picture: MakePicture) -> None:
    """A supervisor's SIGTERM ends it cleanly, too."""
    service.faults = [Fault("put", times=99, hang=True)]

    process = await start("upload", picture("a.jpg"), service=service)
    await service.hung.wait()
    process.send_signal(signal.SIGTERM)
    ended = await end(process)

    assert ended.code == 130
    assert "Run the same command again" in ended.stderr


@pytest.mark.usefixtures("no_jitter")
async def test_nobody_at_the_address_is_3(picture: MakePicture, unused_port: int) -> None:
    """A service that is not there ends with 3, and says what to do."""
    env = {"SHOEBOX_URL": f"http://127.0.0.1:{unused_port}", "SHOEBOX_TOKEN": "t"}

    ended = await shoebox("upload", picture("a.jpg"), "--json", env=env)

    assert (ended.code, ended.stdout) == (3, "")
    assert "does not answer" in ended.stderr
    assert "shoebox up" in ended.stderr


async def test_somebody_else_at_the_address_is_3(service: Service, picture: MakePicture) -> None:
    """A web server that is no Shoebox is recognised."""
    service.faults = [Fault("limits", status=200, body="<html>")]

    ended = await shoebox("upload", picture("a.jpg"), service=service)

    assert ended.code == 3
    assert "not Shoebox" in ended.stderr


async def test_a_token_that_does_not_do_is_4(service: Service, picture: MakePicture) -> None:
    """The service's own code is shown."""
    ended = await shoebox("upload", picture("a.jpg"), "--token", "wrong", service=service)

    assert ended.code == 4
    assert "token_missing" in ended.stderr


async def test_no_token_is_4(service: Service, picture: MakePicture, tmp_path: Path) -> None:
    """Without a token or a local key nothing is tried."""
    ended = await shoebox("upload", picture("a.jpg"), folder=tmp_path, env={"SHOEBOX_URL": service.url})

    assert ended.code == 4
    assert "SHOEBOX_TOKEN" in ended.stderr
    assert service.calls == []


async def test_a_path_that_is_not_there_is_2(service: Service, tmp_path: Path) -> None:
    """Wrong usage ends with 2."""
    ended = await shoebox("upload", tmp_path / "missing", service=service)

    assert ended.code == 2
    assert "does not exist" in ended.stderr


async def test_a_dry_run_sends_nothing(service: Service, picture: MakePicture) -> None:
    """--dry-run lists what would go, and needs no service."""
    folder = picture("a.jpg").parent
    (folder / ".hidden.jpg").write_bytes(b"")

    ended = await shoebox("upload", folder, "--dry-run", "--json", service=service)

    assert ended.code == 0
    assert [(Path(f["path"]).name, f["content_type"]) for f in ended.document["files"]] == [("a.jpg", "image/jpeg")]
    assert [left["reason"] for left in ended.document["left_out"]] == ["hidden"]
    assert service.calls == []


async def test_options_may_come_from_the_environment(service: Service, picture: MakePicture) -> None:
    """SHOEBOX_JSON and SHOEBOX_WAIT do as --json and --no-wait."""
    ended = await shoebox("upload", picture("a.jpg"), service=service, env={"SHOEBOX_JSON": "1", "SHOEBOX_WAIT": "0"})

    assert ended.code == 0
    assert ended.document["files"][0]["outcome"] == "UPLOADED"
    assert service.count("poll") == 0


async def test_names_cannot_steer_the_terminal(service: Service, picture: MakePicture) -> None:
    """Escape codes and rich's markup in a file's name are shown, not obeyed."""
    service.reject["[red]x\x1b[2J.jpg"] = "corrupt"

    ended = await shoebox("upload", picture("[red]x\x1b[2J.jpg"), service=service)

    assert "[red]x" in ended.stdout
    assert "\x1b[2J" not in ended.stdout + ended.stderr
