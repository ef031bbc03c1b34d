"""The same load twice: with the queue, and with S3 invoking one function for each event. Why there is a queue."""

from load_tests.curves import DAY
from load_tests.scenarios.model import Scenario
from load_tests.shapes import spike

SCENARIO = Scenario(
    name="naive",
    title="With the queue, and one function for each S3 event",
    about="Uploads that invoke a function each take the account's whole concurrency, and the API is throttled by them.",
    shape=lambda uploads_per_day, seconds: spike(uploads_per_day / DAY / 10, uploads_per_day / DAY, seconds),
    uploads_per_day=40 * 100 * DAY,
    seconds=120,
    scale=100,
    thresholds=("lost==0", "refused==0", "dead_letters==0", "api_throttles==0", "api_failures_share<0.001"),
    naive_thresholds=("api_throttles>0", "api_failures>0"),
)
