"""A render process that does to some pictures what hostile ones do to codecs; their width says what.

Environment: TEST_FOLDER, where it finds and leaves files.
"""

import contextlib
import dataclasses
import os
import signal
import sys
from pathlib import Path

from workers.imaging import Prepared, child
from workers.imaging.pipeline import Inspection, inspect, render

BURN, EAT, CRASH, CRASH_ONCE, HANG, PRINT, HEAVY, FAIL = range(101, 109)


@dataclasses.dataclass(frozen=True)
class HeavyInspection(Inspection):
    """A picture that says that it takes long."""

    cpu_seconds = 5.0


def misbehave(inspection: Inspection) -> Prepared:
    """`render`, unless the width says otherwise."""
    folder = Path(os.environ["TEST_FOLDER"])
    match inspection.width:
        case w if w == BURN:
            while True:
                pass
        case w if w == EAT:
            bytearray(2**30)
        case w if w == CRASH:
            os.kill(os.getpid(), signal.SIGSEGV)
        case w if w == CRASH_ONCE:
            with contextlib.suppress(FileExistsError):
                (folder / "crashed").touch(exist_ok=False)
                os.kill(os.getpid(), signal.SIGKILL)
        case w if w in (HANG, HEAVY):
            (folder / "hangs").write_bytes(b"")  # a FIFO: opening it waits for the test
            signal.pause()
        case w if w == PRINT:
            os.write(1, b"a codec says something\n")
            sys.stdout.write("and again\n")
            sys.stdout.flush()
        case w if w == FAIL:
            raise ZeroDivisionError("a bug")
    return render(inspection)


def weigh(data: bytes, declared: str, limits: child.ImageLimits) -> Inspection:
    """`inspect`, and a width of HEAVY weighs much."""
    found = inspect(data, declared, limits)
    if found.width != HEAVY:
        return found
    return HeavyInspection(**{f.name: getattr(found, f.name) for f in dataclasses.fields(found)})


if __name__ == "__main__":
    child.CPU_SECONDS = 0.5
    child.render, child.inspect = misbehave, weigh
    child.main()
