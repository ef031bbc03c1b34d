"""Half of what the machine can do, for an hour: does anything grow, or slow down?"""

from load_tests.arrivals import DAY, constant
from load_tests.scenarios.model import Scenario

SCENARIO = Scenario(
    name="soak",
    title="An hour at a steady rate",
    about="The last quarter must be as quick as the first, and the functions' memory must not grow.",
    shape=lambda uploads_per_day, seconds: constant(uploads_per_day / DAY, seconds),
    uploads_per_day=25 * DAY,
    seconds=3600,
    thresholds=("lost==0", "refused==0", "dead_letters==0", "ready_p99<5", "delay_drift<1.5", "memory_growth<1.2"),
)
