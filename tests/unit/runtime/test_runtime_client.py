"""When to try again, and when to stop."""

from workers.runtime.client import Backoff


def test_delays_double_up_to_a_second_until_the_limit() -> None:
    """Failures of ten seconds in a row are enough."""
    now = 100.0
    backoff = Backoff(10, clock=lambda: now)
    delays = []
    while (delay := backoff.failed()) is not None:
        delays.append(delay)
        now += delay
    assert delays[:6] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0]
    assert max(delays) == 1.0
    assert 10 <= now - 100 < 11


def test_success_starts_anew() -> None:
    """Only failures in a row count."""
    now = 0.0
    backoff = Backoff(1, clock=lambda: now)
    assert backoff.failed() == 0.05
    now = 0.9
    assert backoff.failed() == 0.1
    backoff.succeeded()
    now = 50
    assert backoff.failed() == 0.05
