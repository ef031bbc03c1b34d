"""The invocation's context: AWS's object ("Using the Lambda context object"), and the contextvar that holds it.

Of many invocations in one process each sees its own `current_context`; also in threads that `asyncio.to_thread`
starts. The trace id is here. It is in `os.environ["_X_AMZN_TRACE_ID"]`, where AWS has it, only if the process runs
one invocation at a time: botocore takes it from there, and would put one invocation's trace into the requests of all.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from typing import Any

from workers.runtime.errors import ContextUnmarshalError
from workers.runtime.protocol import Invocation

_W3C = ("traceparent", "tracestate", "baggage")
TRACE_VARIABLE = "_X_AMZN_TRACE_ID"
MAX_TIMEOUT_S = 900
"""Lambda's longest function timeout: the deadline if nothing else is known."""
MAX_DEADLINE_AGE_MS = 24 * 3600 * 1000
"""A deadline longer ago is not one: some local emulators send milliseconds from now, such as 600000."""


@dataclass
class CognitoIdentity:
    """Who called, if the call came through a mobile SDK."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


@dataclass
class Client:
    """The calling application, as its mobile SDK describes it."""

    installation_id: str | None = None
    app_title: str | None = None
    app_version_name: str | None = None
    app_version_code: str | None = None
    app_package_name: str | None = None


@dataclass
class ClientContext:
    """What the caller passed in `ClientContext`."""

    custom: Any = None
    env: Any = None
    client: Client | None = None


@dataclass(kw_only=True, repr=False)
class Context:
    """AWS's context object (awslambdaric, LambdaContext): open to attributes of handlers and libraries.

    All fields have defaults, so that a test may make one in a line.
    """

    aws_request_id: str = "00000000-0000-0000-0000-000000000000"
    function_name: str = ""
    function_version: str = "$LATEST"
    invoked_function_arn: str = ""
    memory_limit_in_mb: str = "128"
    """A string, as AWS's is."""
    log_group_name: str = ""
    log_stream_name: str = ""
    deadline_ms: int = field(default_factory=lambda: _now_ms() + MAX_TIMEOUT_S * 1000)
    """Epoch milliseconds."""
    tenant_id: str | None = None
    trace_id: str | None = None
    """X-Ray's header, such as `Root=1-5e1b4151-...;Parent=...;Sampled=1`."""
    client_context: ClientContext | None = None
    identity: CognitoIdentity = field(default_factory=CognitoIdentity)
    w3c_fields: dict[str, str] = field(default_factory=dict)

    __hash__ = object.__hash__

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the deadline, when Lambda times the invocation out; never negative."""
        return max(0, self.deadline_ms - _now_ms())

    def w3c(self) -> dict[str, str]:
        """Return the W3C trace context that came with the client context."""
        return dict(self.w3c_fields)

    def log(self, message: object) -> None:
        """Write `message` to the function's log as it is, whatever the log's format and level."""
        for handler in logging.getLogger().handlers:
            if hasattr(handler, "log_sink"):
                handler.log_sink.log(str(message))
                return
        sys.stdout.write(str(message))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)}" for name in _SHOWN)
        return f"LambdaContext([{shown}])"


_SHOWN = (
    "aws_request_id",
    "log_group_name",
    "log_stream_name",
    "function_name",
    "memory_limit_in_mb",
    "function_version",
    "invoked_function_arn",
    "client_context",
    "identity",
    "tenant_id",
)

current_context: ContextVar[Context | None] = ContextVar("current_context", default=None)
"""The running invocation's context; None outside of one."""

_process_wide: Context | None = None


def running_context() -> Context | None:
    """Return the context of the invocation that this code belongs to."""
    # A thread that a handler starts has none of the handler's context variables. If the process runs one invocation at
    # a time, the thread can only belong to that.
    return current_context.get() or _process_wide


@dataclass(frozen=True, slots=True)
class FunctionDescription:
    """What all invocations of a process have in common."""

    name: str = ""
    version: str = "$LATEST"
    memory_mb: int = 128
    timeout_s: float | None = None
    """Unknown on Lambda itself; emulators may tell."""
    log_group: str = ""
    log_stream: str = ""

    def context(self, invocation: Invocation, *, clock: Callable[[], float] = time.time) -> Context:
        """Make the context of one invocation. Raises ContextUnmarshalError."""
        client_context, w3c_fields = _client_context(invocation.client_context)
        return Context(
            aws_request_id=invocation.request_id,
            function_name=self.name,
            function_version=self.version,
            invoked_function_arn=invocation.function_arn,
            memory_limit_in_mb=str(self.memory_mb),
            log_group_name=self.log_group,
            log_stream_name=self.log_stream,
            deadline_ms=self._deadline_ms(invocation.deadline_ms, int(clock() * 1000)),
            tenant_id=invocation.tenant_id,
            trace_id=invocation.trace_id,
            client_context=client_context,
            identity=_identity(invocation.cognito_identity),
            w3c_fields=w3c_fields,
        )

    def _deadline_ms(self, sent_ms: int, now_ms: int) -> int:
        if sent_ms > now_ms - MAX_DEADLINE_AGE_MS:
            return sent_ms
        return now_ms + int((self.timeout_s or MAX_TIMEOUT_S) * 1000)


@contextmanager
def process_wide(context: Context) -> Iterator[None]:
    """Give the whole process the context of its only invocation, and the trace where AWS's SDKs look for it."""
    global _process_wide
    if context.trace_id is None:
        os.environ.pop(TRACE_VARIABLE, None)
    else:
        os.environ[TRACE_VARIABLE] = context.trace_id
    _process_wide = context
    try:
        yield
    finally:
        _process_wide = None


def _now_ms() -> int:
    return int(time.time() * 1000)


def _identity(text: str | None) -> CognitoIdentity:
    if text is None:
        return CognitoIdentity()
    sent = _object(text, "Cognito Identity")
    return CognitoIdentity(sent.get("cognitoIdentityId"), sent.get("cognitoIdentityPoolId"))


def _client_context(text: str | None) -> tuple[ClientContext | None, dict[str, str]]:
    """Return the client context, and the fields of W3C's trace context that came in it."""
    if text is None:
        return None, {}
    sent = _object(text, "Client Context")
    client, w3c = sent.get("client"), sent.get("w3c")
    known = {f.name: client.get(f.name) for f in fields(Client)} if isinstance(client, Mapping) else None
    trace = {name: w3c[name] for name in _W3C if isinstance(w3c.get(name), str)} if isinstance(w3c, Mapping) else {}
    return ClientContext(sent.get("custom"), sent.get("env"), Client(**known) if known is not None else None), trace


def _object(text: str, name: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ContextUnmarshalError(f"Unable to parse {name} JSON: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ContextUnmarshalError(f"Unable to parse {name} JSON: not an object")
    return value
