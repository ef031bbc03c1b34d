"""The stack that a benchmark measures: `shoebox up` as a process of its own, in memory, on free ports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from load_tests.observe.processes import Usage, processes_of, usage_of


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack: its addresses and its processes."""

    addresses: dict[str, Any]
    process: psutil.Process

    def usage(self) -> list[Usage]:
        """Each process of the stack, by its role."""
        return [usage_of(process) for process in processes_of(self.process.pid)]


@contextmanager
def running_stack(*options: str) -> Iterator[Stack]:
    """Start a stack with more options of `shoebox up`, wait until it is ready, and stop it at the end."""
    with TemporaryDirectory(prefix="shoebox-bench-") as folder:
        command = [
            Path(sys.prefix, "bin/shoebox"),
            "up",
            "--free-ports",
            "--memory",
            "--json",
            "--data",
            f"{folder}/data",
            *options,
        ]
        log = Path(folder, "up.log")
        with log.open("wb") as talk, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=talk) as up:
            assert up.stdout is not None
            try:
                text = _read_document(up.stdout)
                if not text:
                    raise RuntimeError(f"the stack did not start:\n{log.read_text()}")
                yield Stack(json.loads(text), psutil.Process(up.pid))
            finally:
                up.terminate()
                up.wait(timeout=60)


def _read_document(lines: Any) -> str:
    text = ""
    for line in lines:
        text += line.decode()
        try:
            json.loads(text)
        except ValueError:
            continue
        return text
    return ""
