"""What a million uploads cost at AWS: calls that were counted, at the prices of `prices.yaml`.

The live run counts what its limiter, gateway and functions saw (load_tests/observe/billed.py); the day simulator what
it passed. What nobody counted is left out, and so is what AWS does not charge for, such as traffic within a region.
Traffic out, as of renditions that people look at, is not in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from load_tests.observe.billed import BilledUsage
from load_tests.results import Cost, CostLine

MILLION = 1_000_000
_PRICES = Path(__file__).with_name("prices.yaml")


class Price(BaseModel):
    """`usd` for `per` units, from AWS's `page`; `seen` is where it was found, `verified` whether that will do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str
    item: str
    unit: str
    usd: float = Field(gt=0)
    per: int = Field(ge=1)
    page: str
    verified: bool
    seen: str


class Prices(BaseModel):
    """The table of prices; `dated` is the day of the last look at them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dated: str
    region: str
    prices: dict[str, Price]


@cache
def load_prices() -> Prices:
    """Return the prices that come with Shoebox."""
    import yaml  # of the extra `fleet`

    return Prices.model_validate(yaml.safe_load(_PRICES.read_text(encoding="utf-8")))


def gb_seconds(megabytes: float, seconds: float) -> float:
    """Return the GB-seconds of a function with so much memory ("AWS Lambda pricing": 1 GB is 1,024 MB)."""
    return megabytes / 1024 * seconds


def cost_of(usage: BilledUsage, *, uploads: float, stored_gb: Mapping[str, float] | None = None) -> Cost | None:
    """Return the cost of a million uploads that use as much as these `uploads` did; None where there were none.

    `stored_gb` is what they take in S3, in GB (10⁹ bytes), by kind; its cost for a month is a list of its own.
    """
    if not uploads:
        return None
    prices = load_prices()
    return Cost(
        dated=prices.dated,
        region=prices.region,
        lines=[_line(prices, *used, uploads) for used in _items(usage)],
        storage=[_line(prices, "stored_gb", of, quantity, uploads) for of, quantity in (stored_gb or {}).items()],
    )


def _items(usage: BilledUsage) -> Iterator[tuple[str, str, float]]:
    """Yield each item that was counted: its name in `prices.yaml`, by which function, and how much of it."""
    for name, by_function in (("invocations", usage.function_requests), ("gb_seconds", usage.function_gb_seconds)):
        yield from ((name, function, quantity) for function, quantity in by_function.items())

    def total(by_operation: Mapping[str, float] | None) -> float | None:
        return None if by_operation is None else sum(by_operation.values())

    counted = {
        "gateway_requests": usage.gateway_requests,
        "write_units": usage.dynamodb_write_units,
        "read_units": usage.dynamodb_read_units,
        "put_requests": usage.s3_puts,
        "get_requests": usage.s3_gets,
        "queue_requests": total(usage.sqs_requests),
        "publishes": total(usage.sns_publishes),
    }
    yield from ((name, "", quantity) for name, quantity in counted.items() if quantity is not None)


def _line(prices: Prices, name: str, of: str, quantity: float, uploads: float) -> CostLine:
    price = prices.prices[name]
    each, million = price.usd / price.per, quantity / uploads * MILLION
    return CostLine(
        service=price.service,
        item=f"{price.item}: {of}" if of else price.item,
        quantity=million,
        unit=price.unit,
        price=each,
        usd=million * each,
        verified=price.verified,
    )
