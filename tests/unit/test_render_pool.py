"""Rendering in processes of their own: whatever a picture does to its process, the neighbours never notice."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import misbehaving_child as child_of_test
import pytest
from PIL import Image
from prometheus_client import REGISTRY

from shoebox.config import Limits, environment_without_aws
from shoebox.files.model import Registration
from shoebox.files.pictures import Original
from shoebox_client.samples import jpeg_of_size
from workers import render_pool
from workers.imaging import ImageLimits, PictureRejected, Prepared, child, prepare
from workers.imaging.costs import cpu_seconds, peak_bytes
from workers.imaging.frames import FrameError
from workers.imaging.headers import Header
from workers.render_pool import RenderPool, is_heavy
from workers.render_process import COMMAND, Costs, RenderFailed, RenderProcess, RenderProcessDied

ANYTHING = Costs(10**12, 1e9)
BROKEN_PROFILE = b"\xff\xe2\x00\x14ICC_PROFILE\x00\x02\x03half"  # the second of three parts
MISBEHAVING = (sys.executable, str(Path(child_of_test.__file__)))


@asynccontextmanager
async def pool_of(processes: int, folder: Path) -> AsyncIterator[RenderPool]:
    """Return a pool whose processes misbehave when a picture tells them to."""
    environment = environment_without_aws() | {"TEST_FOLDER": str(folder), "PYTHONPATH": str(Path.cwd())}
    pool = RenderPool(Limits(), memory_at_once=10**9, environment=environment, processes=processes, command=MISBEHAVING)
    async with asyncio.timeout(120), pool:
        yield pool


@pytest.fixture
async def pool(tmp_path: Path) -> AsyncIterator[RenderPool]:
    """Two processes."""
    os.mkfifo(tmp_path / "hangs")
    async with pool_of(2, tmp_path) as pool:
        yield pool


def picture(width: int) -> bytes:
    """Return a JPEG of this width; those of `misbehaving_child` are commands."""
    out = io.BytesIO()
    Image.new("RGB", (width, 16), (200, 100, 50)).save(out, "JPEG")
    return out.getvalue()


def promise(data: bytes, **lies: object) -> Registration:
    """Return what a client registers for `data`."""
    facts = {"name": "photo", "size": len(data), "media_type": "image/jpeg", "sha256": sha256(data).hexdigest()}
    return Registration(**(facts | lies))  # type: ignore[arg-type]


def got(data: bytes | None, size: int = 0) -> Callable[[], Awaitable[Original]]:
    """Return what fetches `data`."""

    async def fetch() -> Original:
        return Original(data, size or len(data or b""), datetime.now(UTC))

    return fetch


async def render(pool: RenderPool, data: bytes) -> Prepared:
    """Register, fetch and render."""
    prepared = await pool.prepare(promise(data), got(data))
    assert prepared is not None
    return prepared


def ended(cause: str) -> float:
    """Count the processes that ended for this cause so far."""
    return REGISTRY.get_sample_value("shoebox_render_processes_ended_total", {"cause": cause}) or 0.0


async def somebody_hangs(folder: Path) -> None:
    """Return when a process has begun to hang in a picture."""
    await asyncio.to_thread((folder / "hangs").read_bytes)


async def test_a_process_renders_as_we_would(pool: RenderPool) -> None:
    """Renditions, placeholder, metadata and warnings come through the pipe unchanged."""
    data = jpeg_of_size(1, 640, 480, 20_000)
    rendered = await render(pool, data[:2] + BROKEN_PROFILE + data[2:])
    assert rendered == prepare(data[:2] + BROKEN_PROFILE + data[2:], "image/jpeg", ImageLimits())
    assert rendered.warnings == ("icc_profile_broken",)


@pytest.mark.parametrize(
    ("lies", "stored", "reason"),
    [
        ({"size": 5}, None, "size_mismatch"),
        ({"sha256": "0" * 64}, None, "checksum_mismatch"),
        ({"media_type": "image/png"}, None, "wrong_type"),
        ({}, got(None, 10**9), "too_large"),
    ],
)
async def test_a_broken_promise_is_rejected(
    pool: RenderPool, lies: dict[str, object], stored: Callable[[], Awaitable[Original]] | None, reason: str
) -> None:
    """What is not as registered is told by its reason, whether we or the process find it."""
    data = picture(64)
    with pytest.raises(PictureRejected) as caught:
        await pool.prepare(promise(data, **lies), stored or got(data))
    assert caught.value.reason == reason


async def test_an_original_that_is_gone_is_none(pool: RenderPool) -> None:
    """Without bytes there is nothing to render and nothing to reject."""

    async def gone() -> None:
        return None

    assert await pool.prepare(promise(picture(64)), gone) is None


async def test_what_codecs_print_stays_out_of_the_protocol(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Words on descriptor 1 go to standard error, and the picture is rendered."""
    async with pool_of(1, tmp_path) as pool:
        assert (await render(pool, picture(child_of_test.PRINT))).width == child_of_test.PRINT
    assert "a codec says something\nand again\n" in capfd.readouterr().err


async def test_a_picture_that_hits_its_cpu_bound_is_too_costly(pool: RenderPool) -> None:
    """The process ends by its own timer of CPU time, which says that the picture is at fault; others are rendered."""
    before = ended("cpu_limit")
    with pytest.raises(PictureRejected) as caught:
        await render(pool, picture(child_of_test.BURN))
    assert caught.value.reason == "too_costly"
    assert ended("cpu_limit") == before + 2  # by its tight bound, then by its full one
    for _ in range(3):
        await render(pool, picture(64))


async def test_who_hits_the_tight_bound_gets_the_full_one_in_the_heavy_turn(pool: RenderPool) -> None:
    """An estimate that was too low costs a second attempt, not the picture."""
    assert (await render(pool, picture(child_of_test.BURN_ONCE))).width == child_of_test.BURN_ONCE


async def test_a_bound_that_others_have_set_is_a_passing_fault(pool: RenderPool) -> None:
    """Memory fails below the process's own bound: the machine's shortage, not the picture's fault."""
    with pytest.raises(RenderProcessDied, match=f"status {child.SHORT_OF_MEMORY}"):
        await render(pool, picture(child_of_test.STARVE))
    await render(pool, picture(64))


def test_a_limit_on_cpu_time_that_others_have_set_is_a_passing_fault() -> None:
    """SIGXCPU comes of an inherited RLIMIT_CPU, before the picture has had its own time."""
    code = "import resource as r, runpy; r.setrlimit(r.RLIMIT_CPU, (1, 60)); runpy.run_path({!r}, run_name='__main__')"
    command = (sys.executable, "-c", code.format(MISBEHAVING[1]))
    with started(*command) as process, pytest.raises(RenderProcessDied, match="SIGXCPU"):
        process.prepare(picture(child_of_test.BURN), "image/jpeg", ANYTHING, full=True)


async def test_cpu_time_of_earlier_pictures_does_not_count(tmp_path: Path) -> None:
    """A process that has served many pictures has the full time for the next."""
    async with pool_of(1, tmp_path) as pool:
        await pool.wait_until_ready()
        pids = pool.pids
        for seed in range(40):
            await render(pool, jpeg_of_size(seed, 1200, 900, 100_000))
        assert pool.pids == pids


async def test_a_picture_that_hits_its_memory_bound_is_too_costly(pool: RenderPool) -> None:
    """An allocation that fails because of RLIMIT_AS rejects the picture; the process goes on."""
    await pool.wait_until_ready()
    pids = set(pool.pids)
    with pytest.raises(PictureRejected) as caught:
        await render(pool, picture(child_of_test.EAT))
    assert caught.value.reason == "too_costly"
    assert set(pool.pids) == pids


async def test_another_death_is_tried_again(pool: RenderPool) -> None:
    """SIGKILL, as of the kernel that needs memory, is not the picture's fault."""
    assert (await render(pool, picture(child_of_test.CRASH_ONCE))).width == child_of_test.CRASH_ONCE


async def test_a_second_death_is_a_passing_fault(pool: RenderPool) -> None:
    """A picture that crashes its codec each time raises, so that its message comes again; neighbours are rendered."""
    before = ended("died")
    crash = asyncio.create_task(render(pool, picture(child_of_test.CRASH)))
    await asyncio.gather(*(render(pool, picture(64)) for _ in range(4)))
    with pytest.raises(RenderProcessDied, match="SIGSEGV"):
        await crash
    assert ended("died") == before + 2
    await asyncio.gather(*(render(pool, picture(64)) for _ in range(4)))


async def test_a_crash_waits_for_nobody(pool: RenderPool, tmp_path: Path) -> None:
    """The second attempt leaves the memory that others use to them: only SIGKILL speaks of a lack of memory."""
    hanging = asyncio.create_task(render(pool, picture(child_of_test.HANG)))
    await somebody_hangs(tmp_path)
    with pytest.raises(RenderProcessDied, match="SIGSEGV"):
        await render(pool, picture(child_of_test.CRASH))
    assert not hanging.done()
    hanging.cancel()
    await asyncio.wait([hanging])


def test_each_signal_has_a_word() -> None:
    """Real-time signals have no name in Python."""
    assert str(RenderProcessDied(-40)) == "a render process ended with signal 40"


@contextmanager
def started(*command: str) -> Iterator[RenderProcess]:
    """Return a process of this command."""
    environment = environment_without_aws() | {"PYTHONPATH": str(Path.cwd()), "TEST_FOLDER": "."}
    process = RenderProcess(ImageLimits(), environment, command)
    try:
        yield process
    finally:
        process.close()


@pytest.mark.parametrize("answer", [{"number": 0, "costs": {}}, {"number": 1, "prepared": {}}, {"number": 1}])
def test_anything_but_a_whole_answer_ends_the_process(answer: dict[str, object]) -> None:
    """What a process says after nonsense would be taken for the next picture's."""
    code = f"""
import sys
from workers.imaging.frames import read_frame, write_frame
out = open(1, "wb", buffering=0)
write_frame(out, {{"ready": True}})
while read_frame(sys.stdin.buffer):
    write_frame(out, {answer})
"""
    with started(sys.executable, "-c", code) as process:
        with pytest.raises((FrameError, KeyError)):
            process.prepare(picture(64), "image/jpeg", ANYTHING, full=True)
        assert not process.alive


def test_a_forgotten_picture_is_gone() -> None:
    """An idle process holds no file."""
    with started(*COMMAND) as process:
        assert isinstance(process.prepare(picture(64), "image/jpeg", Costs(0, 0.0), full=False), Costs)
        process.forget()
        with pytest.raises(RenderFailed, match="no picture waits"):
            process.render(full=False)


async def test_who_has_to_wait_leaves_nothing_in_the_process(
    pool: RenderPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second heavy picture is forgotten by its process before that goes to somebody else."""
    forgotten = asyncio.Event()
    loop, forget = asyncio.get_running_loop(), RenderProcess.forget

    def tell(process: RenderProcess) -> None:
        forget(process)
        loop.call_soon_threadsafe(forgotten.set)

    monkeypatch.setattr(RenderProcess, "forget", tell)
    heavy = [asyncio.create_task(render(pool, picture(child_of_test.HEAVY)))]
    await somebody_hangs(tmp_path)
    heavy.append(asyncio.create_task(render(pool, picture(child_of_test.HEAVY))))
    await forgotten.wait()
    for task in heavy:
        task.cancel()
    await asyncio.wait(heavy)


async def test_the_loop_never_waits_for_an_end(pool: RenderPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may take long to free a large process: a thread waits for that."""
    threads: list[int] = []
    close = RenderProcess.close

    def tell(process: RenderProcess) -> None:
        threads.append(threading.get_ident())
        close(process)

    with monkeypatch.context() as patch:
        patch.setattr(RenderProcess, "close", tell)
        await render(pool, picture(child_of_test.CRASH_ONCE))
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize(("cores", "memory", "processes"), [(2, 1_350_000_000, 2), (64, 1_350_000_000, 3), (64, 1, 1)])
async def test_processes_follow_cores_and_memory(
    cores: int, memory: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host with many cores does not fill a small function with idle processes."""
    monkeypatch.setattr(render_pool, "_cores", lambda: cores)
    async with RenderPool(Limits(), memory_at_once=memory, environment={}, command=["true"]) as pool:
        assert len(pool.pids) == processes


async def test_a_start_that_fails_ends_what_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pool that could not be opened leaves no process behind."""
    started: list[int] = []

    def start(*arguments: Any) -> RenderProcess:
        if started:
            raise BlockingIOError
        process = RenderProcess(*arguments)
        started.append(process.pid)
        return process

    monkeypatch.setattr(render_pool, "RenderProcess", start)
    pool = RenderPool(Limits(), memory_at_once=10**9, environment=environment_without_aws(), processes=2)
    with pytest.raises(BlockingIOError):
        await pool.__aenter__()
    assert not _runs(started[0])


@pytest.mark.parametrize(
    ("media_type", "megapixels", "heavy"),
    [
        ("image/jpeg", 12, False),
        ("image/jpeg", 24, False),
        ("image/jpeg", 48, False),
        ("image/heic", 12, False),
        ("image/heic", 24, False),
        ("image/heic", 48, True),
    ],
)
def test_photos_of_phones_run_side_by_side(media_type: str, megapixels: int, heavy: bool) -> None:
    """Ordinary photos do not queue for the heavy turn; only the largest HEIC does, which takes 0.7 GB."""
    header = Header(megapixels * 1000, 1000, buffered=media_type != "image/jpeg")
    assert is_heavy(Costs(peak_bytes(media_type, header), cpu_seconds(media_type, header))) is heavy


async def test_a_process_killed_while_idle_costs_no_photo(pool: RenderPool) -> None:
    """It is replaced by the next who needs it."""
    await pool.wait_until_ready()
    for pid in pool.pids:
        os.kill(pid, signal.SIGKILL)
    await asyncio.gather(*(render(pool, picture(64)) for _ in range(4)))


async def test_a_bug_raises(pool: RenderPool) -> None:
    """What rendering must not raise fails that picture alone, with its words; it is not the picture's rejection."""
    with pytest.raises(RenderFailed, match="ZeroDivisionError: a bug"):
        await render(pool, picture(child_of_test.FAIL))
    await render(pool, picture(64))


async def test_who_is_cancelled_ends_the_process(pool: RenderPool, tmp_path: Path) -> None:
    """At the deadline nothing may go on to use the next invocation's CPU: the process is killed and replaced."""
    await pool.wait_until_ready()
    before, pids = ended("cancelled"), set(pool.pids)
    hanging = asyncio.create_task(render(pool, picture(child_of_test.HANG)))
    await somebody_hangs(tmp_path)

    hanging.cancel()
    await asyncio.wait([hanging])
    await asyncio.gather(*(render(pool, picture(64)) for _ in range(4)))

    assert ended("cancelled") == before + 1
    assert len(pids - set(pool.pids)) == 1


async def test_heavy_pictures_leave_a_process_to_the_light_ones(pool: RenderPool, tmp_path: Path) -> None:
    """One heavy picture runs, others wait for it with nothing in their hands, and light ones go by."""
    heavy = [asyncio.create_task(render(pool, picture(child_of_test.HEAVY))) for _ in range(6)]
    await somebody_hangs(tmp_path)

    await asyncio.gather(*(render(pool, picture(64)) for _ in range(8)))

    assert not any(task.done() for task in heavy)
    for task in heavy:
        task.cancel()
    await asyncio.wait(heavy)


async def test_the_signal_to_stop_is_for_the_parent(pool: RenderPool) -> None:
    """SIGTERM reaches the whole process group; the photos in work are still finished."""
    await pool.wait_until_ready()
    pids = pool.pids
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
    await asyncio.gather(*(render(pool, picture(64)) for _ in range(4)))
    assert set(pool.pids) == set(pids)


async def test_closing_the_pool_ends_its_processes(tmp_path: Path) -> None:
    """Also in the middle of a picture, for which the caller gets an error and not a hang."""
    os.mkfifo(tmp_path / "hangs")
    async with pool_of(2, tmp_path) as pool:
        hanging = asyncio.create_task(render(pool, picture(child_of_test.HANG)))
        await somebody_hangs(tmp_path)
        pids = pool.pids
    hanging.cancel()
    await asyncio.wait([hanging])
    assert not any(_runs(pid) for pid in pids)


PARENT = """
import asyncio, sys, test_render_pool as t
from pathlib import Path

async def main():
    async with t.pool_of(2, Path(sys.argv[1])) as pool:
        await pool.wait_until_ready()
        task = asyncio.create_task(t.render(pool, t.picture(t.child_of_test.HANG)))
        print(*pool.pids, flush=True)
        await task

asyncio.run(main())
"""


async def test_processes_end_with_their_parent(tmp_path: Path) -> None:
    """Whoever kills the function leaves nothing behind: neither an idle process nor one in a picture."""
    os.mkfifo(tmp_path / "hangs")
    path = os.pathsep.join([str(Path.cwd()), str(Path(__file__).parent)])
    parent = subprocess.Popen(  # noqa: ASYNC220 - it is killed below
        [sys.executable, "-c", PARENT, str(tmp_path)], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in (await asyncio.to_thread(parent.stdout.readline)).split()]
    await somebody_hangs(tmp_path)

    parent.kill()
    await asyncio.to_thread(parent.wait)

    async with asyncio.timeout(60):
        while any(_runs(pid) for pid in pids):  # noqa: ASYNC110 - another process's end has no event here
            await asyncio.sleep(0.01)  # the kernel has sent the signal; they end when they are scheduled
    assert len(pids) == 2


def test_processes_know_no_keys() -> None:
    """A codec that was taken over finds neither credentials nor the Runtime API in its environment."""
    assert not any(name.startswith("AWS_") for name in environment_without_aws())


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")
