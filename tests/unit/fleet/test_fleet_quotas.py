"""What `--quotas` may be, and what becomes of the numbers."""

import math
from pathlib import Path

import pytest

from fleet.limits.bucket import RateMeter, TokenBucket
from fleet.limits.quotas import QuotasError, load_quotas
from fleet.limits.use import LimitUse, nearest


def test_awss_defaults():
    """The numbers that AWS's quota pages name."""
    quotas = load_quotas()
    assert (quotas.functions.concurrency, quotas.functions.scaling_environments) == (1000, 1000)
    assert (quotas.mappings.pollers, quotas.mappings.concurrency_per_minute, quotas.mappings.concurrency_max) == (
        5,
        300,
        1250,
    )
    assert (quotas.gateway.rate, quotas.gateway.burst) == (10_000, 5_000)
    assert (quotas.dynamodb.partition_writes, quotas.dynamodb.partition_reads) == (1000, 3000)
    assert (quotas.s3.prefix_writes, quotas.s3.prefix_reads) == (3500, 5500)


def test_a_scale_divides_rates_and_counts_only():
    """aws/400: rates as they are, counts rounded up, times and the ten requests a unit not at all."""
    quotas = load_quotas("aws/400")
    assert quotas.functions.concurrency == 3
    assert quotas.functions.scaling_seconds == 10
    assert quotas.functions.requests_per_environment == 10
    assert quotas.gateway.rate == 25
    assert quotas.mappings.pollers == 1
    assert (quotas.count(0), quotas.count(50), quotas.rate(100)) == (0, 1, 0.25)


def test_off_is_infinite():
    """No limit is left; what stack.yaml itself reserves stays as it is."""
    quotas = load_quotas("off")
    assert quotas.off
    assert quotas.functions.concurrency == quotas.functions.requests_per_environment == math.inf
    assert quotas.count(7) == 7


def test_a_file_changes_single_quotas(tmp_path: Path):
    """On top of its base; the rest stays."""
    file = tmp_path / "ours.yaml"
    file.write_text("base: aws/10\nfunctions: {concurrency: 3000}\ns3: {prefix_writes: 20}\n")
    quotas = load_quotas(str(file))
    assert (quotas.functions.concurrency, quotas.functions.scaling_environments) == (3000, 100)
    assert (quotas.s3.prefix_writes, quotas.s3.prefix_reads, quotas.scale) == (20, 550, 10)
    assert quotas.name == str(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("functions: {concurency: 1}", r"functions\.concurency: Extra inputs"),
        ("functions: {concurrency: many}", r"functions\.concurrency: Input should be a valid number"),
        ("gateway: {rate: 0}", r"gateway\.rate: Input should be greater than 0"),
        ("gateway: 12", "gateway is no mapping"),
        ("base: gcp", "base is 'gcp'; write aws, aws/N or off"),
        ("lambda: {}", "lambda: Extra inputs"),
        ("- 1", "is no mapping"),
        ("{", "cannot be read as YAML"),
    ],
)
def test_a_wrong_file_is_told(tmp_path: Path, content: str, message: str):
    """With the place in the file and what is expected."""
    file = tmp_path / "q.yaml"
    file.write_text(content)
    with pytest.raises(QuotasError, match=message):
        load_quotas(str(file))


def test_published_names_of_quotas_stay(tmp_path: Path):
    """Files and documents call two quotas by the names that they had before the fields were renamed."""
    file = tmp_path / "q.yaml"
    file.write_text("base: aws/10\nmappings: {concurrency_most: 3}\nfunctions: {unreserved_least: 4}")
    quotas = load_quotas(str(file))
    assert (quotas.mappings.concurrency_max, quotas.functions.unreserved_min) == (3, 4)
    document = quotas.model_dump()
    assert (document["mappings"]["concurrency_most"], document["functions"]["unreserved_least"]) == (3, 4)


@pytest.mark.parametrize("text", ["", "AWS", "aws/0", "aws/", "aws/1.5", "aws/-3", "missing.yaml", "on"])
def test_a_wrong_name_is_told(text: str):
    """With all that may be written."""
    with pytest.raises(QuotasError, match="write aws, aws/N, off, or the path"):
        load_quotas(text)


def take(bucket: TokenBucket, now: float) -> bool:
    """Take a token if there is one."""
    if there := bucket.has(now):
        bucket.charge(now, 1)
    return there


def test_a_bucket_begins_full_and_refills_at_its_rate():
    """A burst of four, then two a second, and never more than the burst."""
    bucket = TokenBucket(2, 4)
    assert [take(bucket, 0.0) for _ in range(5)] == [True] * 4 + [False]
    assert [take(bucket, 1.0) for _ in range(3)] == [True, True, False]
    assert [take(bucket, 99.0) for _ in range(5)] == [True] * 4 + [False]


def test_a_bucket_can_be_charged_into_debt():
    """What was known too late is paid before anyone else gets some."""
    bucket = TokenBucket(10)
    bucket.charge(0.0, 25)
    assert not take(bucket, 1.0)
    assert bucket.seconds_until(1.0) == pytest.approx(0.6)
    assert take(bucket, 1.7)


def test_a_bucket_says_how_long_to_wait():
    """0 when it is there, never when it is more than the burst."""
    bucket = TokenBucket(5, 10)
    assert bucket.seconds_until(0.0, 10) == 0
    assert bucket.seconds_until(0.0, 11) == math.inf


def test_a_meter_counts_whole_seconds():
    """Of the last second, and the highest; a gap is nothing."""
    meter = RateMeter()
    for now in (1.0, 1.5, 1.9, 2.1):
        meter.add(now)
    assert (meter.last(2.2), meter.peak) == (3, 3)
    assert meter.last(3.0) == 1
    assert meter.last(9.0) == 0


def test_the_nearest_limit_is_the_one_that_growing_load_hits_first():
    """By how many times the highest load so far would fill it."""
    near = LimitUse("b", "x", 0, 50, 100, "u")
    far = LimitUse("a", "x", 9, 10, 100, "u")
    unused = LimitUse("c", "x", 0, 0, 1, "u")
    assert nearest([unused, far, near]) == [near, far, unused]
    assert (near.factor, far.headroom, unused.factor) == (2, 91, math.inf)
