"""Small parts of the command line: tally, error line, folder, doctor's checks, times, and how quickly it starts."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from console.errorline import ErrorLine
from console.exits import CliError, Exit
from console.messages import user_facing_errors
from console.options import count, seconds
from console.output import Output, safe, size_text
from emulator.embedded import EmulatorError, EmulatorFailed, NoRoomToStart, StateNotSaved, StateUnreadable
from shoebox.stack.model import stack_file
from shoebox_cli import doctor
from shoebox_cli.doctor import Level
from shoebox_cli.progress import RetryLines, Tally, lines
from shoebox_cli.target import DataFolder, find_target
from shoebox_client import events
from shoebox_client.records import Outcome, Record
from tests.command import shoebox


class Talk(Output):
    """An output whose talk can be awaited."""

    def __init__(self) -> None:
        super().__init__()
        self.said: asyncio.Queue[str] = asyncio.Queue()

    def say(self, text: str) -> None:
        """Keep it."""
        self.said.put_nowait(text)


def record(name: str, size: int) -> Record:
    """Return a record of a file."""
    return Record(Path(name), size, "image/jpeg")


def test_a_tally_counts_only_bytes_that_have_to_go_out() -> None:
    """What is stored already, a twin or failed is taken off the total; a try taken back leaves nothing."""
    tally, sent, stored, failed = Tally(), record("a", 100), record("b", 50), record("c", 30)
    stored.already_stored, stored.outcome = True, Outcome.READY
    failed.outcome = Outcome.FAILED

    happened: list[events.Event] = [
        *map(events.FileFound, (sent, stored, failed)),
        events.WalkFinished(),
        events.FileFinished(stored),
        events.BytesSent(failed, 30),
        events.BytesSent(failed, -30),
        events.FileFinished(failed),
        events.BytesSent(sent, 100),
        events.FileStored(sent),
    ]
    for event in happened:
        tally(event)
    waiting = tally.processing
    sent.outcome = Outcome.READY
    tally(events.FileFinished(sent))

    assert (tally.bytes_sent, tally.bytes_total) == (100, 100)
    assert (waiting, tally.processing, tally.finished, tally.found) == (1, 0, 3, 3)


async def test_new_errors_are_shown_once_and_counted() -> None:
    """The same error many times is one line; other lines of the log are not shown."""
    talk = Talk()
    errors = ErrorLine(talk)
    for _ in range(3):
        errors.line("ingest", b'{"level": "ERROR", "message": "it [red]broke"}')
    errors.line("api", b'{"level": "error", "event": "slow"}')
    errors.line("api", b'{"level": "info", "event": "request"}')
    errors.line("own", b'{"level": "CRITICAL", "message": "cannot start", "errorMessage": "No module named x"}')
    errors.line("api", b"level, but no JSON")

    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await errors.show("logs", sleep)

    assert [talk.said.get_nowait() for _ in range(talk.said.qsize())] == [
        "[red]✗[/red] ingest: it \\[red]broke (3 times) [dim]logs[/dim]",
        "[red]✗[/red] api: slow [dim]logs[/dim]",
        "[red]✗[/red] own: cannot start: No module named x [dim]logs[/dim]",
    ]


def test_a_folder_knows_whether_a_stack_runs_in_it(tmp_path: Path) -> None:
    """A note without a lock is one that somebody left who was killed; it is not believed."""
    folder = DataFolder(tmp_path)
    (tmp_path / "running.json").write_text('{"url": "http://127.0.0.1:1", "and": "more than the next note has"}')
    left_behind = folder.running()
    with folder.announced({"url": "http://127.0.0.1:2"}) as first:
        running = folder.running()
        with folder.announced({"url": "http://127.0.0.1:3"}) as second:
            beside = folder.running()
        after = folder.running()

    assert (left_behind, running, beside, after) == (None, *[{"url": "http://127.0.0.1:2"}] * 3)
    assert (first, second) == (True, False)
    assert list(tmp_path.glob("running*")) == []


@pytest.mark.parametrize(
    ("simd", "plain", "avx2", "level"),
    [
        ("12.1", None, True, Level.OK),
        ("12.1", None, False, Level.PROBLEM),
        (None, "12.1", True, Level.WARNING),
        (None, "12.1", False, Level.OK),
        ("12.1", "12.1", True, Level.PROBLEM),
        (None, None, True, Level.PROBLEM),
    ],
)
def test_the_doctor_judges_pillow(simd: str | None, plain: str | None, avx2: bool, level: Level) -> None:
    """One of the two, and the one that the processor can use."""
    finding = doctor._pillow(simd, plain, avx2)

    assert finding.level is level
    assert bool(finding.advice) is (level is not Level.OK)


def test_the_doctor_names_who_holds_a_port(tmp_path: Path) -> None:
    """A free port is well, a taken one is a problem with its holder, our own stack's is well again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        (held,) = doctor.ports_check([port], None)
        addresses = {name: f"http://127.0.0.1:{port + n}" for n, name in enumerate(("url", "control", "emulator"))}
        with DataFolder(tmp_path).announced(addresses):
            (own,) = doctor.ports_check([port], find_target(tmp_path))
    (free,) = doctor.ports_check([port], None)

    assert (held.level, "pid" in held.found, "--free-ports" in held.advice) == (Level.PROBLEM, True, True)
    assert own.level is Level.OK
    assert free.level is Level.OK


def test_the_doctor_reads_the_stack(tmp_path: Path) -> None:
    """A good stack.yaml is counted, a bad one explained."""
    bad = tmp_path / "stack.yaml"
    bad.write_text("functions: 7")

    (good,) = doctor.stack_check(stack_file())
    (wrong,) = doctor.stack_check(bad)

    assert (good.level, "functions" in good.found) == (Level.OK, True)
    assert (wrong.level, str(bad) in wrong.found) == (Level.PROBLEM, True)


async def test_the_doctor_says_when_the_gateway_is_gone(unused_port: int) -> None:
    """A stack that should answer and does not is a problem; none at all is not."""
    gone = await doctor.gateway_check(f"http://127.0.0.1:{unused_port}")
    none = await doctor.gateway_check(None)

    assert (gone.level, none.level) == (Level.PROBLEM, Level.OK)


async def test_doctor_ends_with_5_and_pure_json_when_something_is_wrong(tmp_path: Path) -> None:
    """The exit code and the document agree."""
    (tmp_path / "bad.yaml").write_text("[")
    ports = ["--port", "0", "--emulator-port", "0", "--stack", "bad.yaml"]

    ended = await shoebox("doctor", "--json", *ports, folder=tmp_path)

    assert (ended.code, ended.document["ok"]) == (5, False)
    assert [f["name"] for f in ended.document["findings"] if f["level"] == "problem"] == ["stack.yaml"]


async def test_doctor_is_three_lines_when_all_is_well(tmp_path: Path) -> None:
    """All well: three lines, nothing to do."""
    ended = await shoebox("doctor", "--port", "0", "--emulator-port", "0", folder=tmp_path)
    advised = ended.stdout.count("→")

    assert (ended.code, ended.stderr) == (0, "")
    assert len(ended.stdout.splitlines()) == 3 + 2 * advised
    assert ended.stdout.count("✓") == 3


@pytest.mark.parametrize(("text", "expected"), [("90", 90), ("30s", 30), ("15m", 900), ("12H", 43_200), ("1d", 86_400)])
def test_times_are_read(text: str, expected: int) -> None:
    """A number alone is seconds."""
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "soon", "-5", "1.5h", "5w"])
def test_other_times_are_refused(text: str) -> None:
    """What is no time is wrong usage."""
    with pytest.raises(typer.BadParameter):
        seconds(text)


@pytest.mark.parametrize(("text", "expected"), [("7", 7), ("500k", 500e3), ("2.5M", 2.5e6), (" 10M ", 10e6)])
def test_counts_are_read(text: str, expected: float) -> None:
    """In thousands and millions, too."""
    assert count(text) == expected


@pytest.mark.parametrize("text", ["", "0", "0.0M", "-5", "10m", "10G", "1e6", "many"])
def test_other_counts_are_refused(text: str) -> None:
    """What is no count above 0 is wrong usage; m could be minutes."""
    with pytest.raises(typer.BadParameter):
        count(text)


def test_texts_for_people() -> None:
    """Sizes are short; others' text can neither style nor steer."""
    assert [size_text(n) for n in (0, 999, 1_000, 1_550_000, 2e9)] == ["0 B", "999 B", "1.0 kB", "1.6 MB", "2.0 GB"]
    assert safe("[bold]\x1b[2J\n") == "\\[bold]\N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}"


def test_retries_are_told_now_and_then_with_how_long_they_last() -> None:
    """The first one at once, then a line in five seconds at most, however many files fail; names cannot steer."""
    now = 0.0
    retries = RetryLines(lambda: now)
    odd = record("[bold].jpg", 1)

    def at(moment: float) -> str | None:
        nonlocal now
        now = moment
        return retries.line(events.RetryScheduled(odd if now < 31 else None, "Shoebox does not answer.", since=now))

    assert [at(moment) for moment in (0.0, 0.1, 4.9, 5.0, 6.0, 31.4)] == [
        "[yellow]↻[/yellow] \\[bold].jpg: trying again. Shoebox does not answer.",
        None,
        None,
        "[yellow]↻[/yellow] \\[bold].jpg: trying again for 5 s. Shoebox does not answer.",
        None,
        "[yellow]↻[/yellow] trying again for 31 s. Shoebox does not answer.",
    ]


def test_help_needs_nothing_heavy() -> None:
    """`shoebox --help` imports no client, no cloud, no pictures: so it comes at once."""
    heavy = ("aiohttp", "aiobotocore", "cryptography", "fleet", "numpy", "PIL", "pydantic", "structlog")
    code = f"import shoebox_cli.app, sys; print([name for name in {heavy!r} if name in sys.modules])"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert ended.stdout.strip() == "[]", ended.stderr


def test_every_command_has_examples_and_every_option_a_variable() -> None:
    """Help begins with examples, and each option can be set from the environment."""
    from typer.main import get_command

    from shoebox_cli.app import app

    commands = dict(_commands(get_command(app), ""))

    assert set(commands) == {
        *("up", "demo", "doctor", "upload", "files list", "files show", "files delete", "token mint"),
        *("queues list", "queues redrive", "containers up", "containers down", "provision", "fleet", "host"),
        *("quotas", "quotas plan", "simulate"),
    }
    for name, command in commands.items():
        assert f"shoebox {name}" in (command.help or ""), name
        bare = [p.name for p in command.params if not p.envvar and p.name not in ("help", None)]
        assert bare == [], name


def _commands(command: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, child in command.commands.items():
        if getattr(child, "invoke_without_command", False):
            yield f"{prefix}{name}", child
        if hasattr(child, "commands"):
            yield from _commands(child, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", child


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, []),
        ({"cut_off": False, "saved_at": 1e9, "uploads_again": 0}, []),
        ({"cut_off": True, "saved_at": 1e9, "uploads_again": 2}, ["last second", "2 uploads of that time"]),
        ({"cut_off": True, "saved_at": None, "uploads_again": 1}, ["last second", "1 upload of that time"]),
        ({"cut_off": True, "saved_at": 1e9, "uploads_again": 0, "other_objects": 3}, ["3 renditions of that time"]),
    ],
)
def test_doctor_tells_what_a_kill_of_the_emulator_cost(tmp_path: Path, found: dict[str, Any] | None, words: list[str]):
    """From what the last start found; after a clean stop there is nothing to tell."""
    state = tmp_path / "data" / "aws" / "state"
    state.mkdir(parents=True)
    if found is not None:
        (state / "recovery.json").write_text(json.dumps(found))
    findings = list(doctor.recovery_check(tmp_path))
    assert len(findings) == bool(words)
    assert all(word in finding.found for finding in findings for word in words)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (StateUnreadable, ["Copy the folder", "--data OTHER"]),
        (NoRoomToStart, ["Make room"]),
        (StateNotSaved, ["Make room"]),
        (EmulatorFailed, ["shoebox doctor", "--data OTHER"]),
        (EmulatorError, ["shoebox doctor"]),
    ],
)
def test_no_trouble_of_the_emulator_is_advised_to_wipe_the_photos(kind: type[EmulatorError], words: list[str]):
    """What is stored can be had again, unless somebody follows an advice to begin empty."""
    with pytest.raises(CliError, match="reason") as ended, user_facing_errors():
        raise kind("reason")
    assert all(word in ended.value.hint for word in words)
    assert "--fresh" not in ended.value.hint
    assert ended.value.exit_code == Exit.LOCAL


async def test_a_log_gets_no_line_of_progress_that_says_nothing_new() -> None:
    """A watch that waits for days is silent; the first line comes with the first file."""
    tally, talk, pauses = Tally(), Talk(), 0

    async def sleep(_: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 3:
            tally(events.FileFound(record("a.jpg", 1500)))
        if pauses == 9:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await lines(tally, talk, sleep)
    assert talk.said.qsize() == 1
    assert talk.said.get_nowait() == "… 1 found, 0 stored (0 B of 1.5 kB), 0 being processed, 0 done"
