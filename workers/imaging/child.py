"""A process that inspects and renders pictures for its parent: `python -m workers.imaging.child PARENT_PID LIMITS`.

It takes requests on standard input and gives answers on what was standard output (`workers.imaging.frames`). Codecs may
print: descriptor 1 leads to standard error from the start. Each picture has a bound on CPU time (RLIMIT_CPU, which
ends the process by SIGXCPU) and on memory (RLIMIT_AS, which makes allocations fail), both from its header. The process
ends with its input, and with its parent (Linux); SIGTERM and SIGINT, which may be sent to the whole process group, are
for the parent.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from workers.imaging.errors import PictureRejected
from workers.imaging.frames import Frame, read_frame, write_frame
from workers.imaging.limits import MIB, ImageLimits
from workers.imaging.pipeline import Inspection, inspect, prepare, render
from workers.imaging.results import Prepared

CPU_SECONDS = 3.0  # for any picture; reading a header takes milliseconds
MAX_CPU_SECONDS = 20.0
CPU_FACTOR = 4.0  # on the estimate: slow machines, and JPEGs that are decoded twice because of a harmless warning
MEMORY_FACTOR = 1.25
MEMORY_SLACK = 256 * MIB
FILE_COPIES = 3
PR_SET_PDEATHSIG = 1  # linux/prctl.h
OUT_OF_MEMORY_SCORE = 500  # of 1000: when the machine has no memory left, Linux ends a child before its parent


def main() -> None:
    """Serve requests until the input ends."""
    parent, limits = int(sys.argv[1]), ImageLimits(**json.loads(sys.argv[2]))
    requests, answers = _take_pipes()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _end_with(parent)
    _warm_up(limits)
    write_frame(answers, {"ready": True})
    with suppress(EOFError, BrokenPipeError):
        serve(requests, answers, limits)


def serve(requests: BinaryIO, answers: BinaryIO, limits: ImageLimits) -> None:
    """Answer requests until their pipe is closed.

    `{"prepare": media_type, "within": costs}` comes with the file. Where it costs no more it is rendered at once, else
    the answer is `{"costs": {peak_bytes, cpu_seconds}}`, and the picture waits for `{"render": true}`. Other answers:
    `{"prepared": …}` with the renditions' bytes, `{"rejected": [reason, detail]}`, or `{"failed": text}` for a bug.
    """
    waiting: Inspection | None = None
    while True:
        request = read_frame(requests)
        try:
            inspection = _inspect(request, limits) if "prepare" in request.content else waiting
            waiting = None
            assert inspection is not None, "no picture waits"
            costs = {"peak_bytes": inspection.peak_bytes, "cpu_seconds": inspection.cpu_seconds}
            if any(costs[name] > most for name, most in request.content.get("within", {}).items()):
                waiting = inspection
                write_frame(answers, {"costs": costs})
            else:
                prepared = _render(inspection)
                write_frame(answers, {"prepared": _facts(prepared)}, [r.jpeg for r in prepared.renditions])
        except PictureRejected as rejected:
            write_frame(answers, {"rejected": [rejected.reason, rejected.detail]})
        except MemoryError:
            write_frame(answers, {"rejected": ["too_costly", "it takes more memory than its size allows"]})
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - this is the outer layer: a bug fails one picture, and is told
            write_frame(answers, {"failed": f"{type(error).__name__}: {error}"})
        del request
        inspection = None


def cpu_bound(estimated_seconds: float) -> float:
    """Seconds of CPU that a picture may take, of which `estimated_seconds` are expected."""
    return min(CPU_SECONDS + CPU_FACTOR * estimated_seconds, MAX_CPU_SECONDS)


def _inspect(request: Frame, limits: ImageLimits) -> Inspection:
    [data] = request.blobs
    with _bounds(CPU_SECONDS, FILE_COPIES * len(data) + MEMORY_SLACK):
        return inspect(data, request.content["prepare"], limits)


def _render(inspection: Inspection) -> Prepared:
    memory = int(MEMORY_FACTOR * inspection.peak_bytes) + FILE_COPIES * len(inspection.data) + MEMORY_SLACK
    with _bounds(cpu_bound(inspection.cpu_seconds), memory):
        return render(inspection)


def _facts(prepared: Prepared) -> dict[str, object]:
    return {
        "width": prepared.width,
        "height": prepared.height,
        "megapixels": prepared.megapixels,
        "media_type": prepared.media_type,
        "placeholder": prepared.placeholder,
        "metadata": asdict(prepared.metadata),
        "timings": dict(prepared.timings),
        "renditions": [[r.name, r.width, r.height] for r in prepared.renditions],
    }


@contextmanager
def _bounds(cpu_seconds: float, memory: int) -> Iterator[None]:
    """Inside this, so much more CPU time than was used so far, and so much more address space than there is now."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _limit(resource.RLIMIT_CPU, math.ceil(usage.ru_utime + usage.ru_stime + cpu_seconds))  # it counts whole seconds
    if (mapped := _mapped_bytes()) is not None:
        _limit(resource.RLIMIT_AS, mapped + memory)
    try:
        yield
    finally:
        _limit(resource.RLIMIT_AS, resource.RLIM_INFINITY)
        _limit(resource.RLIMIT_CPU, resource.RLIM_INFINITY)


def _limit(which: int, soft: int) -> None:
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        soft = hard if soft == resource.RLIM_INFINITY else min(soft, hard)
    resource.setrlimit(which, (soft, hard))


def _mapped_bytes() -> int | None:
    """Address space in use; None where there is no /proc."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return None


def _take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Requests and answers, on descriptors of their own: 0 then reads nothing, 1 writes to standard error."""
    requests, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(requests, "rb"), os.fdopen(answers, "wb", buffering=0)


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
