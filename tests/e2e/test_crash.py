"""Workers and emulators are killed in the middle of their work: every photo is READY exactly once."""

from pathlib import Path

import psutil

from shoebox.files.model import State
from shoebox_client.renditions import RENDITIONS
from tests.e2e.conftest import Start
from tests.e2e.system import IMPATIENT, Herd, LocalSystem, changed_stack

PHOTOS = 60


def ingest_processes(system: LocalSystem) -> list[psutil.Process]:
    """The execution environments of `ingest` that live."""
    children = psutil.Process().children(recursive=True)
    return [p for p in children if _variable(p, "AWS_LAMBDA_FUNCTION_NAME") == system.name("function", "ingest")]


def _variable(process: psutil.Process, name: str) -> str | None:
    try:
        return process.environ().get(name)
    except psutil.Error:
        return None


async def test_sigkill_in_mid_batch_loses_nothing(start: Start, tmp_path: Path) -> None:
    """Sixty photos, and `kill -9` of every ingest process while some are done: all end READY, each with one change."""
    async with start(changed_stack(tmp_path, *IMPATIENT)) as system:
        events = await system.subscribe()
        herd = await Herd.drive(system, PHOTOS)
        await herd.until_ready(5, 60)
        victims = ingest_processes(system)
        for victim in victims:
            victim.kill()
        ready_at_the_kill = (await herd.states())[State.READY]
        await herd.until_ready()

        assert victims
        assert ready_at_the_kill < PHOTOS, "the kill came too late to prove anything"
        assert {p.pid for p in ingest_processes(system)}.isdisjoint(v.pid for v in victims)
        files = await herd.table.get_many(herd.keys)
        assert {file.picture is not None and len(file.picture.renditions) for file in files} == {len(RENDITIONS)}
        told = await events.until(PHOTOS)
        assert len({event["event_id"] for event in told}) == PHOTOS
        assert await system.waiting("uploads-dead") == (0, 0)
