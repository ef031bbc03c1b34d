"""A whole day in some minutes: each second of the run stands for many of the day, at that second's real rate."""

from load_tests.arrivals import DayInMinutes
from load_tests.scenarios.model import Scenario

SCENARIO = Scenario(
    name="day",
    title="A day's uploads",
    about="The day's curve, low at night and three times the mean in the evening. Time is compressed, rates are not.",
    shape=lambda uploads_per_day, seconds: DayInMinutes("day", uploads_per_day, seconds),
    uploads_per_day=1_000_000,
    seconds=600,
    thresholds=("lost==0", "refused==0", "dead_letters==0", "api_failures_share<0.001", "ready_p99<10"),
)
