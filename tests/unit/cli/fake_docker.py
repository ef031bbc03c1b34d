"""A docker command that is a small script: it answers as told and writes down what it was asked."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

WELL = {"version --format*": "1.47", "compose version --short": "2.29.7"}


@dataclass
class FakeDocker:
    """`docker` in a folder of its own; without an answer it says nothing and succeeds."""

    folder: Path
    _cases: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        for arguments, stdout in WELL.items():
            self.answer(arguments, stdout)

    @property
    def command(self) -> Path:
        """The program."""
        return self.folder / "docker"

    @property
    def calls(self) -> list[str]:
        """The words of each call."""
        asked = self.folder / "calls"
        return asked.read_text().splitlines() if asked.exists() else []

    @property
    def compose_calls(self) -> list[str]:
        """What `docker compose` was asked, beside its version."""
        found = [call.removeprefix("compose ") for call in self.calls if call.startswith("compose ")]
        return [call for call in found if call != "version --short"]

    def answer(self, arguments: str, stdout: str = "", stderr: str = "", code: int = 0, *, then: str = "") -> None:
        """Answer so when the words fit the shell pattern; the latest answer counts. `then` is run before the end."""
        lines = [f"printf '%s\\n' {shlex.quote(stdout)}"] if stdout else []
        lines += [f"printf '%s\\n' {shlex.quote(stderr)} >&2"] if stderr else []
        pattern = arguments.replace(" ", r"\ ")
        self._cases.insert(0, f"{pattern})\n{chr(10).join([*lines, then])}\nexit {code} ;;\n")
        self._write()

    def _write(self) -> None:
        script = f"#!/bin/bash\nprintf '%s\\n' \"$*\" >> {shlex.quote(str(self.folder / 'calls'))}\n"
        self.command.write_text(f'{script}case "$*" in\n{"".join(self._cases)}esac\n')
        self.command.chmod(0o755)

    def change(self, arguments: str, stdout: str, *, after: str, stderr: str = "", code: int = 0) -> None:
        """Answer `arguments` with `stdout` from when `after` was asked on, which says `stderr` and ends with `code`."""
        mark = shlex.quote(str(self.folder / "changed"))
        changed = shlex.quote(stdout)
        self.answer(after, stderr=stderr, code=code, then=f": > {mark}")
        pattern = arguments.replace(" ", r"\ ")
        self._cases.insert(0, f"{pattern})\nif [ -e {mark} ]; then printf '%s\\n' {changed}; exit 0; fi ;;&\n")
        self._write()
