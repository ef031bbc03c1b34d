"""The stack that a load run or a benchmark measures: `shoebox up` as a process of its own, in memory, on free ports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import psutil

from load_tests.observe.processes import ProcessUsage, processes_of, usage_of


class StackStartError(Exception):
    """The stack did not start."""


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A running stack: its addresses, its folder with keys and logs, and its processes."""

    addresses: dict[str, Any]
    folder: Path
    process: psutil.Process

    @property
    def key(self) -> Path:
        """The private key of the tenant `demo`."""
        return self.folder / "keys" / "demo.pem"

    def usage(self) -> list[ProcessUsage]:
        """Each process of the stack, by its role."""
        return [usage_of(process) for process in processes_of(self.process.pid)]


@contextmanager
def running_stack(*options: str, log: Path | None = None) -> Iterator[RunningStack]:
    """Start a stack with more options of `shoebox up`, wait until it is ready, and stop it at the end.

    What it says goes to `log`, if that is wanted. Ctrl-C is not heard by it: whoever started it stops it.

    Raises:
        StackStartError: it did not start; with what it said.
    """
    with TemporaryDirectory(prefix="shoebox-stack-") as folder:
        command = [
            str(Path(sys.prefix, "bin/shoebox")),
            "up",
            "--free-ports",
            "--memory",
            "--json",
            "--data",
            f"{folder}/data",
            *options,
        ]
        log = log or Path(folder, "up.log")
        with (
            log.open("wb") as talk,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=talk, start_new_session=True) as up,  # noqa: S603
        ):
            assert up.stdout is not None
            try:
                text = _read_document(up.stdout)
                if not text:
                    raise StackStartError(log.read_text(errors="replace"))
                yield RunningStack(json.loads(text), Path(folder, "data"), psutil.Process(up.pid))
            finally:
                up.terminate()
                up.wait(timeout=60)


def _read_document(lines: IO[bytes]) -> str:
    text = ""
    for line in lines:
        text += line.decode()
        try:
            json.loads(text)
        except ValueError:
            continue
        return text
    return ""
