"""Planning: what a load needs of each limit, and what is to be done."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from fleet.limits.plan import Need, NeedStatus, at_once, nearest_first, peak_rate, rounded_up
from fleet.limits.quotas import load_quotas
from load_tests.simulator.capacity import PhotoLoad, needs
from shoebox.stack.model import QueueTrigger, Stack, StackError, load_stack

STACK = load_stack(Path(__file__).parents[3] / "stack.yaml")


def need(needed: float, *, ceiling: float = math.inf, reserved: float = 0) -> Need:
    """Return a need of a limit of 1,000."""
    return Need("a.limit", "it", needed, 1000, "x", ceiling=ceiling, instead="spread keys", reserved=reserved)


@pytest.mark.parametrize(
    ("one", "advice"),
    [
        pytest.param(need(800), "ok", id="four fifths may be used"),
        pytest.param(need(801), "raise to 1,100", id="more may not"),
        pytest.param(need(1157), "raise to 1,500", id="two digits, up"),
        pytest.param(need(1157, reserved=100), "raise to 1,600", id="with what is reserved"),
        pytest.param(need(1157, ceiling=1250), "raise to 1,250", id="as far as it goes"),
        pytest.param(need(1300, ceiling=1250), "cannot be raised: spread keys", id="it does not go far enough"),
        pytest.param(need(801, ceiling=1000), "cannot be raised: spread keys", id="it is fixed, and near"),
        pytest.param(need(800, ceiling=1000), "ok", id="it is fixed, and far"),
    ],
)
def test_advice_leaves_a_fifth_free(one: Need, advice: str) -> None:
    """A limit is raised to needed / 0.8, if it can be ("Service quotas", AWS General Reference: some are fixed)."""
    assert one.advice == advice


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, 0), (0.3, 1), (5, 5), (9.2, 10), (101.3, 110), (110, 110), (1446.8, 1500), (28_937, 29_000)],
)
def test_two_digits_are_enough(value: float, expected: float) -> None:
    """Rounded up, never down; what has two digits stays."""
    assert rounded_up(value) == pytest.approx(expected)


def test_a_days_peak_and_littles_law() -> None:
    """AWS Lambda, "Understanding Lambda function scaling": 100 requests a second of 500 ms are 50 at once."""
    assert peak_rate(8_640_000, 10) == pytest.approx(1000)
    assert at_once(100, 0.5) == 50


def test_the_nearest_comes_first() -> None:
    """What needs nothing is left out; without limit comes last."""
    endless = Need("endless", "it", 1, math.inf, "x")
    unused = need(0)

    assert nearest_first([unused, endless, need(10), need(2000)]) == [need(2000), need(10), endless]
    assert (endless.status, unused.factor) == (NeedStatus.OK, math.inf)


def planned(stack: Stack = STACK, quotas: str = "aws", **load: float) -> dict[tuple[str, str], Need]:
    """Return the needs of 1,000 photos a second, or of another load."""
    found = needs(stack, load_quotas(quotas), PhotoLoad(**{"rate": 1000, **load}))  # type: ignore[arg-type]
    return {(n.limit, n.subject): n for n in found}


@pytest.mark.parametrize(
    ("limit", "subject", "needed", "maximum"),
    [
        pytest.param("gateway.rate", "account", 400, 10_000, id="Amazon API Gateway quotas"),
        pytest.param("lambda.concurrency", "account", 103, 1000, id="Understanding Lambda function scaling"),
        pytest.param("lambda.requests", "account", 600, 10_000, id="Lambda quotas: ten for each"),
        pytest.param("lambda.scaling", "ingest", 28, 1000, id="Lambda scaling behavior: 5 + 50 batches, 2 slots"),
        pytest.param("lambda.mapping_concurrency", "ingest", 70, 4, id="Configuring scaling behavior for SQS"),
        pytest.param("sqs.in_flight", "uploads", 700, 120_000, id="Amazon SQS message quotas"),
        pytest.param("dynamodb.table_writes", "files", 3000, 40_000, id="Transactions: How it works: 2 + 1"),
        pytest.param(
            "dynamodb.index_writes", "files/index/by-owner", 2000, 40_000, id="Global Secondary Indexes: 1 + 1"
        ),
        pytest.param("dynamodb.table_reads", "files", 3500, 40_000, id="read and write operations: 2 + 3 × 0.5"),
        pytest.param("dynamodb.new_table_writes", "files", 3000, 4000, id="on-demand capacity mode"),
        pytest.param("dynamodb.partition_writes", "files/index/by-owner", 12.5, 1000, id="partition keys: 50 / 8 × 2"),
        pytest.param("s3.prefix_writes", "personal/originals/", 1000, 3500, id="Best practices design patterns: PUT"),
        pytest.param("s3.prefix_reads", "personal/originals/", 1000, 5500, id="Best practices design patterns: GET"),
        pytest.param(
            "s3.prefix_writes", "personal/renditions/", 3000, 3500, id="Best practices design patterns: 3 PUT"
        ),
    ],
)
def test_what_a_thousand_photos_a_second_need(limit: str, subject: str, needed: float, maximum: float) -> None:
    """Each limit by the calls that photos make; the ids name the AWS pages. The counts' proof: tests/e2e."""
    found = planned()[limit, subject]

    assert (found.needed, found.maximum) == (pytest.approx(needed), maximum)


def test_short_functions_are_held_by_their_requests() -> None:
    """Lambda quotas: ten requests a second for each unit of concurrency, so it is the concurrency that is raised."""
    found = planned(rate=30_000, api_seconds=0.001, authorizer_seconds=0.001)["lambda.requests", "account"]

    assert found.status is NeedStatus.FIXED
    assert found.advice.endswith("so raise lambda.concurrency to 2,300")


def changed(name: str, **changes: object) -> Stack:
    """stack.yaml with another function `name`."""
    function = STACK.functions[name].model_copy(update=changes)
    return STACK.model_copy(update={"functions": {**STACK.functions, name: function}})


def test_a_reservation_has_its_own_row() -> None:
    """ "Configuring reserved concurrency": it is taken from the account's, and only its function uses it."""
    found = planned(changed("ingest", reserved_concurrency=80))

    own, account = found["lambda.reserved_concurrency", "ingest"], found["lambda.concurrency", "account"]
    assert (own.needed, own.maximum, own.raise_to) == (pytest.approx(70), 80, 88)
    assert (account.needed, account.maximum) == (pytest.approx(33), 920)


@pytest.mark.parametrize(
    ("trigger", "advice"),
    [
        pytest.param({"maximum_concurrency": 4}, "raise to 880 (maximum_concurrency in stack.yaml)", id="maximum"),
        pytest.param({}, "ok", id="standard: 1,250"),
        pytest.param({"provisioned": {"maximum": 20}}, "raise to 880 (ten for each", id="provisioned: 20 × 10"),
    ],
)
def test_how_a_mapping_scales_decides_its_row(trigger: dict[str, object], advice: str) -> None:
    """Lambda, "Configuring scaling behavior for SQS event source mappings"."""
    stack = changed("ingest", queue=QueueTrigger.model_validate({"name": "uploads", **trigger}))

    found = planned(stack, rate=10_000)["lambda.mapping_concurrency", "ingest"]

    assert found.needed == pytest.approx(700)
    assert found.advice.startswith(advice)


def test_without_quotas_all_is_well() -> None:
    """`off`: only what stack.yaml itself says can bind."""
    assert {n.limit for n in planned(quotas="off").values() if n.status is not NeedStatus.OK} == {
        "lambda.mapping_concurrency"
    }


def test_without_a_cache_every_request_asks_the_authorizer() -> None:
    """ "Use API Gateway Lambda authorizers": ttl 0 caches nothing."""
    authorizer = STACK.gateway.authorizer.model_copy(update={"ttl": 0})
    stack = STACK.model_copy(update={"gateway": STACK.gateway.model_copy(update={"authorizer": authorizer})})

    assert planned(stack)["lambda.requests", "account"].needed == pytest.approx(400 + 400 + 100)


def test_another_stack_cannot_be_planned() -> None:
    """A stack without the functions of a photo's way is refused, by name."""
    functions = {name: function for name, function in STACK.functions.items() if name != "ingest"}

    with pytest.raises(StackError, match="does not have: ingest"):
        planned(STACK.model_copy(update={"functions": functions}))
