"""What a million uploads cost at AWS: calls that were counted, at the prices of `prices.yaml`.

The live run counts what its limiter, gateway and functions saw; the day simulator what it passed. What AWS does not
charge for is not in it: requests that were throttled ("Amazon API Gateway pricing"; "Billing for Amazon S3 error
responses"; DynamoDB's throttled requests consume no units), and traffic into AWS or within a region. Traffic out, as of
renditions that people look at, is not in it either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from load_tests.results import Cost, CostLine

MILLION = 1_000_000
_PRICES = Path(__file__).with_name("prices.yaml")


class Price(BaseModel):
    """`usd` for `per` units, from AWS's `page`; `seen` is where the number was found, `verified` whether that will do."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What was used, in the units of `prices.yaml`; functions by name.

    `stored_gb` is what the originals and renditions take, in GB (10⁹ bytes), for a whole month: by name of what it is.
    """

    gateway_requests: float = 0.0
    invocations: Mapping[str, float] = field(default_factory=dict)
    gb_seconds: Mapping[str, float] = field(default_factory=dict)
    write_units: float = 0.0
    read_units: float = 0.0
    put_requests: float = 0.0
    get_requests: float = 0.0
    queue_requests: float = 0.0
    publishes: float = 0.0
    stored_gb: Mapping[str, float] = field(default_factory=dict)


@cache
def load_prices() -> Prices:
    """The prices that come with Shoebox."""
    import yaml  # of the extra `fleet`

    return Prices.model_validate(yaml.safe_load(_PRICES.read_text(encoding="utf-8")))


def gb_seconds(megabytes: int, seconds: float) -> float:
    """GB-seconds of a function with so much memory ("AWS Lambda pricing": 1 GB is 1,024 MB)."""
    return megabytes / 1024 * seconds


def cost(usage: Usage, uploads: float, prices: Prices | None = None) -> Cost:
    """What a million uploads cost that use of everything what these `uploads` have used; storage apart.

    Raises:
        ValueError: there were none.
    """
    if not uploads:
        raise ValueError("what no upload has used cannot be divided by uploads")
    prices = prices or load_prices()
    return Cost(
        dated=prices.dated,
        region=prices.region,
        lines=[_line(prices, *used, uploads) for used in _items(usage)],
        storage=[_line(prices, "stored_gb", quantity, of, uploads) for of, quantity in usage.stored_gb.items()],
    )


def _items(usage: Usage) -> Iterator[tuple[str, float, str]]:
    """Each priced item: its name in `prices.yaml`, how much of it, and by which function."""
    yield "gateway_requests", usage.gateway_requests, ""
    for name, by_function in (("invocations", usage.invocations), ("gb_seconds", usage.gb_seconds)):
        yield from ((name, quantity, function) for function, quantity in by_function.items())
    for name in ("write_units", "read_units", "put_requests", "get_requests", "queue_requests", "publishes"):
        yield name, getattr(usage, name), ""


def _line(prices: Prices, name: str, quantity: float, of: str, uploads: float) -> CostLine:
    price = prices.prices[name]
    each = price.usd / price.per
    million = quantity / uploads * MILLION
    return CostLine(
        service=price.service,
        item=f"{price.item}: {of}" if of else price.item,
        quantity=million,
        unit=price.unit,
        price=each,
        usd=million * each,
        verified=price.verified,
    )
