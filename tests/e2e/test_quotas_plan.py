"""The calls that `shoebox quotas plan` counts for a photo, against those that the limiter sees."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from emulator.limiter.middleware import Limiter
from emulator.limiter.proxy import Upstream
from fleet.http.ports import listen
from fleet.http.server import Server
from fleet.limits.capacity import item_size
from fleet.limits.quotas import load_quotas
from load_tests.simulator.capacity import PhotoLoad, needs
from shoebox.stack.model import load_stack
from shoebox.tenants.keys import KeyPair
from standalone.stack import StandaloneSettings, StandaloneStack
from tests.e2e.live_stack import ROOT, LocalLiveStack, photo, until

PHOTOS, POLLS, PREFIX = 12, 2, "plan"
GATEWAY = "fleet_gateway_requests_total"


@asynccontextmanager
async def counted(emulator_url: str) -> AsyncIterator[tuple[LocalLiveStack, Limiter]]:
    """Provide a stack whose limiter's clock stands still, so that the highest second is everything since the start."""
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        limiter = Limiter(Upstream(session, emulator_url), load_quotas(), clock=lambda: 1.0)
        async with Server(limiter, listen(0, "the test's limiter")) as server:
            settings = StandaloneSettings(
                stack_file=ROOT / "stack.yaml",
                task_root=ROOT,
                data_dir=None,
                prefix=PREFIX,
                gateway_port=0,
                control_port=0,
                runtime_port=0,
                endpoint_url=f"http://127.0.0.1:{server.port}",
                quotas=load_quotas("off"),
            )
            key = KeyPair.generate()
            async with StandaloneStack.start(settings) as local:
                live = LocalLiveStack(local.fleet.gateway_url, local.resolved, local.clients, key, local=local)
                await live.publish_key()
                yield live, limiter


async def answered(live: LocalLiveStack) -> float:
    """Return requests that the gateway has answered on the API's route, from the fleet's metrics."""
    async with aiohttp.ClientSession() as session, session.get(f"{live.local.fleet.runtime_url}/metrics") as answer:
        metrics = text_string_to_metric_families(await answer.text())
    samples = [sample for family in metrics for sample in family.samples]
    return sum(s.value for s in samples if s.name == GATEWAY and s.labels["route"] == "/v1/{proxy+}")


@pytest.mark.only_on("embedded", reason="the limiter is the same everywhere")
async def test_the_plan_counts_what_photos_do(emulator_url: str, tmp_path: Path) -> None:
    """Requests, capacity units and S3 calls of a few photos are those of the plan, within 15 %."""
    async with counted(emulator_url) as (live, limiter):
        photos = [photo(tmp_path / "photos", f"{n}.jpg", seed=n) for n in range(PHOTOS)]
        records = await live.upload(*photos, wait=False)

        async def all_done() -> bool:
            return live.mapping("ingest").deleted >= PHOTOS

        await until(all_done, 60)
        async with live.api() as api:
            for _ in range(POLLS):
                found = await api.files([str(record.file_id) for record in records])
        seen = {(use.limit, use.subject.removeprefix(f"{PREFIX}-")): use.peak for use in limiter.uses()}
        requests = await answered(live)
        dynamodb = await live.client("dynamodb")
        items = (await dynamodb.scan(TableName=live.name("table", "files")))["Items"]

    load = PhotoLoad(rate=PHOTOS, upload=PHOTOS, polls=POLLS)
    planned = {(n.limit, n.subject): n.needed for n in needs(load_stack(ROOT / "stack.yaml"), load_quotas(), load)}
    both = sorted(seen.keys() & planned.keys() - {("dynamodb.partition_writes", "files/index/by-owner")})
    assert [file["state"] for file in found] == ["READY"] * PHOTOS
    assert requests == planned["gateway.rate", "account"]
    assert max(map(item_size, items)) <= load.ready_bytes  # the limiter cannot tell how an update adds up
    assert {key: seen[key] for key in both} == pytest.approx({key: planned[key] for key in both}, rel=0.15)
    assert both == [
        ("dynamodb.index_writes", "files/index/by-owner"),
        ("dynamodb.table_reads", "files"),
        ("dynamodb.table_writes", "files"),
        ("s3.prefix_reads", "personal/originals/"),
        ("s3.prefix_writes", "personal/originals/"),
        ("s3.prefix_writes", "personal/renditions/"),
    ]
