"""Lambda's limits on invocations, each as AWS's pages have it.

UFS: AWS Lambda, "Understanding Lambda function scaling". SB: "Lambda scaling behavior". LQ: "Lambda quotas".
"""

import math

import pytest

from fleet.limits.concurrency import LambdaLimits, ThrottleReason
from fleet.limits.quotas import LambdaQuotas, QuotasError, load_quotas
from fleet.limits.use import LimitUse

AWS = LambdaQuotas()


def limits(
    quotas: LambdaQuotas = AWS, reserved: dict[str, float] | None = None, slots: dict[str, int] | None = None
) -> LambdaLimits:
    """Return all limits of an account with the functions a, b and c."""
    return LambdaLimits(quotas, reserved or {}, {"a": 1, "b": 1, "c": 1, **(slots or {})})


def enter(kept: LambdaLimits, function: str, times: int, now: float = 0.0, **options: bool) -> list[ThrottleReason]:
    """Invoke so often at once, and see what was refused."""
    return [reason for _ in range(times) if (reason := kept.enter(function, now, **options))]


@pytest.mark.parametrize(
    ("reserved", "function", "fit", "reason"),
    [
        pytest.param({}, "a", 1000, ThrottleReason.ACCOUNT, id="UFS: the account's 1,000 are everybody's"),
        pytest.param({"b": 400}, "a", 600, ThrottleReason.ACCOUNT, id="UFS: what is reserved is taken from the others"),
        pytest.param({"a": 400}, "a", 400, ThrottleReason.RESERVED, id="UFS: a reservation is a ceiling, too"),
        pytest.param({"a": 0}, "a", 0, ThrottleReason.RESERVED, id="UFS: 0 switches a function off"),
    ],
)
def test_concurrency(reserved: dict[str, float], function: str, fit: int, reason: ThrottleReason):
    """So many invocations run at once, and the next one is refused with AWS's reason."""
    kept = limits(reserved=reserved)
    assert enter(kept, function, fit) == []
    assert enter(kept, function, 1) == [reason]


def test_a_place_that_is_given_back_is_free_again():
    """After `leave` the next invocation is admitted."""
    kept = limits(LambdaQuotas(concurrency=1, unreserved_least=1))
    assert enter(kept, "a", 2) == [ThrottleReason.ACCOUNT]
    kept.leave("a", 1.0)
    assert kept.enter("b", 1.0) is None


def test_reserved_functions_and_others_do_not_take_from_each_other():
    """UFS: a full account leaves a reservation alone, and a full reservation the account."""
    kept = limits(reserved={"a": 300})
    enter(kept, "b", 700)
    assert enter(kept, "a", 301) == [ThrottleReason.RESERVED]
    assert enter(kept, "c", 1) == [ThrottleReason.ACCOUNT]


@pytest.mark.parametrize(
    ("reserved", "accepted"),
    [
        pytest.param(900, True, id="100 stay"),
        pytest.param(901, False, id="99 would stay"),
        pytest.param(0, True, id="none"),
    ],
)
def test_a_hundred_always_stay_unreserved(reserved: float, accepted: bool):
    """Configuring reserved concurrency: up to the account's limit minus 100 may be reserved."""
    if accepted:
        limits(reserved={"a": reserved})
        return
    with pytest.raises(QuotasError, match=r"at least 100 must stay unreserved, and 901 are reserved \(a 901\)"):
        limits(reserved={"a": reserved})


@pytest.mark.parametrize(
    ("reserved", "function", "fit", "reason"),
    [
        pytest.param({}, "a", 10_000, ThrottleReason.RATE, id="LQ: 10 × the account's concurrency"),
        pytest.param({"a": 20}, "a", 200, ThrottleReason.RESERVED_RATE, id="UFS: 10 × its own, where it is reserved"),
    ],
)
def test_requests_a_second(reserved: dict[str, float], function: str, fit: int, reason: ThrottleReason):
    """Invocations that end at once are held to ten a second for each unit of concurrency."""
    kept = limits(reserved=reserved)
    refused = 0
    for _ in range(fit + 1):
        if found := kept.enter(function, 5.0):
            refused += 1
            assert found == reason
        else:
            kept.leave(function, 5.0)
    assert refused == 1
    assert kept.enter(function, 6.0) is None


def test_asynchronous_events_have_no_request_rate():
    """LQ: for asynchronous invocations the requests a second are unlimited."""
    kept = limits(LambdaQuotas(concurrency=1, unreserved_least=1))
    for _ in range(50):
        assert kept.enter("a", 0.0, synchronous=False) is None
        kept.leave("a", 0.0)


def scaled_to(maximum: float) -> LambdaLimits:
    """Return an account whose functions get so many environments in ten seconds."""
    return limits(LambdaQuotas(concurrency=10_000, scaling_environments=maximum))


@pytest.mark.parametrize(
    ("seconds", "more"),
    [
        pytest.param(0.0, 0, id="SB: 1,000 at once, and no more"),
        pytest.param(1.0, 100, id="SB: refilled continuously"),
        pytest.param(10.0, 1000, id="SB: 1,000 every 10 seconds"),
        pytest.param(60.0, 1000, id="SB: what is unused does not accrue"),
    ],
)
def test_new_environments(seconds: float, more: int):
    """After the first 1,000 environments so many more may be created so much later."""
    kept = scaled_to(1000)
    assert enter(kept, "a", 1000) == []
    assert len(enter(kept, "a", 1100, seconds)) == 1100 - more


def test_the_scaling_rate_is_of_each_function():
    """SB: each function scales independently of the others."""
    kept = scaled_to(10)
    assert enter(kept, "a", 11) == [ThrottleReason.RATE]
    assert enter(kept, "b", 10) == []


def test_warm_environments_need_no_new_ones():
    """SB: only the creation of environments is limited; those that are idle are used again, until they are gone."""
    kept = scaled_to(10)
    enter(kept, "a", 10)
    for _ in range(10):
        kept.leave("a", 1.0)
    assert enter(kept, "a", 10, 1.0) == []
    for _ in range(10):
        kept.leave("a", 1.0)
    assert len(enter(kept, "a", 12, 400.0)) == 2


def test_slots_share_an_environment():
    """LMI: an environment of 16 slots takes 16 invocations, so ten of them take 160."""
    kept = limits(LambdaQuotas(concurrency=10_000, scaling_environments=10), slots={"a": 16})
    assert enter(kept, "a", 161) == [ThrottleReason.RATE]


def test_what_is_refused_uses_nothing_up():
    """A refusal by one limit takes no place and no request of another."""
    kept = limits(LambdaQuotas(concurrency=1, unreserved_least=1))
    kept.enter("a", 0.0)
    enter(kept, "a", 50)
    kept.leave("a", 0.0)
    assert kept.enter("a", 0.0) is None


def test_without_quotas_nothing_is_refused():
    """`off`: infinite everywhere."""
    kept = limits(load_quotas("off").functions)
    assert enter(kept, "a", 20_000) == []
    assert all(use.maximum == math.inf for use in kept.uses(1.0))


def test_use_and_refusals_are_told():
    """What runs, the highest so far, the limit, and how often it refused."""
    kept = limits(LambdaQuotas(concurrency=2, unreserved_least=1))
    enter(kept, "a", 3, 7.0)
    kept.leave("a", 7.0)
    uses = {(use.limit, use.subject): use for use in kept.uses(8.0)}
    assert uses["lambda.concurrency", "account"] == LimitUse(
        "lambda.concurrency", "account", 1, 2, 2, "invocations", throttled=1
    )
    assert uses["lambda.requests", "account"].used == 2
    assert uses["lambda.scaling", "a"].used == 2
