"""An execution environment as the Runtime API sees it: its state, its slots, and the invocations that run in it.

`fleet.environments.pool` decides what goes into it; `fleet.environments.process` is its process. No clock, no I/O.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from enum import StrEnum

from fleet.environments.invocation import Invocation
from fleet.environments.log_tail import LogTail

_NEXT_POLL_SECONDS = 0.25  # in which a slot that has responded polls again
_FIRST_POLLS_SECONDS = 2.0  # in which the other slots of a new environment poll for the first time
_MAX_TIMED_OUT = 1000  # request ids of timed-out invocations that are kept, to respond with 410 and not 400


class State(StrEnum):
    """The life of an execution environment ("Understanding the Lambda execution environment lifecycle")."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"  # takes no more invocations; ends when those that run are done
    ENDED = "ended"


class InvalidState(Exception):
    """403: the environment may not send this now, such as init/error after it was ready."""


class UnknownRequest(Exception):
    """400 InvalidRequestID: no such invocation runs here."""


class TooLate(Exception):
    """410: the invocation has timed out."""


class Environment:
    """The state of one environment; `identity` is unique within the fleet."""

    def __init__(self, identity: str, slots: int, now: float) -> None:
        self.identity = identity
        self.state = State.STARTING
        self.slots = slots
        self.started_at = now
        self.last_used = now
        self.retire_at = float("inf")
        self.settled = asyncio.Event()  # it is ready, or will never be
        self.drained = asyncio.Event()  # it is draining and nothing runs
        self.pid: int | None = None  # of its process, if that is on this machine
        self.settle_output: Callable[[], Awaitable[None]] | None = None  # waits until what it has printed was logged
        self.init_seconds: float | None = None  # what its start took, until an invocation has reported it
        self.overran = False  # its only invocation ran past its timeout: its process is killed without SIGTERM
        self.init_error: bytes | None = None
        self._pollers: deque[asyncio.Future[Invocation | None]] = deque()
        self._running: dict[str, Invocation] = {}
        self._tails: dict[str, LogTail] = {}
        self._timed_out: deque[str] = deque(maxlen=_MAX_TIMED_OUT)
        self._expected: deque[float] = deque(maxlen=slots)  # until when a slot's next poll is to be waited for

    @property
    def free(self) -> int:
        """Slots that wait for an invocation now."""
        return max(0, min(len(self._pollers), self.slots - len(self._running)))

    @property
    def busy(self) -> int:
        """Invocations that run."""
        return len(self._running)

    def expected_polls(self, now: float) -> int:
        """Count the slots that will poll in a moment: starting an environment instead would take longer."""
        return sum(until > now for until in self._expected)

    def poll(self, now: float) -> asyncio.Future[Invocation | None]:
        """Queue a slot for an invocation; its result is None when the slot is to end.

        The first poll makes the environment ready.

        Raises:
            InvalidState: the environment has reported an init error or has ended.
        """
        if self.init_error is not None or self.state is State.ENDED:
            raise InvalidState
        if self.state is State.STARTING:
            self.state = State.READY
            self.init_seconds = now - self.started_at if self.slots == 1 else None
            self.settled.set()
            self._expected.extend([now + _FIRST_POLLS_SECONDS] * (self.slots - 1))
        elif self._expected:
            self._expected.popleft()
        poller: asyncio.Future[Invocation | None] = asyncio.get_running_loop().create_future()
        self._pollers.append(poller)
        return poller

    def leave(self, poller: asyncio.Future[Invocation | None]) -> None:
        """Take a slot whose connection is gone out of the queue; its poll ends with None."""
        if not poller.done():
            self._pollers.remove(poller)
            poller.set_result(None)

    def assign(self, invocation: Invocation, now: float) -> None:
        """Hand an invocation to the slot that has waited longest; there must be a free one."""
        self._running[invocation.request_id] = invocation
        if invocation.call.tail:
            tail = LogTail(invocation.request_id, alone=self.slots == 1, init_seconds=self.init_seconds)
            self._tails[invocation.request_id] = tail
        self.init_seconds = None
        self.last_used = now
        self._pollers.popleft().set_result(invocation)

    def take_back(self, request_id: str) -> Invocation | None:
        """Remove an invocation that never reached the process."""
        found = self._running.pop(request_id, None)
        self._tails.pop(request_id, None)
        self._note_drained()
        return found

    def running(self, request_id: str, nonce: str | None) -> Invocation:
        """Return an invocation that the process may respond to.

        Raises:
            UnknownRequest: it does not run here, or has had its response.
            TooLate: it has timed out, or `nonce` is of an earlier attempt.
        """
        invocation = self._running.get(request_id)
        if invocation is None:
            raise TooLate if request_id in self._timed_out else UnknownRequest
        if nonce and nonce != invocation.nonce:
            raise TooLate
        return invocation

    def finish(self, request_id: str, nonce: str | None, now: float) -> Invocation:
        """Take an invocation out that the process has responded to; raises as `running`."""
        invocation = self.running(request_id, nonce)
        del self._running[request_id]
        self.last_used = now
        self._expected.append(now + _NEXT_POLL_SECONDS)
        self._note_drained()
        return invocation

    def expire(self, request_id: str) -> None:
        """Take an invocation out whose timeout is over."""
        self._running.pop(request_id, None)
        self._timed_out.append(request_id)
        # An environment with one slot ends with it, so that nothing runs beside what the handler left behind. Of
        # several slots only this one is lost, until the process polls again.
        if self.slots == 1:
            self.overran = True
            self.drain()
        self._note_drained()

    def add_log_lines(self, lines: bytes) -> None:
        """Keep whole lines that the process has printed for the callers that want the end of their log."""
        for tail in self._tails.values():
            tail.write(lines)

    def take_tail(self, request_id: str) -> LogTail | None:
        """Return the log of an invocation whose caller wants its end, and stop adding lines to it."""
        return self._tails.pop(request_id, None)

    async def wait_for_log(self, request_id: str) -> None:
        """Wait until the log of an invocation whose caller wants it has all that was printed before the response."""
        if request_id in self._tails and self.settle_output is not None:
            await self.settle_output()

    def fail_init(self, error: bytes) -> None:
        """Note that the process has reported that it cannot start.

        Raises:
            InvalidState: it was ready, or has reported before.
        """
        if self.state is not State.STARTING or self.init_error is not None:
            raise InvalidState
        self.init_error = error
        self.settled.set()

    def drain(self) -> None:
        """Take no more invocations; an environment that is starting will not become ready."""
        if self.state is not State.ENDED:
            self.state = State.DRAINING
        self.settled.set()
        self._note_drained()

    def end(self) -> list[Invocation]:
        """Note that the process is gone, and return the invocations that it leaves behind."""
        self.state = State.ENDED
        self.settled.set()
        self.drained.set()
        for poller in list(self._pollers):
            self.leave(poller)
        left = list(self._running.values())
        self._running.clear()
        return left

    def _note_drained(self) -> None:
        if self.state is State.DRAINING and not self._running:
            self.drained.set()
