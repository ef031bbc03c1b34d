"""A load run from the stack's side: its metrics, limits, queues and processes, sampled once a second.

observer     the whole: `sample()` once a second, `finish()` at the end
source       the stack's control port, asked over one connection; without an answer the sample is a gap
scrape       one sample: /metrics and /quotas, as values by name and labels
increases    counters' growth from the first sample on, over restarts too
panels       lines of the charts
limits       peaks, refusals and what to ask AWS for
queues       depth, age, dead letters
functions    concurrency, throttles, environments
generator    CPU and memory of the load generator and its host
processes    CPU and memory of the stack's processes, by their role
billed       quantities that AWS bills
"""

from __future__ import annotations

from load_tests.observe.billed import BilledUsage
from load_tests.observe.observer import Observed, Observer

__all__ = ["BilledUsage", "Observed", "Observer"]
