"""The renditions of a photo: one table for ingest, API, clean-up, client, load tests and benchmarks.

A line more is a size more, for photos that ingest takes from then on: a file that is READY keeps what it has, and its
item says what that is. A name must stay here as long as files have it: clean-up deletes the renditions of this table.
Nothing of ours is imported here: a render process reads it as well.
"""

from __future__ import annotations

from types import MappingProxyType

# Name, which ends the S3 key → long side in pixels at most. The largest comes first: each is made from the one before.
RENDITIONS = MappingProxyType(
    {
        "2048": 2048,
        "1024": 1024,
        "320": 320,
    }
)
LARGEST = max(RENDITIONS.values())
