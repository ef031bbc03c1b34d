"""Workers and emulators are killed in the middle of their work: every photo is READY exactly once."""

from pathlib import Path

import psutil

from shoebox.files.model import State
from shoebox_client.renditions import RENDITIONS
from tests.e2e.conftest import Start
from tests.e2e.live_stack import SHORT_VISIBILITY, LocalLiveStack, StoredPhotos, changed_stack

PHOTOS = 60


def ingest_processes(live: LocalLiveStack) -> list[psutil.Process]:
    """Return the execution environments of `ingest` that live."""
    children = psutil.Process().children(recursive=True)
    return [p for p in children if _variable(p, "AWS_LAMBDA_FUNCTION_NAME") == live.name("function", "ingest")]


def _variable(process: psutil.Process, name: str) -> str | None:
    try:
        return process.environ().get(name)
    except psutil.Error:
        return None


async def test_sigkill_in_mid_batch_loses_nothing(start: Start, tmp_path: Path) -> None:
    """Sixty photos, and `kill -9` of every ingest process while some are done: all end READY, each with one change."""
    async with start(changed_stack(tmp_path, *SHORT_VISIBILITY)) as live:
        events = await live.subscribe()
        photos = await StoredPhotos.store(live, PHOTOS)
        await photos.until_ready(5, 60)
        victims = ingest_processes(live)
        for victim in victims:
            victim.kill()
        ready_at_the_kill = (await photos.states())[State.READY]
        await photos.until_ready()

        assert victims
        assert ready_at_the_kill < PHOTOS, "the kill came too late to prove anything"
        assert {p.pid for p in ingest_processes(live)}.isdisjoint(v.pid for v in victims)
        files = await photos.table.get_many(photos.keys)
        assert {file.picture is not None and len(file.picture.renditions) for file in files} == {len(RENDITIONS)}
        told = await events.until(PHOTOS)
        assert len({event["event_id"] for event in told}) == PHOTOS
        assert await live.waiting("uploads-dead") == (0, 0)
