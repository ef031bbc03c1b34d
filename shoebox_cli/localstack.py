"""What this repository's LocalStack image reports of itself: its memory, and how its last run ended."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from datetime import datetime

from console.output import Output, safe, size_text

_SECONDS = 3
RAISE = "SHOEBOX_LOCALSTACK_MEMORY=4g shoebox containers up (this makes a new LocalStack, and it is empty)"
RAISE_AT_ONCE = "docker update --memory 4g --memory-swap 8g $(docker compose ps -q localstack)"


@dataclass(frozen=True, slots=True)
class LocalStack:
    """The state of a LocalStack: bytes of memory, its limit, and the parts of it from which it warns and refuses.

    `last_run` is how the run before this one ended in this container, such as "out of memory" or "killed"; None without
    such a run.
    """

    used: int
    limit: int | None
    warn: float
    refuse: float
    started_at: float
    last_run: str | None

    def warning(self) -> str | None:
        """Return that memory is almost used up, and what to do; None while it is not."""
        if not self.limit or self.used < self.warn * self.limit:
            return None
        return (
            f"LocalStack uses {size_text(self.used)} of {size_text(self.limit)} of memory; from {self.refuse:.0%} on it"
            " refuses uploads, and at the limit it is killed and every photo in it is gone."
            f" Delete photos (shoebox files delete), or give it more without losing any: {RAISE_AT_ONCE}"
        )

    def loss(self) -> str | None:
        """Return that everything it held is gone, since when and why; None where it runs for the first time."""
        if self.last_run is None:
            return None
        limit = f" (OOMKilled; limit {size_text(self.limit)})" if self.limit else ""
        out = self.last_run == "out of memory"
        how = f"ran out of memory{limit}" if out else f"was stopped ({self.last_run})"
        advice = f" Upload again, with more memory: {RAISE}." if out else " Upload again what is missing."
        at = datetime.fromtimestamp(self.started_at)
        return f"LocalStack {how} and began anew, empty, at {at:%H:%M:%S}: everything stored before is gone.{advice}"


def localstack_at(url: str) -> LocalStack | None:
    """Ask the LocalStack at `url`; None where none responds, or one that does not tell, such as LocalStack's own."""
    try:
        with urllib.request.urlopen(f"{url}/_localstack/shoebox", timeout=_SECONDS) as response:  # noqa: S310  # our own
            found = json.load(response)
        memory = found["memory"]
        return LocalStack(
            used=memory["used"],
            limit=memory["limit"],
            warn=found["warn"],
            refuse=found["refuse"],
            started_at=found["started_at"],
            last_run=found["last_run"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


class LocalStackWatch:
    """Warns before and after a command of what happens to the photos that the LocalStack at `url` holds.

    Without a `url` there is nothing to tell.
    """

    def __init__(self, url: str | None) -> None:
        self._url = url
        self._before: LocalStack | None = None

    def before(self, output: Output) -> None:
        """Warn when memory is almost used up."""
        self._before = localstack_at(self._url) if self._url else None
        self._warn(self._before, output)

    def after(self, output: Output) -> str | None:
        """Return what was lost: it began anew meanwhile, or does not respond. Else warn as before."""
        if self._url is None or self._before is None:
            return None
        now = localstack_at(self._url)
        if now is None:
            return "LocalStack does not answer any more; if it was killed, what it stored is gone. See: shoebox doctor"
        if now.started_at != self._before.started_at:
            return now.loss()
        if not self._before.warning():
            self._warn(now, output)
        return None

    def _warn(self, state: LocalStack | None, output: Output) -> None:
        if state and (warning := state.warning()):
            output.say(f"[yellow]![/yellow] {safe(warning)}")
