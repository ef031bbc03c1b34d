"""All limits in one place, for `shoebox quotas` and /metrics."""

import orjson

from fleet.limit_registry import LimitRegistry
from fleet.limits.quotas import load_quotas
from fleet.limits.use import BilledCount, DataUse, LimitUse

NEAR = LimitUse("lambda.concurrency", "account", 3, 5, 10, "invocations", throttled=2)
FAR = LimitUse("s3.requests", "photos/originals", 1, 1, 100, "requests/s")
OFF = LimitUse("gateway.rate", "account", 1, 1, float("inf"), "requests/s")


PUTS = BilledCount("s3", "PUT", 7)
WRITES = BilledCount("dynamodb", "Write", 3.0, "files")


async def data_limits() -> DataUse:
    """Return what the emulator's process says."""
    return DataUse([FAR], [PUTS], [WRITES])


async def test_the_nearest_limit_comes_first_wherever_it_is_kept():
    """The fleet's own and the emulator's, by how soon growing load would hit them."""
    registry = LimitRegistry(load_quotas("aws/10"), lambda: [OFF, NEAR], data_limits)
    assert registry.uses == []
    assert await registry.refresh() == [NEAR, FAR, OFF]
    assert registry.uses == [NEAR, FAR, OFF]
    assert (registry.requests, registry.units) == ([PUTS], [WRITES])


async def test_the_document_is_json_for_everyone():
    """Numbers by name, the derived ones with them; what is infinite is null."""
    found = orjson.loads(await LimitRegistry(load_quotas("off"), lambda: [NEAR, OFF]).document())
    assert found["quotas"]["name"] == "off"
    assert found["quotas"]["gateway"]["rate"] is None
    assert found["limits"][0] == {
        "limit": "lambda.concurrency",
        "subject": "account",
        "used": 3,
        "peak": 5,
        "most": 10,
        "headroom": 7,
        "factor": 2.0,
        "unit": "invocations",
        "throttled": 2,
    }
    assert (found["limits"][1]["most"], found["limits"][1]["factor"]) == (None, None)
