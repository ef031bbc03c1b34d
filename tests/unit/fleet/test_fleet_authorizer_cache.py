from fleet.gateway.authorizer_cache import AuthorizerCache, cache_key


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def test_an_answer_lives_for_its_time():
    """At 300 s it is asked for again."""
    clock = Clock()
    cache = AuthorizerCache[str](300, clock=clock)
    cache.put(b"k", "yes")
    clock.now = 299.9
    assert cache.get(b"k") == "yes"
    clock.now = 300.0
    assert cache.get(b"k") is None
    assert cache.statistics().size == 0


def test_no_time_means_no_cache():
    """A TTL of 0 keeps nothing."""
    cache = AuthorizerCache[str](0, clock=Clock())
    cache.put(b"k", "yes")
    assert cache.get(b"k") is None


def test_the_least_used_answer_makes_room():
    """The number of answers is bounded, whatever tokens come in."""
    cache = AuthorizerCache[int](300, most=2, clock=Clock())
    cache.put(b"a", 1)
    cache.put(b"b", 2)
    cache.get(b"a")
    cache.put(b"c", 3)
    assert (cache.get(b"a"), cache.get(b"b"), cache.get(b"c")) == (1, None, 3)
    assert cache.statistics().size == 2


def test_a_key_does_not_hold_the_token():
    """Whoever reads the process's memory finds hashes; the parts of an identity do not run together."""
    assert b"secret" not in cache_key("secret-token")
    assert cache_key("a", "b") != cache_key("ab", "")
    assert cache_key("a", "b\0c") != cache_key("a\0b", "c"), "a query may hold any character"
    assert cache_key("1:a") != cache_key("", "a")
