"""S3's request rates: 3,500 PUT/COPY/POST/DELETE and 5,500 GET/HEAD a second for each prefix. Pure.

Source: "Best practices design patterns: optimizing Amazon S3 performance", "per partitioned Amazon S3 prefix".

S3 partitions a bucket by load, over 30 to 60 minutes, and tells nobody where. Here a prefix is the bucket and the first
`depth` parts of the key: with the default, 1, `originals/` is one and `renditions/` another. That is what a peak meets
that comes faster than S3 partitions; with 2 each tenant has its own, as after a long time of load.

Every request for objects counts as one, DeleteObjects with its 1,000 keys too: AWS does not say how it counts there. It
counts for the bucket itself, the prefix ""; a list for the prefix that it lists. Requests about buckets have no limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleet.limits.bucket import TokenBucket
from fleet.limits.rate_limit import RateLimit, admit
from fleet.limits.use import LimitUse

if TYPE_CHECKING:  # as in fleet.limits.dynamodb
    from fleet.limits.quotas import S3Quotas

DEPTH = 1
READS = frozenset({"GET", "HEAD"})
WRITES = frozenset({"PUT", "POST", "DELETE"})  # COPY is a PUT
_REMEMBERED = 1000  # prefixes; more only while they are in use


def prefix_of(bucket: str, key: str, depth: int = DEPTH) -> str:
    """Return the partitioned prefix that a key is taken to be in, for example `shoebox-personal/originals/`."""
    folders = key.split("/", depth)[:-1] if depth else []
    return "/".join([bucket, *folders, ""])


class S3Limits:
    """All buckets; `now` in seconds, never going back."""

    def __init__(self, quotas: S3Quotas, depth: int = DEPTH) -> None:
        self._quotas = quotas
        self._depth = depth
        self._prefixes: dict[str, _Prefix] = {}

    def admit(self, method: str, bucket: str, key: str, now: float, count: int = 1) -> int:
        """Return how many of `count` requests pass; methods other than READS and WRITES have no limit (OPTIONS)."""
        if method not in READS and method not in WRITES:
            return count
        prefix = self._prefix(prefix_of(bucket, key, self._depth), now)
        return admit((prefix.reads if method in READS else prefix.writes,), now, count)

    def uses(self, now: float) -> Iterator[LimitUse]:
        """Yield reads and writes of each prefix that was used of late."""
        for name, prefix in self._prefixes.items():
            yield prefix.writes.use("s3.prefix_writes", name, now)
            yield prefix.reads.use("s3.prefix_reads", name, now)

    def _prefix(self, name: str, now: float) -> _Prefix:
        prefix = self._prefixes.get(name)
        if prefix is not None:
            return prefix
        if len(self._prefixes) >= _REMEMBERED:
            # Only the oldest is looked at, so that this stays O(1); one in use goes to the end, and hides no others.
            oldest, candidate = next(iter(self._prefixes.items()))
            del self._prefixes[oldest]
            if not (candidate.reads.idle(now) and candidate.writes.idle(now)):
                self._prefixes[oldest] = candidate
        prefix = self._prefixes[name] = _Prefix(self._quotas.prefix_reads, self._quotas.prefix_writes)
        return prefix


class _Prefix:
    __slots__ = ("reads", "writes")

    def __init__(self, reads: float, writes: float) -> None:
        # With `aws/N` there may be less than one request a second; a bucket that holds less than one would refuse all.
        self.reads = RateLimit(TokenBucket(reads, max(reads, 1.0)))
        self.writes = RateLimit(TokenBucket(writes, max(writes, 1.0)))
