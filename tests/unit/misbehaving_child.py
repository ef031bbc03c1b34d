"""A render process that does to some pictures what hostile ones do to codecs; their width says what.

Environment: TEST_FOLDER, where it finds and leaves files.
"""

import contextlib
import dataclasses
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from workers.imaging import Prepared, child
from workers.imaging.pipeline import Inspection, inspect, render

BURN, EAT, CRASH, CRASH_ONCE, HANG, PRINT, HEAVY, FAIL, BURN_ONCE, STARVE = range(101, 111)


@dataclasses.dataclass(frozen=True)
class HeavyInspection(Inspection):
    """A picture that says that it takes long."""

    cpu_seconds = 5.0


def misbehave(inspection: Inspection) -> Prepared:
    """`render`, unless the width says otherwise."""
    COMMANDS.get(inspection.width, lambda _: None)(Path(os.environ["TEST_FOLDER"]))
    return render(inspection)


def burn(folder: Path) -> None:
    """Take CPU time for ever."""
    while folder:
        pass


def eat(_: Path) -> None:
    """Take more memory than the picture may."""
    bytearray(2**30)


def starve(folder: Path) -> None:
    """Find less memory than the picture may take, by a limit that is not our own bound."""
    resource.setrlimit(resource.RLIMIT_AS, (child._mapped_bytes() + 2**24,) * 2)
    eat(folder)


def crash(_: Path) -> None:
    """Die as by a codec's fault."""
    os.kill(os.getpid(), signal.SIGSEGV)


def killed(_: Path) -> None:
    """Die as by the kernel's hand."""
    os.kill(os.getpid(), signal.SIGKILL)


def once(command: Callable[[Path], None]) -> Callable[[Path], None]:
    """`command` for the first process that gets here, nothing for later ones."""

    def do(folder: Path) -> None:
        with contextlib.suppress(FileExistsError):
            (folder / "once").touch(exist_ok=False)
            command(folder)

    return do


def hang(folder: Path) -> None:
    """Tell the test, which reads a FIFO, and wait for ever."""
    (folder / "hangs").write_bytes(b"")
    signal.pause()


def say(_: Path) -> None:
    """Print as codecs and libraries do."""
    os.write(1, b"a codec says something\n")
    sys.stdout.write("and again\n")
    sys.stdout.flush()


def fail(_: Path) -> None:
    """Raise what rendering must not raise."""
    raise ZeroDivisionError("a bug")


COMMANDS: dict[int, Callable[[Path], None]] = {
    BURN: burn, BURN_ONCE: once(burn), EAT: eat, STARVE: starve, CRASH: crash, CRASH_ONCE: once(killed),
    HANG: hang, HEAVY: hang, PRINT: say, FAIL: fail,
}  # fmt: skip


def weigh(data: bytes, declared: str, limits: child.ImageLimits) -> Inspection:
    """`inspect`, and a width of HEAVY weighs much."""
    found = inspect(data, declared, limits)
    if found.width != HEAVY:
        return found
    return HeavyInspection(**{f.name: getattr(found, f.name) for f in dataclasses.fields(found)})


if __name__ == "__main__":
    child.TIGHT, child.FULL = child.CpuBound(0.3, 2.0), child.CpuBound(1.0, 4.0)
    child.render, child.inspect = misbehave, weigh
    child.main()
