"""What a million uploads cost."""

from __future__ import annotations

import pytest

from load_tests.cost import cost_of, gb_seconds, load_prices
from load_tests.observe.billed import BilledUsage

USAGE = BilledUsage(
    gateway_requests=400,
    function_requests={"api": 400, "ingest": 100},
    function_gb_seconds={"api": gb_seconds(512, 400 * 0.07), "ingest": gb_seconds(2048, 100 * 0.7)},
    dynamodb_write_units=5_000,
    dynamodb_read_units=2_500,
    s3_puts=4_000,
    s3_gets=1_000,
    s3_deletes=7,
    sqs_requests={"SendMessage": 1_000, "ReceiveMessage": 100, "DeleteMessageBatch": 100},
    sns_publishes={"PublishBatch": 100},
)
"""Of a thousand uploads."""


def test_a_million_uploads_by_hand() -> None:
    """Each line is quantity × price, scaled from a thousand uploads to a million; computed by hand."""
    found = cost_of(USAGE, uploads=1_000)

    assert found is not None
    assert {(line.service, line.item): round(line.usd, 4) for line in found.lines} == {
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
    found = cost_of(USAGE, uploads=1_000, stored_gb={"originals": 3.0})

    assert found is not None
    assert [(line.item, line.quantity, line.unit, round(line.usd, 2)) for line in found.storage] == [
        ("standard storage, for a month: originals", 3_000.0, "GB-months", 69.0)
    ]
    assert found.usd == sum(line.usd for line in found.lines)


def test_what_nobody_counted_has_no_line() -> None:
    """None is not 0: a line of zero dollars would say that it is free."""
    found = cost_of(BilledUsage(gateway_requests=0, s3_puts=None), uploads=10)

    assert found is not None
    assert [(line.item, line.usd) for line in found.lines] == [("REST requests", 0.0)]


def test_no_uploads_have_no_cost() -> None:
    """Nothing can be divided by them."""
    assert cost_of(USAGE, uploads=0) is None


def test_every_price_says_where_it_is_from() -> None:
    """A page of AWS's and where the number was seen; the table has a region and a day."""
    prices = load_prices()

    assert (prices.region, prices.dated[:4]) == ("us-east-1", "2026")
    assert all("pricing" in price.page.lower() and price.seen for price in prices.prices.values())
