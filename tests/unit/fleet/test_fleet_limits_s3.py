"""S3's request rates for each prefix."""

import pytest

from fleet.limits.quotas import S3Quotas, load_quotas
from fleet.limits.s3 import S3Limits, prefix_of

ORIGINAL = "originals/shop/anna/f1"

PREFIXES = [
    ("photos", ORIGINAL, 1, "photos/originals/", "one folder"),
    ("photos", ORIGINAL, 2, "photos/originals/shop/", "two folders"),
    ("photos", ORIGINAL, 9, "photos/originals/shop/anna/", "the object's name never counts"),
    ("photos", ORIGINAL, 0, "photos/", "the bucket alone"),
    ("photos", "readme.txt", 1, "photos/", "no folder"),
    ("photos", "", 1, "photos/", "no key"),
    ("photos", "originals/", 1, "photos/originals/", "a listed prefix"),
]


@pytest.mark.parametrize(
    ("bucket", "key", "depth", "prefix"), [pytest.param(*values, id=name) for *values, name in PREFIXES]
)
def test_a_prefix_is_the_first_folders_of_a_key(bucket: str, key: str, depth: int, prefix: str):
    """ "Organizing objects using prefixes"; how deep S3 partitions is its secret, so it is a setting."""
    assert prefix_of(bucket, key, depth) == prefix


RATES = [("PUT", 3500), ("POST", 3500), ("DELETE", 3500), ("GET", 5500), ("HEAD", 5500)]


@pytest.mark.parametrize(("method", "rate"), RATES)
def test_a_prefix_has_its_requests_a_second(method: str, rate: int):
    """ "Best practices design patterns: optimizing Amazon S3 performance": 3,500 and 5,500, then it refuses."""
    kept = S3Limits(S3Quotas())
    assert sum(kept.admit(method, "photos", ORIGINAL, 0.0) for _ in range(6000)) == rate
    assert kept.admit(method, "photos", ORIGINAL, 1.0)


TOGETHER = [
    ("PUT", ORIGINAL, "DELETE", "originals/other/b/f2", False, "writes of a prefix share a limit"),
    ("PUT", ORIGINAL, "PUT", "renditions/shop/anna/f1/320.jpg", True, "another prefix"),
    ("PUT", ORIGINAL, "GET", ORIGINAL, True, "reads are apart"),
    ("GET", ORIGINAL, "HEAD", ORIGINAL, False, "reads share a limit"),
    ("PUT", ORIGINAL, "OPTIONS", ORIGINAL, True, "a preflight has no limit"),
]


@pytest.mark.parametrize(
    ("busy", "busy_key", "method", "key", "passes"), [pytest.param(*values, id=name) for *values, name in TOGETHER]
)
def test_who_shares_a_limit(busy: str, busy_key: str, method: str, key: str, passes: bool):
    """ "… PUT/COPY/POST/DELETE or … GET/HEAD requests per second per partitioned Amazon S3 prefix"."""
    kept = S3Limits(S3Quotas(prefix_reads=1, prefix_writes=1))
    assert kept.admit(busy, "photos", busy_key, 0.0)
    assert kept.admit(method, "photos", key, 0.0) == passes


def test_scaled_down_limits_let_one_go_at_a_time():
    """A rate below one a second still has a burst of one."""
    kept = S3Limits(load_quotas("aws/10000").s3)
    passed = [kept.admit("PUT", "photos", ORIGINAL, now) for now in (0.0, 1.0, 2.9)]
    assert passed == [True, False, True]


def test_uses_tell_each_prefix():
    """Reads and writes of the last whole second, and what was refused."""
    kept = S3Limits(S3Quotas(prefix_writes=2))
    for _ in range(3):
        kept.admit("PUT", "photos", ORIGINAL, 0.0)
    writes, reads = kept.uses(1.0)
    assert (writes.limit, writes.subject) == ("s3.prefix_writes", "photos/originals/")
    assert (writes.used, writes.peak, writes.maximum, writes.throttled) == (2, 2, 2, 1)
    assert (reads.limit, reads.used, reads.maximum) == ("s3.prefix_reads", 0, 5500)


def test_memory_is_bounded():
    """Of many prefixes the busy ones and a thousand others are kept."""
    kept = S3Limits(S3Quotas(prefix_writes=1), depth=2)
    for number in range(5000):
        kept.admit("PUT", "photos", f"originals/tenant{number}/f", number / 10)
    assert len([*kept.uses(500.0)]) == 2 * 1000
