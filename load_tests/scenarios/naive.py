"""The same load twice: with the queue, and with S3 invoking one function for each event. Why there is a queue."""

from load_tests.arrivals import DAY, Stages
from load_tests.scenarios.model import Scenario

_USUAL = 0.05
_BURST = ((0, _USUAL), (10 / 45, _USUAL), (11 / 45, 1), (16 / 45, 1), (17 / 45, _USUAL), (1, _USUAL))
"""Part of the time, part of the peak: five seconds of it in 45. It must be more than the machine does, or the
functions keep up and use up nothing."""


def _burst(peak: float, seconds: float) -> Stages:
    return Stages(tuple((part * seconds, rate * peak) for part, rate in _BURST))


SCENARIO = Scenario(
    name="naive",
    title="With the queue, and one function for each S3 event",
    about="Uploads that invoke a function each take the account's whole concurrency, and the API is throttled by them.",
    shape=lambda uploads_per_day, seconds: _burst(uploads_per_day / DAY, seconds),
    uploads_per_day=1000 * DAY,
    seconds=45,
    scale=10,
    thresholds=("lost==0", "refused==0", "dead_letters==0", "api_throttles==0", "api_failures_share<0.001"),
    naive_thresholds=("api_throttles>0", "api_failures>0"),
)
