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
from fleet.limits.gate import Gate, pass_many
from fleet.limits.use import LimitUse

if TYPE_CHECKING:  # as in fleet.limits.dynamodb
    from fleet.limits.quotas import S3Quotas

DEPTH = 1
READS = frozenset({"GET", "HEAD"})
WRITES = frozenset({"PUT", "POST", "DELETE"})  # COPY is a PUT
_REMEMBERED = 1000  # prefixes; more only while they are in use


def prefix_of(bucket: str, key: str, depth: int = DEPTH) -> str:
    """The partitioned prefix that a key is taken to be in, for example `shoebox-personal/originals/`."""
    folders = key.split("/", depth)[:-1] if depth else []
    return "/".join([bucket, *folders, ""])


class S3Limits:
    """All buckets; `now` in seconds, never going back."""

    def __init__(self, quotas: S3Quotas, depth: int = DEPTH) -> None:
        self._quotas = quotas
        self._depth = depth
        self._prefixes: dict[str, _Prefix] = {}

    def admit(self, method: str, bucket: str, key: str, now: float) -> bool:
        """Whether a request may pass; others than READS and WRITES have no limit (OPTIONS)."""
        gate = self._gate(method, bucket, key, now)
        if gate is None:
            return True
        if not gate.lets(now):
            return False
        gate.passes(now)
        return True

    def admit_many(self, method: str, bucket: str, key: str, now: float, count: int) -> int:
        """The same as `count` calls of `admit` at one time; how many of them pass."""
        gate = self._gate(method, bucket, key, now)
        return count if gate is None else pass_many((gate,), now, count)

    def uses(self, now: float) -> Iterator[LimitUse]:
        """Reads and writes of each prefix that was used of late."""
        for name, prefix in self._prefixes.items():
            yield prefix.writes.use("s3.prefix_writes", name, now)
            yield prefix.reads.use("s3.prefix_reads", name, now)

    def _gate(self, method: str, bucket: str, key: str, now: float) -> Gate | None:
        if method not in READS and method not in WRITES:
            return None
        prefix = self._at(prefix_of(bucket, key, self._depth), now)
        return prefix.reads if method in READS else prefix.writes

    def _at(self, name: str, now: float) -> _Prefix:
        prefix = self._prefixes.get(name)
        if prefix is None:
            self._make_room(now)
            quotas = self._quotas
            prefix = self._prefixes[name] = _Prefix(quotas.prefix_reads, quotas.prefix_writes)
        return prefix

    def _make_room(self, now: float) -> None:
        """Forget the oldest if it is idle; else look at another one next time."""
        if len(self._prefixes) < _REMEMBERED:
            return
        name, prefix = next(iter(self._prefixes.items()))
        del self._prefixes[name]
        if not (prefix.reads.idle(now) and prefix.writes.idle(now)):
            self._prefixes[name] = prefix


class _Prefix:
    __slots__ = ("reads", "writes")

    def __init__(self, reads: float, writes: float) -> None:
        self.reads, self.writes = _gate(reads), _gate(writes)


def _gate(rate: float) -> Gate:
    return Gate(TokenBucket(rate, max(rate, 1.0)))  # a wind tunnel may have less than one a second
