"""The end of an invocation's log for callers that ask for it: Invoke's `LogType: Tail`.

Rules: AWS Lambda API reference, "Invoke" (the last 4 KB); the lines START, END and REPORT as "Viewing CloudWatch logs
for Lambda functions" and the service have them.
"""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import orjson

from fleet.environments.invocation import EXIT_ERROR, InvokeResult
from fleet.functions import VERSION
from shoebox.timestamps import iso

TAIL_BYTES = 4096


class LogTail:
    """What an invocation logs; `alone`: every line of its environment is its own, else those that name its id."""

    def __init__(self, request_id: str, *, alone: bool, init_seconds: float | None) -> None:
        self._request_id = request_id
        self._alone = alone
        self._init_seconds = init_seconds
        self._lines = f"START RequestId: {request_id} Version: {VERSION}\n".encode()

    def write(self, lines: bytes) -> None:
        """Add whole lines, each with its end."""
        if not self._alone:
            own = self._request_id.encode()
            # A record in text format has carriage returns: its traceback belongs to it.
            lines = b"".join(line + b"\n" for line in lines.removesuffix(b"\n").split(b"\n") if own in line)
        self._keep(lines)

    def end(self, result: InvokeResult, seconds: float, memory: int, pid: int | None) -> bytes:
        """Return its last 4 KB, after the invocation ran for `seconds` in an environment of `memory` MB."""
        request_id, init = self._request_id, self._init_seconds
        parts = [
            f"REPORT RequestId: {request_id}",
            f"Duration: {seconds * 1000:.2f} ms",
            f"Billed Duration: {math.ceil((seconds + (init or 0)) * 1000)} ms",
            f"Memory Size: {memory} MB",
        ]
        if used := peak_memory(pid):
            parts.append(f"Max Memory Used: {used} MB")
        if init is not None:
            parts.append(f"Init Duration: {init * 1000:.2f} ms")
        if result.error_type == "Sandbox.Timedout":
            self._keep(f"{iso(datetime.now(UTC))} {request_id} Task timed out after {seconds:.2f} seconds\n\n".encode())
            parts.append("Status: timeout")
        elif result.error_type == EXIT_ERROR:
            self._keep(f"{_message(result.payload)}\n{EXIT_ERROR}\n".encode())
            parts.append(f"Status: error\tError Type: {EXIT_ERROR}")
        report = "\t".join(parts)
        return (self._lines + f"END RequestId: {request_id}\n{report}\t\n".encode())[-TAIL_BYTES:]

    def _keep(self, lines: bytes) -> None:
        self._lines = (self._lines + lines)[-TAIL_BYTES:]


def _message(payload: bytes) -> str:
    try:
        return str(orjson.loads(payload)["errorMessage"])
    except (ValueError, TypeError, KeyError):
        return ""


def peak_memory(pid: int | None) -> int | None:
    """Return a process's peak memory in MB, where the system tells (Linux: proc(5), VmHWM)."""
    with suppress(OSError, ValueError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return math.ceil(int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024)
    return None
