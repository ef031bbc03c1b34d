"""What a million uploads cost."""

from __future__ import annotations

import pytest

from load_tests.cost import Usage, cost, gb_seconds, load_prices

USAGE = Usage(
    gateway_requests=400,
    invocations={"api": 400, "ingest": 100},
    gb_seconds={"api": gb_seconds(512, 400 * 0.07), "ingest": gb_seconds(2048, 100 * 0.7)},
    write_units=5_000,
    read_units=2_500,
    put_requests=4_000,
    get_requests=1_000,
    queue_requests=1_200,
    publishes=100,
    stored_gb={"originals": 3.0},
)
"""Of a thousand uploads."""


def test_a_million_uploads_by_hand() -> None:
    """Each line is quantity × price, scaled from a thousand uploads to a million; computed by hand."""
    found = cost(USAGE, 1_000)

    dollars = {(line.service, line.item): round(line.usd, 4) for line in found.lines}
    assert dollars == {
        ("API Gateway", "REST requests"): 1.4,  # 400,000 × $3.50 / 1 M
        ("Lambda", "requests: api"): 0.08,  # 400,000 × $0.20 / 1 M
        ("Lambda", "requests: ingest"): 0.02,
        ("Lambda", "duration on x86: api"): 0.2333,  # 400,000 × 0.07 s × 0.5 GB = 14,000 GB-s × $0.0000166667
        ("Lambda", "duration on x86: ingest"): 2.3333,  # 100,000 × 0.7 s × 2 GB = 140,000 GB-s
        ("DynamoDB", "write request units"): 3.125,  # 5 M × $0.625 / 1 M
        ("DynamoDB", "read request units"): 0.3125,
        ("S3", "PUT requests"): 20.0,  # 4 M × $0.005 / 1,000
        ("S3", "GET requests"): 0.4,
        ("SQS", "standard queue requests"): 0.48,
        ("SNS", "publishes"): 0.05,
    }
    assert found.usd == pytest.approx(28.4342, abs=1e-4)


def test_storage_is_apart() -> None:
    """3 TB-months of a million uploads are a line of their own, and not in the sum."""
    found = cost(USAGE, 1_000)

    assert [(line.item, line.quantity, line.unit, round(line.usd, 2)) for line in found.storage] == [
        ("standard storage, for a month: originals", 3_000.0, "GB-months", 69.0)
    ]
    assert found.usd == sum(line.usd for line in found.lines)


def test_nothing_is_no_cost_and_no_uploads_are_an_error() -> None:
    """What was not used costs nothing; what nobody uploaded has no price."""
    assert cost(Usage(), 10).usd == 0
    with pytest.raises(ValueError, match="divided by uploads"):
        cost(USAGE, 0)


def test_every_price_says_where_it_is_from() -> None:
    """A page of AWS's and where the number was seen; the table has a region and a day."""
    prices = load_prices()

    assert (prices.region, prices.dated[:4]) == ("us-east-1", "2026")
    assert all("pricing" in price.page.lower() and price.seen for price in prices.prices.values())
