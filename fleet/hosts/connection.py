"""The host's side of the connection to the fleet.

HostError
├── NotJoinable          it will never be let in: no such function, the fleet starts it itself, or that is no address
└── FleetAway            the fleet cannot be reached, or cannot let it join now; try again
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson

from fleet.hosts.messages import PREFIX, Command, JoinResponse

_CONNECT_SECONDS = 5
_EXIT_SECONDS = 2
_LINE_BYTES = 2**20  # a welcome holds a function's variables, which Lambda limits to 4 KB


class HostError(RuntimeError):
    """The host cannot do its work; the message says why."""


class NotJoinable(HostError):
    """It will never be let in."""


class FleetAway(HostError):
    """The fleet cannot be reached, or cannot let it join now."""


class Joined:
    """A place in the fleet: what to run, and the fleet's words."""

    def __init__(self, welcome: JoinResponse, answer: aiohttp.ClientResponse) -> None:
        self.welcome = welcome
        self._answer = answer

    async def words(self) -> AsyncIterator[Command]:
        """The fleet's words, until the fleet ends the connection, or is gone."""
        try:
            async for line in self._answer.content:
                yield Command(orjson.loads(line)["word"])
        except (aiohttp.ClientError, OSError):
            return


class FleetConnection:
    """Joins `function` of the fleet at `url`."""

    def __init__(self, session: aiohttp.ClientSession, url: str, function: str) -> None:
        self._session = session
        self._address = f"{url.rstrip('/')}{PREFIX}{function}"
        self._url = url

    @asynccontextmanager
    async def join(self) -> AsyncIterator[Joined]:
        """A place in the fleet, until the end of the block.

        Raises:
            NotJoinable, FleetAway: as they say.
        """
        patience = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)
        try:
            answer = await self._session.post(self._address, timeout=patience, read_bufsize=_LINE_BYTES)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise NotJoinable(f"{self._url} is no address; write it like http://127.0.0.1:9002") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise FleetAway(f"the fleet at {self._url} cannot be reached: {error}") from error
        async with answer:
            yield Joined(await self._welcome(answer), answer)

    async def _welcome(self, answer: aiohttp.ClientResponse) -> JoinResponse:
        try:
            if answer.status == 200:
                return JoinResponse.decode(await answer.content.readline())
            text = await answer.text()
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FleetAway(f"the fleet at {self._url} gave no welcome: {error}") from error
        reason = f"the fleet at {self._url} answers {answer.status}: {_message(text)}"
        raise (FleetAway if answer.status >= 500 else NotJoinable)(reason)

    async def tell_exit(self, identity: str, status: int) -> None:
        """Tell how the process ended; where that fails the fleet learns less, but not that it ended."""
        try:
            patience = aiohttp.ClientTimeout(total=_EXIT_SECONDS)
            address = f"{self._address}/{identity}/exit"
            async with self._session.post(address, json={"status": status}, timeout=patience):
                return
        except (aiohttp.ClientError, OSError, TimeoutError):
            return


def _message(text: str) -> str:
    try:
        return str(orjson.loads(text)["message"])
    except (ValueError, TypeError, KeyError):
        return text[:200]
