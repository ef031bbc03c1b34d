"""What ingest does when its time is over."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from shoebox.files.events import FileEvent
from shoebox.files.model import File, FileKey
from workers.batch import Message, TimeBudget
from workers.heartbeat import Heartbeat
from workers.ingest import Ingest


class Services:
    """The table, the topic and the queue of a batch; keeps the order of what was asked of them."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def states(self, _: Iterable[FileKey]) -> dict[FileKey, File]:
        """No file is known."""
        return {}

    async def publish(self, _: Sequence[FileEvent]) -> None:
        """Events of files."""
        self.asked.append("publish")

    async def change(self, _: str, timeouts: Mapping[str, int]) -> int:
        """Messages hidden for less, or given back."""
        self.asked.extend(f"{seconds} s" for seconds in timeouts.values())
        return len(timeouts)


async def test_events_are_published_before_messages_are_given_back() -> None:
    """Giving back is a courtesy in the last seconds; the events of finished photos must not wait for it."""
    services = cast("Any", Services())
    ingest = Ingest(services, services, services, services, services, max_bytes=1)
    late = Message("m", "{}", 1, datetime.now(UTC), receipt="r", queue_arn="arn:aws:sqs:eu-west-1:1:q")
    run = partial(ingest.run, [late], TimeBudget.of_remaining(0), at_once=1)
    result = await Heartbeat(services, 20, "ingest").run([late], run, seconds_left=60)
    assert (result.returned, [*filter(("20 s").__ne__, services.asked)]) == (("m",), ["publish", "0 s"])
