"""Metrics of the domain, for Prometheus. Names and meaning: docs/reference/telemetry.md.

Where PROMETHEUS_MULTIPROC_DIR is set, every process writes there and the fleet's /metrics shows their sum.
"""

from __future__ import annotations

from prometheus_client import Counter, Histogram

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)

PHOTOS = Counter("shoebox_photos", "Photos that reached a final state.", ["state", "reason"])
REPEATED = Counter("shoebox_photos_repeated", "Photos that were prepared although another delivery had finished them.")
SKIPPED = Counter("shoebox_photos_skipped", "Deliveries of photos that had a final state already, so nothing was done.")
STALE = Counter("shoebox_uploads_stale", "Bytes of an older registration, or of none: ordered to be deleted.")
STAGE_SECONDS = Histogram(
    "shoebox_stage_seconds", "Time a photo took from registration to each later stage.", ["stage"], buckets=_SECONDS
)
RENDER_SECONDS = Histogram(
    "shoebox_render_seconds", "Time to make all renditions of a photo.", buckets=(0.005, 0.01, 0.025, *_SECONDS[:7])
)
RENDER_PROCESSES_ENDED = Counter(
    "shoebox_render_processes_ended", "Processes that ended in the middle of a picture.", ["cause"]
)
GIVEN_BACK = Counter(
    "shoebox_messages_given_back", "Messages that the deadline left, made visible again at once.", ["function"]
)
BATCH_MESSAGES = Counter("shoebox_batch_messages", "Messages of a batch by their outcome.", ["function", "fate"])
