"""How many batches a mapping may have at work: AWS's figures, and what is decided where AWS names none."""

import math
from collections.abc import Callable

import pytest

from fleet.limits.event_source import FixedScale, InvocationOutcome, ProvisionedPollers, Scale, StandardScale
from fleet.limits.in_flight import InFlight
from fleet.limits.quotas import load_quotas

AWS = load_quotas("aws")
MB = 1024 * 1024


def backlog(scale: Scale, seconds: int, start: float = 0.0) -> None:
    """Make a full receive call every second, the first at `start`."""
    for second in range(seconds + 1):
        scale.received(start + second, messages=10, wanted=10, size=100)


def empty(scale: Scale, seconds: int, start: float = 0.0) -> None:
    """Make an empty receive call every twenty seconds, the first at `start`."""
    for second in range(0, seconds + 1, 20):
        scale.received(start + second, messages=0, wanted=10, size=0)


# AWS Lambda, "Configuring scaling behavior for SQS event source mappings": seconds of backlog, batches at once.
GROWTH = [
    pytest.param("aws", None, 0, 5, id="five batches at first"),
    pytest.param("aws", None, 60, 305, id="300 more in a minute"),
    pytest.param("aws", None, 120, 605, id="and 300 in the next"),
    pytest.param("aws", None, 249, 1250, id="1,250 at most"),
    pytest.param("aws", None, 3600, 1250, id="for ever"),
    pytest.param("aws", 2, 60, 2, id="MaximumConcurrency below five"),
    pytest.param("aws", 100, 60, 100, id="MaximumConcurrency above"),
    pytest.param("aws", 1000, 600, 1000, id="the highest MaximumConcurrency"),
    pytest.param("aws/100", None, 0, 1, id="aws/100 begins with one"),
    pytest.param("aws/100", None, 60, 4, id="grows by three a minute"),
    pytest.param("aws/100", None, 3600, 13, id="up to thirteen"),
]


@pytest.mark.parametrize(("quotas", "maximum", "seconds", "batches"), GROWTH)
def test_backlog_lets_a_mapping_grow(quotas: str, maximum: int | None, seconds: int, batches: int):
    """ "Configuring scaling behavior for SQS event source mappings", standard mode."""
    scale = StandardScale(load_quotas(quotas).mappings, maximum=maximum)
    backlog(scale, seconds)
    assert scale.limit(seconds) == batches


def test_without_backlog_it_stays_where_it_began():
    """Calls that come back half full are not a reason for more."""
    scale = StandardScale(AWS.mappings)
    for second in range(100):
        scale.received(second, messages=5, wanted=10, size=100)
    assert scale.limit(100) == 5


def test_it_sinks_to_five_when_the_queue_is_empty():
    """As fast as it grew; AWS names no time."""
    scale = StandardScale(AWS.mappings)
    backlog(scale, 60)
    empty(scale, 0, start=61)
    assert [scale.limit(second) for second in (61, 101, 200)] == [310, 110, 5]


# "can optimize to as few as 2 concurrent invokes ... not available when you enable the maximum concurrency setting"
IDLE = [
    pytest.param(None, 299, 5, id="a short while"),
    pytest.param(None, 301, 2, id="five minutes"),
    pytest.param(50, 3600, 5, id="with MaximumConcurrency"),
]


@pytest.mark.parametrize(("maximum", "seconds", "batches"), IDLE)
def test_an_idle_mapping_goes_down_to_two(maximum: int | None, seconds: int, batches: int):
    """ "Configuring scaling behavior for SQS event source mappings", when traffic is low."""
    scale = StandardScale(AWS.mappings, maximum=maximum)
    empty(scale, seconds)
    assert scale.limit(seconds) == batches


def test_messages_after_an_idle_time_find_five_again():
    """ "When messages are available, Lambda starts processing five batches at a time"."""
    scale = StandardScale(AWS.mappings)
    empty(scale, 400)
    assert scale.limit(400) == 2
    scale.received(401, messages=1, wanted=10, size=1)
    assert scale.limit(401) == 5


# "Handling errors for an SQS event source in Lambda": what reduces the concurrency.
LOWERED = [
    pytest.param(InvocationOutcome.THROTTLED, False, 3, id="throttle"),
    pytest.param(InvocationOutcome.THROTTLED, True, 3, id="throttle, with ReportBatchItemFailures"),
    pytest.param(InvocationOutcome.FUNCTION_ERROR, False, 3, id="function error"),
    pytest.param(InvocationOutcome.FUNCTION_ERROR, True, 5, id="function error, with ReportBatchItemFailures"),
    pytest.param(InvocationOutcome.SUCCESS, False, 5, id="success"),
]


@pytest.mark.parametrize(("end", "reports", "batches"), LOWERED)
def test_throttles_and_function_errors_lower_it(end: InvocationOutcome, reports: bool, batches: int):
    """ "Handling errors for an SQS event source in Lambda", backoff strategy and ReportBatchItemFailures."""
    scale = StandardScale(AWS.mappings, reports_failures=reports)
    scale.invocation_ended(0.0, end)
    assert scale.limit(0.0) == batches


def test_it_is_lowered_once_a_second_and_never_below_one():
    """A hundred throttles at once are one reason; a hundred seconds of them leave one batch."""
    scale = StandardScale(AWS.mappings)
    for _ in range(100):
        scale.invocation_ended(0.0, InvocationOutcome.THROTTLED)
    assert scale.limit(0.0) == 3
    for second in range(1, 100):
        scale.invocation_ended(float(second), InvocationOutcome.THROTTLED)
    assert scale.limit(99.0) == 1


def test_what_was_lowered_comes_back_without_backlog():
    """A mapping with little traffic does not stay at one batch for ever."""
    scale = StandardScale(AWS.mappings)
    for second in range(20):
        scale.invocation_ended(float(second), InvocationOutcome.THROTTLED)
    assert (scale.limit(19.0), scale.limit(29.0), scale.limit(30.0)) == (1, 1, 5)


@pytest.mark.parametrize("quotas", ["aws", "off"])
def test_no_more_batches_than_the_machine_can_run(quotas: str):
    """Its environments' slots; they may change."""
    slots = 16.0
    scale = StandardScale(load_quotas(quotas).mappings, capacity=lambda: slots)
    backlog(scale, 600)
    assert scale.limit(600) == 16
    slots = 0.0
    assert scale.limit(600) == 1


def test_without_quotas_there_is_only_maximum_concurrency():
    """`off` takes AWS's limits away, not those that stack.yaml describes."""
    quotas = load_quotas("off")
    scale = StandardScale(quotas.mappings, maximum=quotas.count(4), capacity=lambda: 64)
    assert scale.limit(0.0) == 4


# "Provisioned mode": pollers from minimum to maximum, 10 invokes each, 1,000 more invokes a minute.
PROVISIONED = [
    pytest.param("aws", 2, 200, 0, 20, id="two pollers at first"),
    pytest.param("aws", 10, 200, 0, 100, id="ten at first"),
    pytest.param("aws", 2, 200, 60, 1020, id="1,000 invokes more in a minute"),
    pytest.param("aws", 2, 200, 300, 2000, id="the maximum"),
    pytest.param("aws", 2, 2000, 3600, 20_000, id="20,000 at most"),
    pytest.param("aws/100", 2, 200, 0, 10, id="aws/100 has one poller"),
    pytest.param("aws/100", 2, 200, 3600, 20, id="and two at most"),
]


@pytest.mark.parametrize(("quotas", "minimum", "maximum", "seconds", "batches"), PROVISIONED)
def test_provisioned_pollers_grow_faster(quotas: str, minimum: int, maximum: int, seconds: int, batches: int):
    """ "Configuring scaling behavior for SQS event source mappings", provisioned mode."""
    scale = ProvisionedPollers(minimum, maximum, load_quotas(quotas))
    backlog(scale, seconds)
    assert scale.limit(seconds) == batches


def test_provisioned_pollers_sink_to_their_minimum_and_no_error_takes_them():
    """They are dedicated."""
    scale = ProvisionedPollers(2, 200, AWS)
    backlog(scale, 60)
    scale.invocation_ended(60.0, InvocationOutcome.THROTTLED)
    scale.invocation_ended(60.0, InvocationOutcome.FUNCTION_ERROR)
    assert scale.limit(60) == 1020
    empty(scale, 100, start=61)
    assert scale.limit(200) == 20


def test_a_poller_makes_ten_receive_calls_a_second():
    """Two pollers twenty; the next has to wait for a twentieth of a second."""
    scale = ProvisionedPollers(2, 2, AWS)
    assert [scale.pause(0.0) for _ in range(20)] == [0.0] * 20
    assert scale.pause(0.0) == pytest.approx(0.05)
    assert scale.pause(0.05) == 0.0


def test_a_poller_takes_one_megabyte_a_second():
    """Ten messages of 1 MB in all are charged when they are known; the next call waits until they are paid."""
    scale = ProvisionedPollers(2, 2, AWS)
    scale.pause(0.0)
    scale.received(0.0, messages=10, wanted=10, size=6 * MB)
    assert scale.pause(0.0) == pytest.approx(2.0)
    assert scale.pause(2.0) == 0.0


def test_provisioned_pollers_are_as_many_as_the_machine_can_use():
    """Also without quotas, where nothing has to wait."""
    scale = ProvisionedPollers(2, 200, load_quotas("off"), capacity=lambda: 8)
    backlog(scale, 60)
    assert (scale.limit(60), scale.pause(60)) == (8, 0.0)


@pytest.mark.parametrize(
    ("make", "maximum"),
    [
        pytest.param(lambda: StandardScale(AWS.mappings, function="ingest"), 1250, id="standard"),
        pytest.param(lambda: StandardScale(AWS.mappings, function="ingest", maximum=4), 4, id="MaximumConcurrency"),
        pytest.param(lambda: ProvisionedPollers(2, 3, AWS, function="ingest"), 30, id="provisioned"),
        pytest.param(lambda: FixedScale(5, function="ingest"), 5, id="fixed"),
        pytest.param(lambda: StandardScale(load_quotas("off").mappings, function="ingest"), math.inf, id="off"),
    ],
)
def test_use_tells_batches_at_work(make: Callable[[], Scale], maximum: float):
    """`lambda.mapping_concurrency` of the function."""
    scale = make()
    for _ in range(3):
        scale.started()
    scale.finished()
    scale.blocked(0.0)
    (use,) = scale.uses(0.0)
    assert (use.limit, use.subject, use.used, use.peak, use.maximum) == (
        "lambda.mapping_concurrency",
        "ingest",
        2,
        3,
        maximum,
    )
    assert use.throttled == 1


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: StandardScale(AWS.mappings, capacity=lambda: 2), id="standard"),
        pytest.param(lambda: ProvisionedPollers(2, 2, AWS, capacity=lambda: 2), id="provisioned"),
    ],
)
def test_what_the_machine_holds_back_is_not_awss_doing(make: Callable[[], Scale]):
    """A laptop's two slots are no limit that production would meet."""
    scale = make()
    scale.blocked(0.0)
    (use,) = scale.uses(0.0)
    assert use.throttled == 0


def test_a_fixed_scale_ignores_what_happens():
    """Functions whose environments others bring."""
    scale = FixedScale(5)
    backlog(scale, 60)
    scale.invocation_ended(60.0, InvocationOutcome.THROTTLED)
    assert (scale.limit(60.0), scale.pause(60.0)) == (5, 0.0)


# Amazon SQS, "Amazon SQS message quotas": 120,000 in flight.
IN_FLIGHT = [
    pytest.param("aws", 120_000, id="aws"),
    pytest.param("aws/100", 1_200, id="aws/100"),
    pytest.param("off", math.inf, id="off"),
]


@pytest.mark.parametrize(("quotas", "room"), IN_FLIGHT)
def test_a_queue_has_room_for_awss_number(quotas: str, room: float):
    """ "Amazon SQS message quotas", in-flight messages."""
    assert InFlight("uploads", load_quotas(quotas).mappings.in_flight, 30).room(0.0) == room


def test_messages_in_flight_count_until_they_are_deleted_or_visible_again():
    """Received at 0 and 10 with a timeout of 30 s."""
    queue = InFlight("uploads", 3, 30)
    queue.received(0.0, ["a", "b"])
    queue.received(10.0, ["c"])
    assert queue.room(10.0) == 0
    queue.gone(["a", "unknown"])
    assert queue.room(10.0) == 1
    assert queue.room(30.0) == 2
    assert queue.room(40.0) == 3


def test_the_use_of_a_queue_tells_peak_and_refusals():
    """`sqs.in_flight`."""
    queue = InFlight("uploads", 3, 30)
    queue.received(0.0, ["a", "b"])
    queue.refused()
    queue.gone(["a"])
    (use,) = queue.uses(0.0)
    assert (use.limit, use.subject, use.used, use.peak, use.maximum) == ("sqs.in_flight", "uploads", 1, 2, 3)
    assert use.throttled == 1
