from fleet.backoff import Backoff


def test_waits_double_up_to_the_bound_and_begin_again_after_success():
    """0.2, 0.4, 0.8, 1, 1 … then 0.2."""
    backoff = Backoff(0.2, 1.0)
    assert [backoff.next() for _ in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]
    backoff.reset()
    assert backoff.next() == 0.2
