"""The host's side of the connection to the fleet.

HostError
├── NotJoinable          it will never be let in: no such function, the fleet starts it itself, or that is no address
└── FleetUnavailable     the fleet cannot be reached, or cannot let it join now; try again
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson

from fleet.hosts.messages import PREFIX, Command, JoinResponse

_CONNECT_SECONDS = 5
_EXIT_SECONDS = 2
_MAX_LINE_BYTES = 2**20  # a join response holds a function's variables, which Lambda limits to 4 KB


class HostError(RuntimeError):
    """The host cannot do its work; the message says why."""


class NotJoinable(HostError):
    """It will never be let in."""


class FleetUnavailable(HostError):
    """The fleet cannot be reached, or cannot let it join now."""


class Membership:
    """A host's membership in the fleet: what to run, and the fleet's commands."""

    def __init__(self, join: JoinResponse, response: aiohttp.ClientResponse) -> None:
        self.join = join
        self._response = response

    async def commands(self) -> AsyncIterator[Command]:
        """Yield the fleet's commands, until the fleet ends the connection, or is gone."""
        try:
            async for line in self._response.content:
                yield Command.from_line(line)
        except (aiohttp.ClientError, OSError):
            return


class FleetConnection:
    """Joins `function` of the fleet at `url`."""

    def __init__(self, session: aiohttp.ClientSession, url: str, function: str) -> None:
        self._session = session
        self._address = f"{url.rstrip('/')}{PREFIX}{function}"
        self._url = url

    @asynccontextmanager
    async def join(self) -> AsyncIterator[Membership]:
        """Join the fleet until the end of the block.

        Raises:
            NotJoinable, FleetUnavailable: as they say.
        """
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        try:
            response = await self._session.post(self._address, timeout=timeout, read_bufsize=_MAX_LINE_BYTES)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise NotJoinable(f"{self._url} is no address; write it like http://127.0.0.1:9002") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise FleetUnavailable(f"the fleet at {self._url} cannot be reached: {error}") from error
        async with response:
            yield Membership(await self._read_join(response), response)

    async def _read_join(self, response: aiohttp.ClientResponse) -> JoinResponse:
        try:
            if response.status == 200:
                return JoinResponse.from_line(await response.content.readline())
            text = await response.text()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FleetUnavailable(f"the fleet at {self._url} sent no valid join response: {error}") from error
        try:
            reason = str(orjson.loads(text)["message"])
        except (ValueError, TypeError, KeyError):  # another program's
            reason = text[:200]
        message = f"the fleet at {self._url} answers {response.status}: {reason}"
        raise (FleetUnavailable if response.status >= 500 else NotJoinable)(message)

    async def report_exit(self, identity: str, status: int) -> None:
        """Report how the process ended; the fleet learns its end from the connection, if this fails."""
        timeout = aiohttp.ClientTimeout(total=_EXIT_SECONDS)
        address = f"{self._address}/{identity}/exit"
        try:
            async with self._session.post(address, json={"status": status}, timeout=timeout):
                return
        except (aiohttp.ClientError, OSError, TimeoutError):
            return
