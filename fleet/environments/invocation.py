"""A call of a function, the invocation that it becomes in an environment, and its result."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from typing import Protocol

import orjson

SYNC_PAYLOAD = 6 * 1024 * 1024  # Lambda quotas: invocation payload, synchronous; of a request and of a response
ASYNC_PAYLOAD = 1024 * 1024
RESPONSE_PAYLOAD = SYNC_PAYLOAD + 100  # the Runtime API's own limit (interface emulator's source)
EXIT_ERROR = "Runtime.ExitError"
STREAM_PAYLOAD = 200 * 1024 * 1024  # Lambda quotas: streamed response


@dataclass(frozen=True, slots=True)
class InvokeResult:
    """The result for the caller of a function: its JSON, and `Unhandled` as `function_error` when it failed.

    `error_type` is the runtime's or Lambda's own name of the error, such as `Function.ValueError`, where it is known;
    `log` the end of the invocation's log, for a call that asked for it.
    """

    payload: bytes
    function_error: str | None = None
    request_id: str = ""
    error_type: str | None = None
    log: bytes | None = None


class Sink(Protocol):
    """Where a streamed response goes, part by part."""

    @property
    def limit(self) -> int:
        """How many bytes it takes at most."""

    async def put(self, part: bytes) -> None:
        """Take a part; the function waits meanwhile."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a function: the event's JSON, the trace header, and the client context's JSON.

    `tail` asks for the end of its log. `synchronous` is False for what comes out of the asynchronous queue: some limits
    hold for synchronous calls only. A streamed response goes to `sink`; without one it is collected.
    """

    payload: bytes
    trace_id: str = ""
    client_context: str = ""
    synchronous: bool = True
    sink: Sink | None = None
    tail: bool = False
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(slots=True, eq=False)
class Invocation:
    """A call that was admitted. `nonce` tells this attempt from a later one with the same request id.

    `start_killed`: an environment that it waited for was killed before it was ready. `unread`: the process that it was
    sent to has closed its connection before it read it.
    """

    call: Call
    admitted_at: float
    done: asyncio.Future[InvokeResult]
    nonce: str = field(default_factory=lambda: uuid.uuid4().hex)
    started_at: float = 0.0
    deadline_ms: int = 0
    timer: asyncio.TimerHandle | None = None
    start_killed: bool = False
    unread: bool = False

    @property
    def request_id(self) -> str:
        """Its id for caller and function."""
        return self.call.request_id

    def note_unread(self) -> None:
        """Note that the process has not read it, so no handler has begun with it."""
        self.unread = True

    def stop_timer(self) -> None:
        """Cancel the running timer, if any."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def failure(request_id: str, kind: str, message: str) -> InvokeResult:
    """Return a failed invocation in Lambda's shape: `{"errorType", "errorMessage"}` and `Unhandled`."""
    return failed_with(request_id, orjson.dumps({"errorType": kind, "errorMessage": message}), kind)


def failed_with(request_id: str, payload: bytes, error_type: str | None = None) -> InvokeResult:
    """Return a failed invocation with the payload that the runtime reported."""
    return InvokeResult(payload, function_error="Unhandled", request_id=request_id, error_type=error_type)


def timed_out(request_id: str, seconds: float) -> InvokeResult:
    """Return Lambda's result for a function that ran past its timeout of `seconds`."""
    message = f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"
    return failure(request_id, "Sandbox.Timedout", message)


def exited(request_id: str, status: int | None) -> InvokeResult:
    """Return Lambda's result when the runtime's process ends during an invocation; `status` as `Process.returncode`."""
    return failure(request_id, EXIT_ERROR, f"RequestId: {request_id} Error: {exit_reason(status)}")


def exit_reason(status: int | None) -> str:
    """Describe a process's end in the words of the interface emulator."""
    if not status:
        return "Runtime exited without providing a reason"
    if status < 0:
        return f"Runtime exited with error: signal: {'killed' if status == -9 else -status}"
    return f"Runtime exited with error: exit status {status}"
