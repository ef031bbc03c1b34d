"""One minute at a modest rate: does everything work, from the token to the rendition?"""

from load_tests.arrivals import DAY, constant
from load_tests.scenarios.model import Scenario

SCENARIO = Scenario(
    name="smoke",
    title="A minute's smoke test",
    about="Phones upload a realistic mix of photos at a constant rate. Everything must work, and quickly.",
    shape=lambda uploads_per_day, seconds: constant(uploads_per_day / DAY, seconds),
    uploads_per_day=350_000,
    seconds=60,
    mix="phones",
    thresholds=("lost==0", "refused==0", "dead_letters==0", "api_failures==0", "ready_p99<10"),
)
