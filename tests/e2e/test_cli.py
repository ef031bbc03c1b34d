"""The command line with the real stack: `shoebox up` as a process, and every other command against it.

One stack serves most tests; those that stop, kill or restart one have their own.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from shoebox_client.renditions import RENDITIONS
from shoebox_client.samples import jpeg_of_size
from tests.command import Ended, end, shoebox, shoebox_process, start

START_SECONDS = 90


@dataclass
class Up:
    """A running `shoebox up`."""

    folder: Path
    process: asyncio.subprocess.Process
    addresses: dict[str, Any]
    children: list[psutil.Process] = field(default_factory=list)

    async def run(self, *arguments: str | Path) -> Ended:
        """Run another command in the same folder: it finds the stack by itself."""
        return await shoebox(*arguments, folder=self.folder)

    def family(self) -> list[psutil.Process]:
        """Return the process and everything it started."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    async def stop(self, number: signal.Signals = signal.SIGINT) -> Ended:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return await end(self.process)


@asynccontextmanager
async def up(folder: Path, *arguments: str) -> AsyncIterator[Up]:
    """`shoebox up --free-ports --json`, from its addresses to its end."""
    process = await start("up", "--free-ports", "--json", *arguments, folder=folder)
    try:
        assert process.stdout is not None
        text = await asyncio.wait_for(process.stdout.readuntil(b"\n}\n"), START_SECONDS)
        yield Up(folder, process, json.loads(text))
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await end(process)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Up]:
    """Provide a stack of this test's own."""
    async with up(tmp_path) as started:
        yield started


def photo(folder: Path, name: str, seed: int = 1, size: int = 40_000) -> Path:
    """Return a photo made from a formula."""
    path = folder / "photos" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(jpeg_of_size(seed, 640, 480, size))
    return path


async def test_photos_go_in_are_shown_and_deleted(running: Up) -> None:
    """Upload, list, show, delete and doctor work in the folder of a running stack, without any settings."""
    photo(running.folder, "a.jpg", seed=1)
    photo(running.folder, "b.jpg", seed=2)
    (running.folder / "photos" / "text.jpg").write_text("This is no photo.")

    uploaded = await running.run("upload", "photos", "--json")
    again = await running.run("upload", "photos/a.jpg", "photos/b.jpg", "--json")
    listed = await running.run("files", "list", "--state", "ready", "--json")
    file_id = next(f["file_id"] for f in uploaded.document["files"] if f["name"] == "a.jpg")
    shown = await running.run("files", "show", file_id, "--json")
    deleted = await running.run("files", "delete", file_id, "--yes")
    gone = await running.run("files", "show", file_id)
    token = await running.run("token", "mint", "--user", "somebody-else")
    foreign = await running.run("files", "list", "--token", token.stdout.strip(), "--json")
    well = await running.run("doctor", "--port", "0", "--emulator-port", "0", "--json")

    ends = {f["name"]: (f["outcome"], f["code"]) for f in uploaded.document["files"]}
    assert ends == {"a.jpg": ("READY", None), "b.jpg": ("READY", None), "text.jpg": ("REJECTED", "wrong_type")}
    assert (uploaded.code, again.code) == (1, 0)
    assert all(f["already_stored"] for f in again.document["files"])
    assert again.document["summary"]["bytes_sent"] == 0
    assert {f["name"] for f in listed.document["files"]} == {"a.jpg", "b.jpg"}
    assert [r["name"] for r in shown.document["renditions"]] == list(RENDITIONS)
    assert (deleted.code, gone.code) == (0, 1)
    assert foreign.document["files"] == []
    assert (well.code, well.document["ok"]) == (0, True)
    assert f"the gateway at {running.addresses['url']} is well" in [f["found"] for f in well.document["findings"]]


async def test_a_large_photo_goes_in_parts(running: Up) -> None:
    """Above the service's limit a photo is sent in parts and becomes READY like any other."""
    photo(running.folder, "large.jpg", size=18_000_000)

    uploaded = await running.run("upload", "photos", "--json")

    assert (uploaded.code, uploaded.document["files"][0]["outcome"]) == (0, "READY")
    assert uploaded.document["summary"]["bytes_sent"] == uploaded.document["files"][0]["size"] > 16 * 1024**2


async def test_ctrl_c_ends_every_process_and_a_restart_keeps_the_photos(tmp_path: Path) -> None:
    """SIGINT leaves no child behind; the next `up` in the folder has the photos, and `--fresh` has none."""
    async with up(tmp_path) as first:
        photo(tmp_path, "a.jpg")
        assert (await first.run("upload", "photos", "--quiet")).code == 0
        family = first.family()
        stopped = await first.stop()
    async with up(tmp_path) as second:
        kept = await second.run("files", "list", "--json")
    async with up(tmp_path, "--fresh") as third:
        emptied = await third.run("files", "list", "--json")

    assert len(family) >= 4  # the command, the emulator, and the functions that were needed
    assert (stopped.code, "kept" in stopped.stderr) == (0, True)
    assert [process for process in family if process.is_running()] == []
    assert [(f["name"], f["state"]) for f in kept.document["files"]] == [("a.jpg", "READY")]
    assert emptied.document["files"] == []
    assert not (tmp_path / ".shoebox" / "running.json").exists()


async def test_in_memory_nothing_is_kept_and_a_stack_of_the_folder_is_not_disturbed(running: Up) -> None:
    """`--memory` runs beside the folder's own stack, takes photos, and leaves no data and no note behind."""
    note = (running.folder / ".shoebox" / "running.json").read_text()
    async with up(running.folder, "--memory") as other:
        uploaded = await other.run("upload", photo(running.folder, "a.jpg"), "--url", other.addresses["url"], "--json")
        assert (running.folder / ".shoebox" / "running.json").read_text() == note
    listed = await running.run("files", "list", "--json")

    assert uploaded.document["summary"]["ready"] == 1
    assert listed.document["files"] == []
    assert not (running.folder / other.addresses["data"]).exists()  # an absolute path stays one


async def test_a_stack_in_memory_is_found_by_its_folder(tmp_path: Path) -> None:
    """`upload --data D` finds `up --memory --data D`, and no more when it has ended."""
    async with up(tmp_path, "--memory", "--data", "elsewhere") as started:
        uploaded = await started.run("upload", photo(tmp_path, "a.jpg"), "--data", "elsewhere", "--json")
    gone = await shoebox("quotas", "--data", "elsewhere", folder=tmp_path)

    assert (uploaded.code, uploaded.document["summary"]["ready"]) == (0, 1)
    assert (gone.code, "No stack runs here." in gone.stderr) == (3, True)


async def test_sigterm_ends_every_process(running: Up) -> None:
    """A supervisor's SIGTERM does as Ctrl-C; stderr told each step of the start, stdout nothing but the JSON."""
    family = running.family()

    stopped = await running.stop(signal.SIGTERM)

    assert (stopped.code, stopped.stdout) == (0, "")
    assert [process for process in family if process.is_running()] == []
    for step in ("AWS emulator", "Provisioned", "4 functions and the gateway"):
        assert step in stopped.stderr


async def test_the_key_is_the_users_own(running: Up) -> None:
    """The demo tenant's private key and the note with its token can be read by their owner only."""
    modes = [os.stat(running.folder / ".shoebox" / name).st_mode & 0o777 for name in ("keys/demo.pem", "running.json")]  # noqa: PTH116

    assert modes == [0o600, 0o600]


async def test_a_dead_emulator_is_one_clear_message(running: Up) -> None:
    """When the emulator dies, everything ends with 5, the reason, and what to do."""
    family = running.family()
    psutil.Process(running.addresses["emulator_pid"]).kill()

    ended = await end(running.process)

    assert ended.code == 5
    assert ended.stderr.count("✗") == 1
    assert "The emulator ended by itself" in ended.stderr
    assert "shoebox up" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [process for process in family if process.is_running()] == []


async def test_a_second_up_in_the_folder_is_refused(running: Up) -> None:
    """The message says who runs there; the first stack is not disturbed."""
    second = await shoebox_process("up", "--free-ports", folder=running.folder)
    still = await running.run("files", "list", "--json")

    assert (second.code, second.stdout) == (5, "")
    assert f"pid {running.process.pid}" in second.stderr
    assert "--data" in second.stderr
    assert still.code == 0


@pytest.mark.parametrize(
    ("option", "purpose"),
    [("--port", "the gateway"), ("--emulator-port", "the emulator"), ("--control-port", "control port")],
)
async def test_a_taken_port_is_one_clear_message(tmp_path: Path, option: str, purpose: str) -> None:
    """A taken port ends with 5, names who has it, and what to do; nothing is left running."""
    ports = {"--port": "0", "--emulator-port": "0", "--control-port": "0"}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports[option] = str(taken.getsockname()[1])
        ended = await shoebox_process("up", *(word for pair in ports.items() for word in pair), folder=tmp_path)

    assert (ended.code, ended.stdout) == (5, "")
    assert f"Port {ports[option]} for " in ended.stderr
    assert purpose in ended.stderr
    assert f"(pid {os.getpid()})" in ended.stderr
    assert "--free-ports" in ended.stderr
    assert ended.stderr.count("✗") == 1


async def test_the_demo_checks_each_outcome(tmp_path: Path) -> None:
    """Each sample ends as it should, two of them rejected on purpose; one that would not is named, and ends with 1."""
    ended = await shoebox_process("demo", "--small", "--json", folder=tmp_path)
    note = tmp_path / ".shoebox" / "samples" / "small.json"
    note.write_text(note.read_text().replace('"truncated"', '"corrupt"'))
    surprised = await shoebox_process("demo", "--small", "--quiet", folder=tmp_path)

    ends = {f["name"]: (f["outcome"], f["code"]) for f in ended.document["files"]}
    assert (ended.code, ended.document["as_expected"]) == (0, True), ended.stderr
    assert ends["truncated.jpg"] == ("REJECTED", "truncated")
    assert ends["text.jpg"] == ("REJECTED", "wrong_type")
    assert sum(end == ("READY", None) for end in ends.values()) == len(ends) - 2
    assert all(f["milliseconds"] is not None for f in ended.document["files"])
    assert not (tmp_path / ".shoebox" / "data").exists()
    assert surprised.code == 1
    assert "truncated.jpg should have ended as REJECTED (corrupt)" in surprised.stderr
