"""Hundreds of phones upload for one user at once, as at a wedding: does one owner make a hot key?"""

from load_tests.arrivals import DAY, constant
from load_tests.scenarios.model import Scenario

SCENARIO = Scenario(
    name="one-owner",
    title="One owner, hundreds of phones",
    about="All photos are one user's, 300 a second. Its shards in DynamoDB must bear it, unthrottled.",
    shape=lambda uploads_per_day, seconds: constant(uploads_per_day / DAY, seconds),
    uploads_per_day=300 * DAY,
    seconds=120,
    users=1,
    scale=10,
    thresholds=("lost==0", "refused==0", "dead_letters==0", "dynamodb_throttles==0", "ready_p99<15"),
)
