import asyncio

from fleet.credentials import CredentialsCache, RoleCredentials
from shoebox.aws import Credentials


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
