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


@dataclass(frozen=True, slots=True)
class Usage:
    """What one process used: CPU seconds so far, and memory in MB now (proportional set size)."""

    name: str
    cpu_seconds: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack: its addresses, its processes, and the private key of its tenant `demo`."""

    addresses: dict[str, Any]
    process: psutil.Process
    key: Path

    def usage(self) -> list[Usage]:
        """Each process of the stack, by its role."""
        return [_usage(p) for p in (self.process, *self.process.children(recursive=True))]


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
                yield Stack(json.loads(text), psutil.Process(up.pid), Path(folder, "data/keys/demo.pem"))
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


def _usage(process: psutil.Process) -> Usage:
    times = process.cpu_times()
    return Usage(_role(process), times.user + times.system, process.memory_full_info().pss / 2**20)


def _role(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    if "workers.runtime" in line:
        return f"function {process.environ().get('AWS_LAMBDA_FUNCTION_NAME', '?').removeprefix('shoebox-')}"
    return "emulator" if "emulator" in line or "ministack" in line else "fleet and gateway"
