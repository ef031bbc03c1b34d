import asyncio

import pytest

from fleet.credentials import CredentialsCache, RoleCredentials
from shoebox.aws.credentials import Credentials


class Roles:
    """Assumes roles for 1,000 seconds from `now`."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[str] = []

    async def __call__(self, function: str) -> RoleCredentials:
        """Assume a role."""
        self.asked.append(function)
        await asyncio.sleep(0)
        return RoleCredentials(Credentials(f"AK{len(self.asked)}", "secret"), self.now + 1000)


async def test_a_role_is_assumed_once_and_again_before_it_ends():
    """At three quarters of its life the lease is renewed."""
    roles = Roles()
    cache = CredentialsCache(roles, clock=lambda: roles.now)
    first = await cache.get("api")
    roles.now = 749
    assert await cache.get("api") is first
    roles.now = 750
    assert await cache.get("api") is not first


async def test_callers_at_once_share_a_request_and_functions_do_not():
    """Ten environments that start together assume their role once."""
    roles = Roles()
    cache = CredentialsCache(roles, clock=lambda: roles.now)
    await asyncio.gather(*(cache.get("api") for _ in range(10)), cache.get("ingest"))
    assert sorted(roles.asked) == ["api", "ingest"]


async def test_what_was_forgotten_is_asked_for_again():
    """An emulator that has lost its sessions does not know the former keys."""
    roles = Roles()
    cache = CredentialsCache(roles, clock=lambda: roles.now)
    first = await cache.get("api")
    cache.forget()
    assert (await cache.get("api")).keys != first.keys
    assert roles.asked == ["api", "api"]


@pytest.mark.parametrize(
    ("life", "timeout", "usable"),
    [(43_200, 60, 43_080), (900, 29, 811), (100, 60, 50), (20, 900, 10)],
)
def test_keys_are_usable_as_long_as_the_last_invocation_can_finish(life: float, timeout: float, usable: float):
    """A function's time limit and a minute before their end; of a short life at least the half."""
    credentials = RoleCredentials(Credentials("AK", "secret"), 5000.0 + life)
    assert credentials.usable(timeout, 5000.0) == usable
