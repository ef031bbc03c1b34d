"""A moment of a whole fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fleet.async_events import AsyncStatistics
from fleet.environments.pool import PoolStatistics
from fleet.gateway.authorizer_cache import CacheStatistics
from fleet.queues.mapping_settings import MappingStatistics


@dataclass(frozen=True, slots=True)
class FleetStatistics:
    """Pools and mappings in the order of stack.yaml, asynchronous events by function, and the authorizer's cache.

    Behind the mappings are S3's deliveries, where it invokes functions itself (fleet.queues.s3_delivery).
    """

    pools: Sequence[PoolStatistics]
    mappings: Sequence[MappingStatistics]
    events: Sequence[AsyncStatistics]
    authorizer: CacheStatistics
