"""Ten times the mean for five minutes: the queue takes what the workers can't do at once, and gives it back."""

from load_tests.arrivals import DAY, PEAK_FACTOR, spike
from load_tests.scenarios.model import Scenario

SCENARIO = Scenario(
    name="christmas",
    title="Christmas: ten times the mean for five minutes",
    about="The API must not feel the peak: photos may wait in the queue, and none may be lost or refused.",
    shape=lambda uploads_per_day, seconds: spike(uploads_per_day / DAY, PEAK_FACTOR * uploads_per_day / DAY, seconds),
    uploads_per_day=400_000,
    seconds=500,
    thresholds=("lost==0", "refused==0", "dead_letters==0", "api_failures_share<0.001", "api_p99<2", "ready_p99<120"),
)
