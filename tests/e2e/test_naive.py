"""The same small burst with a function per S3 event and with the queue, in an account of little concurrency.

Phones never have more than two calls under way, and the queue's `ingest` never more than its maximum concurrency: with
the queue the account's concurrency cannot be used up, however slow the machine is.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fleet.async_events import AsyncStatistics
from fleet.limits.concurrency import ThrottleReason
from fleet.limits.quotas import AWS_QUOTAS, LambdaQuotas
from load_tests.naive.stack import naive_stack
from shoebox_client.records import Outcome, Record
from shoebox_client.retry import RetryPolicy
from shoebox_client.uploads import Uploader, UploadSettings
from tests.e2e.conftest import Start
from tests.e2e.live_stack import ROOT, LocalLiveStack, photo, until

PHONES, PHOTOS = 7, 6
CONCURRENCY = 20  # 2 × PHONES + the 4 batches of stack.yaml fit in
QUOTAS = AWS_QUOTAS.model_copy(update={"functions": LambdaQuotas(concurrency=CONCURRENCY)})
PERSISTENT = UploadSettings(retry=RetryPolicy(max_attempts=60, max_pause=1.0))
"""Phones that do not give up while the API is throttled: no photo may be missing for that reason."""


@dataclass(frozen=True, slots=True)
class Burst:
    """What became of the photos and of the asynchronous events, and the invocations that were refused, by function."""

    records: list[Record]
    events: list[AsyncStatistics]
    throttled: Counter[str]


async def burst(live: LocalLiveStack, folder: Path) -> Burst:
    """Every phone uploads its photos, all at once, and waits until they are done; then the events are awaited."""
    uploads = [upload(live, folder / f"phone-{number}", number) for number in range(PHONES)]
    phones = await asyncio.gather(*uploads)
    records = [record for phone in phones for record in phone]
    await until(lambda: nothing_pending(live), 60)
    return Burst(records, list(live.local.fleet.statistics().events), await throttles(live))


async def upload(live: LocalLiveStack, folder: Path, number: int) -> list[Record]:
    """One phone's photos, different from those of others."""
    photos = [photo(folder, f"{n}.jpg", seed=PHOTOS * number + n) for n in range(PHOTOS)]
    async with live.api(folder.name) as api:
        limits = await api.with_retry(PERSISTENT.retry).limits()
        return (await Uploader(api, limits, PERSISTENT).run(photos)).records


async def nothing_pending(live: LocalLiveStack) -> bool:
    """Whether every asynchronous event has ended: photos are READY a moment before their invocations are over."""
    return not any(events.pending for events in live.local.fleet.statistics().events)


async def throttles(live: LocalLiveStack) -> Counter[str]:
    """Invocations that the account's concurrency refused, by function, as /metrics has them."""
    found: Counter[str] = Counter()
    async with aiohttp.ClientSession() as http, http.get(f"{live.local.fleet.runtime_url}/metrics") as answer:
        for family in text_string_to_metric_families(await answer.text()):
            for sample in family.samples:
                if sample.name == "fleet_throttles_total":
                    assert sample.labels["reason"] == ThrottleReason.ACCOUNT
                    found[sample.labels["function"]] += int(sample.value)
    return found


@pytest.mark.timeout(300)  # Lambda's back-off: what is throttled six times in a row comes after a minute
async def test_one_function_per_event_starves_the_api(start: Start, tmp_path: Path) -> None:
    """The API's own uploads take the account's concurrency, and its calls are refused; yet no photo is lost."""
    stack = tmp_path / "naive.yaml"
    stack.write_text(naive_stack(ROOT / "stack.yaml"))
    async with start(stack, quotas=QUOTAS) as live:
        done = await burst(live, tmp_path)

    [events] = done.events
    assert [record.outcome for record in done.records] == [Outcome.READY] * PHONES * PHOTOS
    assert done.throttled["api"] > 0
    assert done.throttled["ingest"] == events.throttled > 0
    assert events.succeeded >= PHONES * PHOTOS
    assert events.given_up == 0


async def test_with_the_queue_the_api_keeps_its_concurrency(start: Start, tmp_path: Path) -> None:
    """The same photos in the same account: nothing is refused."""
    async with start(quotas=QUOTAS) as live:
        done = await burst(live, tmp_path)

    assert [record.outcome for record in done.records] == [Outcome.READY] * PHONES * PHOTOS
    assert done.throttled == Counter()
    assert done.events == []
