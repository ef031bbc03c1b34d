"""A child process that renders pictures, seen from its parent. Its calls block: they are for threads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, cast

import workers
from shoebox.metrics import RENDER_PROCESSES_ENDED
from workers.imaging import ImageLimits, Metadata, PictureRejected, Prepared, Rendition
from workers.imaging.frames import Frame, FrameError, read_frame, write_frame

COMMAND = (sys.executable, "-m", "workers.imaging.child")
_ROOT = Path(workers.__file__).parent.parent
_PIPE_BYTES = 1024 * 1024  # Linux's default for unprivileged processes (pipe(7), pipe-max-size); 64 KiB otherwise
_END_SECONDS = 5.0
_TUNING = {
    # One picture is one thread.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # glibc: keep the memory of a picture for the next one; a quarter less CPU a photo, the same peak.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 1024 * 1024),
}


class RenderProcessDied(Exception):
    """The process ended in the middle of a picture, not by a bound of its own: that may pass.

    `status` is as `Popen.returncode`.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"a render process ended with {_reason(status)}")
        self.status = status


class CpuTimeSpent(Exception):
    """The process ended because its picture took more CPU time than the bound that it had."""


class RenderFailed(Exception):
    """A bug: rendering raised what it should not raise."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What rendering a picture is estimated to take."""

    peak_bytes: int
    cpu_seconds: float


class RenderProcess:
    """A running `workers.imaging.child`, started at once; the first call waits until it is ready."""

    def __init__(self, limits: ImageLimits, environment: Mapping[str, str], command: Sequence[str] = COMMAND) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [*command, str(os.getpid()), json.dumps(asdict(limits))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            env={**environment, **_TUNING},
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = cast("BinaryIO", self._process.stdin)
        self._responses: BinaryIO = os.fdopen(os.dup(self._process.stdout.fileno()), "rb")
        self._process.stdout.close()
        _enlarge(self._requests)
        _enlarge(self._responses)
        self._number = 0
        self._ready = False
        self._killed = False

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can take a picture."""
        return not self._killed and self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Return when it has loaded its codecs. Raises RenderProcessDied."""
        if not self._ready:
            with self._killed_unless_whole():
                self._read()
            self._ready = True

    def prepare(self, data: bytes, media_type: str, within: Costs, *, full: bool) -> Prepared | Costs:
        """Inspect a picture, and render it if that costs no more than `within`; else it waits for `render`.

        `full` gives it the full bound on CPU time, otherwise it gets the tight one.

        Raises:
            PictureRejected: by its header, or `too_costly` because it hit its bound on memory.
            CpuTimeSpent, RenderFailed, RenderProcessDied: see there.
        """
        self.wait_until_ready()
        with self._killed_unless_whole():
            frame = self._exchange({"prepare": media_type, "within": asdict(within), "full": full}, [data])
            if "prepared" in frame.content:
                return _prepared(frame)
            costs = frame.content["costs"]
            return Costs(int(costs["peak_bytes"]), float(costs["cpu_seconds"]))

    def render(self, *, full: bool) -> Prepared:
        """Render the picture that waits. Raises as `prepare`."""
        with self._killed_unless_whole():
            return _prepared(self._exchange({"render": True, "full": full}))

    def forget(self) -> None:
        """Drop the picture that waits, so that an idle process holds no file."""
        with self._killed_unless_whole():
            self._exchange({"forget": True})

    def kill(self) -> None:
        """End it at once, whatever it does; a call that waits for it then raises RenderProcessDied."""
        self._killed = True
        self._process.kill()

    def close(self) -> None:
        """End it and free its pipes; no call may be running."""
        self.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        for pipe in (self._requests, self._responses):
            with suppress(OSError):
                pipe.close()

    @contextmanager
    def _killed_unless_whole(self) -> Iterator[None]:
        """Kill the process on anything but a whole response: what is left in its pipes would be the next picture's."""
        try:
            yield
        except (PictureRejected, RenderFailed):
            raise
        except BaseException:
            self.kill()
            raise

    def _exchange(self, content: Mapping[str, object], blobs: Sequence[bytes] = ()) -> Frame:
        self._number += 1
        try:
            write_frame(self._requests, {**content, "number": self._number}, blobs)
        except OSError as error:
            raise self._end() from error
        frame = self._read()
        if frame.content.get("number") != self._number:
            message = f"a response to request {frame.content.get('number')} instead of {self._number}"
            raise FrameError(message)
        if "rejected" in frame.content:
            raise PictureRejected(*frame.content["rejected"])
        if "failed" in frame.content:
            raise RenderFailed(str(frame.content["failed"]))
        return frame

    def _read(self) -> Frame:
        try:
            return read_frame(self._responses)
        except (EOFError, OSError) as error:
            raise self._end() from error

    def _end(self) -> Exception:
        """Return what the process's end means for its picture."""
        try:
            status = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:  # it has closed its pipe, but lives
            self._process.kill()
            status = self._process.wait()
        if self._killed:
            return RenderProcessDied(status)
        if status == -signal.SIGPROF:
            RENDER_PROCESSES_ENDED.labels("cpu_limit").inc()
            return CpuTimeSpent()
        RENDER_PROCESSES_ENDED.labels("died").inc()
        return RenderProcessDied(status)


def _reason(status: int) -> str:
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:  # real-time signals have no names
        return f"signal {-status}"


def _prepared(frame: Frame) -> Prepared:
    facts = dict(frame.content["prepared"])
    sizes = facts.pop("renditions")
    renditions = [
        Rendition(name, width, height, jpeg) for (name, width, height), jpeg in zip(sizes, frame.blobs, strict=True)
    ]
    facts |= {"renditions": tuple(renditions), "warnings": tuple(facts["warnings"])}
    return Prepared(**facts | {"metadata": Metadata(**facts["metadata"])})


def _enlarge(pipe: BinaryIO) -> None:
    """Let fewer, larger pieces go through: less CPU for photos of megabytes."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
