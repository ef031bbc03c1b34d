"""The errors of a running stack as they are logged: logs go to files, and people see one line about each error."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from console.output import Output, safe

_ERROR_LEVELS = {"error", "critical", "fatal"}
_SHOW_SECONDS = 1.0
_MAX_BYTES = 5_000_000
_REPORTED_ELSEWHERE = {"emulator_died"}  # it ends the command, with a message of its own


class ErrorLine:
    """Counts error lines by where and what; shows what is new once a second."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._counts: Counter[tuple[str, str]] = Counter()
        self._shown: Counter[tuple[str, str]] = Counter()

    def line(self, function: str, line: bytes) -> None:
        """Count a line that a function printed, if it is JSON and an error."""
        if b"level" not in line:
            return
        try:
            fields = json.loads(line)
        except ValueError:
            return
        if isinstance(fields, dict) and (level := str(fields.get("level", "")).lower()) in _ERROR_LEVELS:
            what = fields.get("event") or fields.get("message") or fields.get("errorType") or "error"
            reason = fields.get("errorMessage") if level == "critical" else None  # a function that cannot start
            self._note(function, f"{what}: {reason}" if reason else what)

    async def show(self, logs: str, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Show new errors until cancelled; `logs` says where to read more."""
        while True:
            await sleep(_SHOW_SECONDS)
            for where, what in self._counts - self._shown:
                count = self._counts[where, what]
                times = f" ({count} times)" if count > 1 else ""
                self._output.say(f"[red]✗[/red] {safe(where)}: {safe(what)}{times} [dim]{safe(logs)}[/dim]")
            self._shown = self._counts.copy()

    def log_to(self, path: Path) -> None:
        """Append this process's own log lines to a file from now on."""
        from shoebox.telemetry import configure_logging

        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _MAX_BYTES:
            path.replace(path.with_suffix(".log.1"))
        configure_logging(stream=path.open("ab", buffering=0), watch=self._watch)

    def _watch(self, _: Any, method: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if method in _ERROR_LEVELS and fields["event"] not in _REPORTED_ELSEWHERE:
            self._note("fleet", fields["event"])
        return fields

    def _note(self, where: str, what: object) -> None:
        self._counts[where, str(what)[:200]] += 1
