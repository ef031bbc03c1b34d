"""The store of tenants' keys: fresh, rotated, unknown, stale and under attack."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from api.tenant_keys import KeyCachePolicy, TenantKeys
from shoebox.errors import Unauthorized, Unavailable
from shoebox.tenants.keys import KeyPair, jwks_document

OLD, NEW = KeyPair.generate(), KeyPair.generate()


class Publisher:
    """A place where tenants publish keys; counts who asks, can be down, and can be slow."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {"demo": jwks_document([OLD])}
        self.asked: Counter[str] = Counter()
        self.down = False
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = asyncio.Event()

    async def fetch(self, tenant: str) -> bytes | None:
        """Fetch as `HttpKeySource.fetch` does."""
        self.asked[tenant] += 1
        self.waiting.set()
        await self.open.wait()
        if self.down:
            raise Unavailable("no response")
        return self.documents.get(tenant)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def publisher() -> Publisher:
    """Return a publisher that knows the tenant `demo` and its old key."""
    return Publisher()


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def store(publisher: Publisher, clock: Clock) -> TenantKeys:
    """Return a store with small, round rules."""
    return TenantKeys(publisher, KeyCachePolicy(ttl=300, max_stale=3600, retry_after=30, max_tenants=3), clock=clock)


async def code(store: TenantKeys, tenant: str, key_id: str) -> str:
    """Return the code that asking for a key is refused with."""
    with pytest.raises(Unauthorized) as refused:
        await store.key(tenant, key_id)
    return refused.value.code


async def test_keys_are_fetched_once_while_fresh(store: TenantKeys, publisher: Publisher, clock: Clock) -> None:
    """One fetch serves every request until the keys are as old as `ttl`; then one more."""
    for _ in range(3):
        assert (await store.key("demo", OLD.key_id)).key_id == OLD.key_id
    clock.now += 299.9
    await store.key("demo", OLD.key_id)
    assert publisher.asked == {"demo": 1}

    clock.now += 0.1
    await store.key("demo", OLD.key_id)
    assert publisher.asked == {"demo": 2}


async def test_requests_at_one_time_share_one_fetch(store: TenantKeys, publisher: Publisher) -> None:
    """A burst after a cold start asks once for each tenant."""
    publisher.open.clear()
    publisher.documents["other"] = jwks_document([NEW])
    asked = [asyncio.create_task(store.key(*of)) for of in [("demo", OLD.key_id), ("other", NEW.key_id)] * 20]
    await publisher.waiting.wait()
    publisher.open.set()

    assert {key.key_id for key in await asyncio.gather(*asked)} == {OLD.key_id, NEW.key_id}
    assert publisher.asked == {"demo": 1, "other": 1}


async def test_a_caller_that_gives_up_takes_nothing_from_the_others(store: TenantKeys, publisher: Publisher) -> None:
    """The shared fetch goes on when the request that began it is cancelled."""
    publisher.open.clear()
    first = asyncio.create_task(store.key("demo", OLD.key_id))
    await publisher.waiting.wait()
    second = asyncio.create_task(store.key("demo", OLD.key_id))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    publisher.open.set()

    assert (await second).key_id == OLD.key_id
    assert publisher.asked == {"demo": 1}


async def test_a_rotated_key_is_found_before_the_old_ones_age(
    store: TenantKeys, publisher: Publisher, clock: Clock
) -> None:
    """A token with a new key id causes a fetch at once; a key taken away is gone with it."""
    await store.key("demo", OLD.key_id)
    publisher.documents["demo"] = jwks_document([NEW])
    clock.now += 30

    assert (await store.key("demo", NEW.key_id)).key_id == NEW.key_id
    assert await code(store, "demo", OLD.key_id) == "key_unknown"
    assert publisher.asked == {"demo": 2}


async def test_guessed_key_ids_cost_one_fetch_in_thirty_seconds(
    store: TenantKeys, publisher: Publisher, clock: Clock
) -> None:
    """A flood of tokens with invented key ids is answered from memory."""
    assert {await code(store, "demo", f"guess{n}") for n in range(50)} == {"key_unknown"}
    assert publisher.asked == {"demo": 1}

    clock.now += 30
    assert {await code(store, "demo", f"guess{n}") for n in range(50)} == {"key_unknown"}
    assert publisher.asked == {"demo": 2}
    clock.now += 29.9
    assert await code(store, "demo", "guess") == "key_unknown"
    assert publisher.asked == {"demo": 2}


async def test_an_unknown_tenant_is_remembered_and_asked_for_again_later(
    store: TenantKeys, publisher: Publisher, clock: Clock
) -> None:
    """Guessing costs one fetch in thirty seconds; a tenant that begins is known soon after."""
    assert {await code(store, "shop", "k") for _ in range(5)} == {"tenant_unknown"}
    assert publisher.asked == {"shop": 1}

    publisher.documents["shop"] = jwks_document([NEW])
    clock.now += 30
    assert (await store.key("shop", NEW.key_id)).key_id == NEW.key_id
    assert publisher.asked == {"shop": 2}


async def test_a_tenant_that_leaves_is_refused(store: TenantKeys, publisher: Publisher, clock: Clock) -> None:
    """When the keys are taken away they count no longer than `ttl`."""
    await store.key("demo", OLD.key_id)
    publisher.documents.clear()
    clock.now += 300

    assert await code(store, "demo", OLD.key_id) == "tenant_unknown"


async def test_guessed_tenants_never_push_out_real_ones(store: TenantKeys, publisher: Publisher) -> None:
    """Memory is bounded, and a flood of invented names only displaces other invented names."""
    await store.key("demo", OLD.key_id)
    for n in range(20):
        await code(store, f"guess{n}", "k")
    await store.key("demo", OLD.key_id)

    assert publisher.asked["demo"] == 1
    assert (store.statistics.known, store.statistics.unknown) == (1, 3)


async def test_the_least_recently_asked_tenant_is_forgotten(store: TenantKeys, publisher: Publisher) -> None:
    """With more tenants than there is room for, the busy ones stay."""
    for tenant in ("aa", "bb", "cc"):
        publisher.documents[tenant] = jwks_document([OLD])
        await store.key(tenant, OLD.key_id)
    await store.key("aa", OLD.key_id)
    await store.key("demo", OLD.key_id)  # pushes out bb
    for tenant in ("aa", "cc", "demo", "bb"):
        await store.key(tenant, OLD.key_id)

    assert publisher.asked == {"aa": 1, "bb": 2, "cc": 1, "demo": 1}


async def test_old_keys_serve_while_new_ones_cannot_be_had(
    store: TenantKeys, publisher: Publisher, clock: Clock
) -> None:
    """An outage is bridged for `max_stale`, with one try in `retry_after`; what outlasts that is an error."""
    await store.key("demo", OLD.key_id)
    publisher.down = True
    clock.now += 300
    for _ in range(5):
        assert (await store.key("demo", OLD.key_id)).key_id == OLD.key_id
    assert publisher.asked == {"demo": 2}
    clock.now += 30
    await store.key("demo", OLD.key_id)
    assert publisher.asked == {"demo": 3}

    clock.now += 3270
    with pytest.raises(Unavailable):
        await store.key("demo", OLD.key_id)
    publisher.down = False
    assert (await store.key("demo", OLD.key_id)).key_id == OLD.key_id


async def test_an_outage_is_an_error_and_no_denial(store: TenantKeys, publisher: Publisher) -> None:
    """Without any keys nothing can be said of the token; the next request asks again, without a pause."""
    publisher.down = True
    with pytest.raises(Unavailable):
        await store.key("demo", OLD.key_id)
    publisher.down = False

    assert (await store.key("demo", OLD.key_id)).key_id == OLD.key_id


async def test_an_unknown_tenant_stays_unknown_in_an_outage(
    store: TenantKeys, publisher: Publisher, clock: Clock
) -> None:
    """A failed second look changes nothing, and waits before the third."""
    await code(store, "shop", "k")
    publisher.down = True
    clock.now += 30

    assert {await code(store, "shop", "k") for _ in range(5)} == {"tenant_unknown"}
    assert publisher.asked == {"shop": 2}


@pytest.mark.parametrize("text", [b"", b"<Error/>", b'{"keys": 1}'])
async def test_a_broken_document_does_not_replace_good_keys(
    store: TenantKeys, publisher: Publisher, clock: Clock, text: bytes
) -> None:
    """A slip in publishing is like an outage: the keys held serve on, and without any it is an error."""
    await store.key("demo", OLD.key_id)
    publisher.documents |= {"demo": text, "shop": text}
    clock.now += 300

    assert (await store.key("demo", OLD.key_id)).key_id == OLD.key_id
    with pytest.raises(Unavailable):
        await store.key("shop", OLD.key_id)
    assert store.statistics.failures == 2


async def test_a_document_without_usable_keys_is_valid(store: TenantKeys, publisher: Publisher) -> None:
    """A tenant may withdraw every key."""
    publisher.documents["demo"] = b'{"keys": []}'

    assert await code(store, "demo", OLD.key_id) == "key_unknown"


async def test_with_a_ttl_of_zero_every_request_asks(publisher: Publisher, clock: Clock) -> None:
    """`SHOEBOX_KEYS_TTL=0` turns the memory off, but for outages."""
    ticking: Callable[[], float] = clock
    store = TenantKeys(publisher, KeyCachePolicy(ttl=0), clock=ticking)
    for _ in range(3):
        clock.now += 1
        await store.key("demo", OLD.key_id)
    publisher.down = True
    clock.now += 1
    await store.key("demo", OLD.key_id)
    await store.key("demo", OLD.key_id)

    assert publisher.asked == {"demo": 4}
