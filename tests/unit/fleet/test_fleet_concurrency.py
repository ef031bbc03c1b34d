from fleet.limits.concurrency import ADMIT, Concurrency, Throttle, ThrottleReason


def test_account_concurrency_is_shared_by_functions_without_a_reservation():
    """Two functions use up the account together; the third invocation is refused with AWS's reason."""
    limits = Concurrency(2, {})
    assert limits.enter("a", 0.0) == ADMIT
    assert limits.enter("b", 0.0) == ADMIT
    assert limits.enter("c", 0.0) == Throttle(ThrottleReason.ACCOUNT)


def test_a_place_that_is_given_back_is_free_again():
    """After `leave` the next invocation is admitted."""
    limits = Concurrency(1, {})
    limits.enter("a", 0.0)
    limits.leave("a", 1.0)
    assert limits.enter("b", 1.0) == ADMIT


def test_reserved_concurrency_is_taken_from_the_account_and_bounds_its_function():
    """A reservation of 2 of 3 leaves one for the others, and its function gets two and no more."""
    limits = Concurrency(3, {"a": 2})
    assert [limits.enter("a", 0.0) for _ in range(3)] == [ADMIT, ADMIT, Throttle(ThrottleReason.RESERVED)]
    assert [limits.enter("b", 0.0) for _ in range(2)] == [ADMIT, Throttle(ThrottleReason.ACCOUNT)]


def test_reserving_nothing_switches_a_function_off():
    """Reserved concurrency 0 refuses every invocation, as on AWS."""
    assert Concurrency(10, {"a": 0}).enter("a", 0.0) == Throttle(ThrottleReason.RESERVED)
