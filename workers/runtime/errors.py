"""What can go wrong around a handler, what to do about it, and how it is reported to Lambda (`Failure`).

RuntimeFault
├── SettingsError                   variables are wrong: correct all that are named, start again
├── FunctionFault                   reported to Lambda under AWS's own fault name (`error_type`)
│   ├── InitFault                   the function cannot start: POST init/error, exit 1
│   │   ├── MalformedHandlerName
│   │   ├── BuiltInModuleConflict
│   │   ├── ImportModuleError
│   │   ├── UserCodeSyntaxError
│   │   ├── HandlerNotFound
│   │   └── LifespanFailed
│   └── InvocationFault             one invocation fails, the slot goes on
│       ├── UnmarshalError          the event is not JSON
│       ├── ContextUnmarshalError   the client context or the identity is not JSON
│       ├── MarshalError            the handler's return value cannot be JSON
│       ├── DeadlineExceeded        cancelled before its deadline
│       ├── HandlerLeaked           ignored its cancellation
│       └── ShutDown                cancelled because the environment ends
└── RuntimeApiError                 between this process and the Runtime API
    ├── ConnectionLost              passing: connect and try again
    ├── PollAbandoned               we ourselves stopped waiting for `next`
    ├── MalformedResponse           not HTTP/1.1, or without what the interface promises
    └── UnexpectedStatus            a status other than the expected: log it, go on

Names in AWS's list are those of its Python runtime client (awslambdaric); the rest follow its `Runtime.` form. Error
bodies are `{"errorMessage", "errorType", "requestId", "stackTrace": [lines]}`, as that client posts them.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import re
import signal
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import FrameSummary
from typing import Any, ClassVar, Self


class RuntimeFault(Exception):
    """Base of the tree."""


class SettingsError(RuntimeFault):
    """The environment's variables do not describe a runtime; `problems` has one line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("settings:\n" + "\n".join(f"  {problem}" for problem in problems))
        self.problems = tuple(problems)


class FunctionFault(RuntimeFault):
    """A fault that Lambda knows by name; `stack` replaces the traceback where that would mislead."""

    error_type: ClassVar[str] = "Runtime.Unknown"
    traces_cause: ClassVar[bool] = False
    """Whether the cause's traceback shows the user where to look."""

    def __init__(self, message: str, *, stack: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.stack = tuple(stack)


class InitFault(FunctionFault):
    """The function cannot start."""


class MalformedHandlerName(InitFault):
    """The handler's name is not `module.attribute`."""

    error_type = "Runtime.MalformedHandlerName"


class BuiltInModuleConflict(InitFault):
    """The handler's module has the name of one built into the interpreter."""

    error_type = "Runtime.BuiltInModuleConflict"


class ImportModuleError(InitFault):
    """The handler's module, or one it imports, cannot be found."""

    error_type = "Runtime.ImportModuleError"
    traces_cause = True


class UserCodeSyntaxError(InitFault):
    """The handler's module is not valid Python."""

    error_type = "Runtime.UserCodeSyntaxError"


class HandlerNotFound(InitFault):
    """The module has no such attribute, or it cannot be called."""

    error_type = "Runtime.HandlerNotFound"


class LifespanFailed(InitFault):
    """The ASGI application sent `lifespan.startup.failed`."""

    error_type = "Runtime.LifespanFailed"


class InvocationFault(FunctionFault):
    """One invocation fails."""


class UnmarshalError(InvocationFault):
    """The event is not JSON."""

    error_type = "Runtime.UnmarshalError"


class ContextUnmarshalError(InvocationFault):
    """The client context or the Cognito identity is not a JSON object."""

    error_type = "Runtime.LambdaContextUnmarshalError"


class MarshalError(InvocationFault):
    """The handler's return value cannot be written as JSON."""

    error_type = "Runtime.MarshalError"


class DeadlineExceeded(InvocationFault):
    """The handler was cancelled before its deadline, and stopped."""

    error_type = "Runtime.DeadlineExceeded"
    traces_cause = True


class HandlerLeaked(InvocationFault):
    """The handler was cancelled before its deadline and runs on."""

    error_type = "Runtime.HandlerLeaked"


class ShutDown(InvocationFault):
    """The environment ended before the handler did."""

    error_type = "Runtime.ShutDown"
    traces_cause = True


class RuntimeApiError(RuntimeFault):
    """The Runtime API cannot be used as it should be."""


class ConnectionLost(RuntimeApiError):
    """No connection, or it closed before the response was whole."""


class PollAbandoned(RuntimeApiError):
    """This process stopped waiting for the next invocation, since it drains."""


class MalformedResponse(RuntimeApiError):
    """The bytes are not an HTTP/1.1 response, or lack what the interface promises."""


class UnexpectedStatus(RuntimeApiError):
    """The Runtime API responded with a status other than the expected one."""

    def __init__(self, request: str, status: int, text: str) -> None:
        super().__init__(f"{request} returned {status}: {text}")
        self.status = status


EXIT_ERROR = "Runtime.ExitError"
MAX_MESSAGE_CHARACTERS = 64 * 1024
MAX_FRAMES = 100
"""The innermost are kept. With the message's limit, a body stays far below Lambda's 1 MiB."""

_NOT_USER_CODE = (str(Path(__file__).parent) + os.sep, "<frozen importlib", *filter(None, [importlib.__file__]))


@dataclass(frozen=True, slots=True)
class Failure:
    """How an invocation, or the function's start, failed; `exit_code` if the process must end over it."""

    error_type: str
    message: str
    frames: tuple[FrameSummary, ...] = ()
    stack: tuple[str, ...] = ()
    """Lines that replace the traceback."""
    exit_code: int | None = None

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """Describe what was raised: faults under AWS's names, exits as Runtime.ExitError, the rest by their class."""
        if isinstance(error, FunctionFault):
            cause = error.__cause__ if error.traces_cause else None
            return cls(error.error_type, str(error), _user_frames(cause) if cause else (), error.stack)
        # Where no frame is the user's, the runtime's own show at least where it failed.
        frames = _user_frames(error) or tuple(traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:])
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            status = exit_status(error)
            # Lambda takes any exit inside an invocation for a failure, so even `sys.exit(0)` becomes 1.
            return cls(EXIT_ERROR, exit_reason(status), frames, exit_code=status or 1)
        return cls(type(error).__name__, _message(error), frames)

    @property
    def stack_trace(self) -> list[str]:
        """One string a frame, innermost last."""
        return list(self.stack) or traceback.format_list(list(self.frames))

    @property
    def header(self) -> str:
        """`Lambda-Runtime-Function-Error-Type`: `Runtime.Name` or `Function.Name`; Lambda takes no other form."""
        name = self.error_type if self.error_type.startswith("Runtime.") else f"Function.{self.error_type}"
        return re.sub(r"[^A-Za-z0-9_.]", "_", name)

    def fields(self) -> dict[str, Any]:
        """Return what the body and the log line have in common."""
        return {"errorMessage": self.message, "errorType": self.error_type, "stackTrace": self.stack_trace}

    def body(self, request_id: str) -> bytes:
        """Return the JSON that the caller gets."""
        return json.dumps(self.fields() | {"requestId": request_id}).encode("ascii")

    def cause(self) -> str:
        """Return X-Ray's cause as one line of ASCII JSON, since it goes into a header."""
        stack = [{"label": f.name, "path": f.filename, "line": f.lineno} for f in self.frames]
        cause = {
            "working_directory": str(Path.cwd()),
            "exceptions": [{"message": self.message, "type": self.error_type, "stack": stack}],
            "paths": sorted({f.filename for f in self.frames}),
        }
        return json.dumps(cause)


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001  # the handler's class may raise whatever it likes
        text = f"<{type(error).__name__}, whose __str__ raised {type(broken).__name__}>"
    if isinstance(error, BaseExceptionGroup):
        members: Sequence[BaseException] = error.exceptions
        text += ": " + "; ".join(f"{type(member).__name__}: {_message(member)}" for member in members)
    return text[:MAX_MESSAGE_CHARACTERS]


def _user_frames(error: BaseException) -> tuple[FrameSummary, ...]:
    """Return the traceback from where it leaves this runtime and the import machinery."""
    frames = traceback.extract_tb(error.__traceback__)
    user = itertools.dropwhile(lambda frame: frame.filename.startswith(_NOT_USER_CODE), frames)
    return tuple(user)[-MAX_FRAMES:]


def exit_reason(status: int) -> str:
    """Describe a process's end in the words of Lambda's interface emulator; `status` as `Process.returncode`."""
    if status < 0:
        return f"Runtime exited with error: signal: {signal.Signals(-status).name}"
    return f"Runtime exited with error: exit status {status}" if status else "Runtime exited without providing a reason"


def exit_status(error: BaseException) -> int:
    """Return the status with which the interpreter would end over `error`."""
    code = error.code if isinstance(error, SystemExit) else 1
    if isinstance(code, int):
        return code & 0xFF
    return int(code is not None)
