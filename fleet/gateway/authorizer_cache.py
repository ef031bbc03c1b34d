"""Authorizers' answers by identity: bounded in time and in number. Pure; identities are kept as hashes."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Answers kept now, and look-ups that found one or did not."""

    size: int
    hits: int
    misses: int


class AuthorizerCache(Generic[Answer]):
    """Keeps each answer `ttl` seconds (0: not at all), the `most` last used of them."""

    def __init__(self, ttl: float, *, most: int = 10_000, clock: Callable[[], float]) -> None:
        self._ttl = ttl
        self._most = most
        self._clock = clock
        self._answers: OrderedDict[bytes, tuple[float, Answer]] = OrderedDict()
        self._hits = 0
        self._misses = 0

    @property
    def keeps(self) -> bool:
        """Whether answers are kept at all."""
        return self._ttl > 0

    def get(self, key: bytes) -> Answer | None:
        """The answer for a key, unless it is too old."""
        kept = self._answers.get(key)
        if kept is None or self._clock() >= kept[0]:
            self._answers.pop(key, None)
            self._misses += 1
            return None
        self._hits += 1
        self._answers.move_to_end(key)
        return kept[1]

    def put(self, key: bytes, answer: Answer) -> None:
        """Keep an answer; the least used one makes room."""
        if self._ttl <= 0:
            return
        self._answers[key] = (self._clock() + self._ttl, answer)
        self._answers.move_to_end(key)
        if len(self._answers) > self._most:
            self._answers.popitem(last=False)

    def statistics(self) -> CacheStatistics:
        """The cache as it is now."""
        return CacheStatistics(len(self._answers), self._hits, self._misses)


def cache_key(*identity: str) -> bytes:
    """The key of an identity; a token cannot be read back from it. Lengths keep ("a", "bc") and ("ab", "c") apart."""
    return hashlib.sha256("".join([f"{len(value)}:{value}" for value in identity]).encode()).digest()
