"""A process that inspects and renders pictures for its parent: `python -m workers.imaging.child PARENT_PID LIMITS`.

It reads requests from standard input and writes responses to what was standard output (`workers.imaging.frames`).
Codecs may print: descriptor 1 leads to standard error from the start. Each picture has a bound on CPU time
(ITIMER_PROF, which ends the process by SIGPROF) and on memory (RLIMIT_AS, which makes allocations fail), both from its
header. The process ends with its input, and with its parent (Linux); SIGTERM and SIGINT, which may be sent to the
whole process group, are for the parent.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from workers.imaging.errors import PictureRejected
from workers.imaging.frames import Frame, read_frame, write_frame
from workers.imaging.limits import MIB, ImageLimits
from workers.imaging.pipeline import Inspection, inspect, prepare, render
from workers.imaging.results import Prepared

MAX_CPU_SECONDS = 20.0
MEMORY_FACTOR = 1.25
MEMORY_SLACK = 256 * MIB
SHORT_OF_MEMORY = 71  # EX_OSERR: the machine has less memory than the picture may take
FILE_COPIES = 3
PROBE_SPARE = 1 * MIB
PR_SET_PDEATHSIG = 1  # linux/prctl.h
OUT_OF_MEMORY_SCORE = 500  # of 1000: when the machine has no memory left, Linux ends a child before its parent


@dataclass(frozen=True, slots=True)
class CpuBound:
    """`seconds` for any picture, and `factor` times the estimate on top."""

    seconds: float
    factor: float

    def of(self, estimated_seconds: float) -> float:
        """Seconds of CPU that a picture may take, of which `estimated_seconds` are expected."""
        return min(self.seconds + self.factor * estimated_seconds, MAX_CPU_SECONDS)


# Who is not alone may take little more than the estimate, so that pictures whose headers lie cannot hold all processes.
TIGHT = CpuBound(0.5, 2.0)
# For slow machines, and JPEGs that are decoded twice: behind padding, and in unusual chroma layouts.
FULL = CpuBound(3.0, 4.0)


def main() -> None:
    """Serve requests until the input ends."""
    parent, limits = int(sys.argv[1]), ImageLimits(**json.loads(sys.argv[2]))
    requests, responses = _take_pipes()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _end_with(parent)
    _warm_up(limits)
    write_frame(responses, {"ready": True})
    with suppress(EOFError, BrokenPipeError):
        serve(requests, responses, limits)


def serve(requests: BinaryIO, responses: BinaryIO, limits: ImageLimits) -> None:
    """Respond to requests until their pipe is closed.

    `{"prepare": media_type, "within": costs}` comes with the file. Where it costs no more it is rendered at once, else
    the response is `{"costs": {peak_bytes, cpu_seconds}}`, and the picture waits for `{"render": true}` or
    `{"forget": true}`. Others are `{"prepared": …}` with the renditions' bytes, `{"rejected": [reason, detail]}`,
    or `{"failed": text}` for a bug. Each has its request's `number`; `full` says which bound on CPU time holds.
    """
    waiting: Inspection | None = None
    while True:
        request = read_frame(requests)
        blobs: Sequence[bytes] = ()
        try:
            inspection, waiting = waiting, None
            response, waiting, blobs = _respond(request, inspection, limits)
        except PictureRejected as rejected:
            response = {"rejected": [rejected.reason, rejected.detail]}
        except Exception as error:  # noqa: BLE001 - this is the outer layer: a bug fails one picture, and is told
            response = {"failed": f"{type(error).__name__}: {error}"}
        write_frame(responses, {**response, "number": request.content["number"]}, blobs)
        del request, inspection, blobs


def _respond(
    request: Frame, waiting: Inspection | None, limits: ImageLimits
) -> tuple[dict[str, object], Inspection | None, Sequence[bytes]]:
    """Carry out a request, `waiting` being the picture that waits; return response, picture that waits now, blobs."""
    content = request.content
    if "forget" in content:
        return {"forgotten": True}, None, ()
    bound = FULL if content["full"] else TIGHT
    inspection = waiting
    if "prepare" in content:
        [data] = request.blobs
        with _bounds(bound.of(0), FILE_COPIES * len(data) + MEMORY_SLACK):
            inspection = inspect(data, content["prepare"], limits)
    assert inspection is not None, "no picture waits"
    costs = {"peak_bytes": inspection.peak_bytes, "cpu_seconds": inspection.cpu_seconds}
    if any(costs[name] > limit for name, limit in content.get("within", {}).items()):
        return {"costs": costs}, inspection, ()
    memory = int(MEMORY_FACTOR * inspection.peak_bytes) + FILE_COPIES * len(inspection.data) + MEMORY_SLACK
    with _bounds(bound.of(inspection.cpu_seconds), memory):
        prepared = render(inspection)
    return {"prepared": _facts(prepared)}, None, [r.jpeg for r in prepared.renditions]


def _facts(prepared: Prepared) -> dict[str, object]:
    return {
        "width": prepared.width,
        "height": prepared.height,
        "megapixels": prepared.megapixels,
        "media_type": prepared.media_type,
        "placeholder": prepared.placeholder,
        "metadata": asdict(prepared.metadata),
        "timings": dict(prepared.timings),
        "warnings": prepared.warnings,
        "renditions": [[r.name, r.width, r.height] for r in prepared.renditions],
    }


@contextmanager
def _bounds(cpu_seconds: float, memory: int) -> Iterator[None]:
    """Allow so much CPU time from now on, and so much more address space than there is now.

    The end of the CPU time is SIGPROF, which nobody else sends: SIGXCPU is of a limit that others have set. A failed
    allocation is `too_costly` only if it was this bound that failed it; else the process ends: a passing fault.
    """
    signal.setitimer(signal.ITIMER_PROF, cpu_seconds)
    if (mapped := _mapped_bytes()) is not None:
        _limit(resource.RLIMIT_AS, mapped + memory)
    try:
        yield
    except MemoryError as error:
        if mapped is None or not _has_room(mapped + memory):
            sys.exit(SHORT_OF_MEMORY)
        raise PictureRejected("too_costly", "it takes more memory than its size allows") from error
    finally:
        _limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
        signal.setitimer(signal.ITIMER_PROF, 0)


def _limit(which: int, soft: int) -> None:
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        soft = hard if soft == resource.RLIM_INFINITY else min(soft, hard)
    resource.setrlimit(which, (soft, hard))


def _has_room(end: int) -> bool:
    """Whether the machine would have given all the address space up to `end`: then it was the bound that failed."""
    room = end - (_mapped_bytes() or end) - PROBE_SPARE
    try:
        if room > 0:
            mmap.mmap(-1, room).close()  # untouched, so it takes no memory
    except (MemoryError, OSError):
        return False
    return True


def _mapped_bytes() -> int | None:
    """Address space in use; None where there is no /proc."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return None


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return the pipes of requests and responses, on descriptors of their own, which codecs cannot print to."""
    requests, responses = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(requests, "rb"), os.fdopen(responses, "wb", buffering=0)


def _end_with(parent: int) -> None:
    """Let the kernel end this process with its parent, also in the middle of a picture (prctl(2), PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(str(OUT_OF_MEMORY_SCORE))
    if os.getppid() != parent:
        sys.exit()


def _warm_up(limits: ImageLimits) -> None:
    """Render a small picture, so that the first photo does not wait for codecs to load."""
    from PIL import Image

    from workers.imaging.encode import to_jpeg

    prepare(to_jpeg(Image.new("RGB", (64, 48))), "image/jpeg", limits)


if __name__ == "__main__":
    main()
