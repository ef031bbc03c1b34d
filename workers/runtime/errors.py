"""What can go wrong around a handler, and what to do about it.

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
│       ├── MarshalError            the handler's answer cannot be JSON
│       ├── DeadlineExceeded        cancelled before its deadline
│       ├── HandlerLeaked           ignored that cancel
│       └── ShutDown                cancelled because the environment ends
└── RuntimeApiError                 between us and the Runtime API
    ├── ConnectionLost              passing: connect and try again
    ├── PollAbandoned               we ourselves stopped waiting for `next`
    ├── MalformedResponse           not HTTP/1.1, or without what the interface promises
    └── Refused                     a status other than the expected: log it, go on

Names in AWS's list are those of its Python runtime client (awslambdaric); the rest follow its `Runtime.` form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


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
    """The ASGI application answered `lifespan.startup.failed`."""

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
    """The handler's answer cannot be written as JSON."""

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
    """The wait for the next invocation was given up by this process."""


class MalformedResponse(RuntimeApiError):
    """The bytes are not an HTTP/1.1 response, or lack what the interface promises."""


class Refused(RuntimeApiError):
    """The Runtime API answered with a status other than the expected one."""

    def __init__(self, what: str, status: int, text: str) -> None:
        super().__init__(f"{what} was answered with {status}: {text}")
        self.status = status
