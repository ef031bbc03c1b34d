"""The invocation's context: AWS's object ("Using the Lambda context object"), and the contextvar that holds it.

Of many invocations in one process each sees its own `current_context`; also in threads that `asyncio.to_thread`
starts. The trace id is here. It is in `os.environ["_X_AMZN_TRACE_ID"]`, where AWS has it, only if the process runs
one invocation at a time: botocore takes it from there, and would put one invocation's trace into the requests of all.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from workers.runtime.errors import ContextUnmarshalError
from workers.runtime.protocol import Invocation

TRACE_VARIABLE = "_X_AMZN_TRACE_ID"
LONGEST_TIMEOUT_S = 900
"""Lambda's longest function timeout: the deadline if nothing else is known."""
OLDEST_DEADLINE_MS = 24 * 3600 * 1000
"""A deadline longer ago is none: some local emulators send milliseconds from now, such as 600000."""


@dataclass(frozen=True, slots=True)
class CognitoIdentity:
    """Who called, if the call came through a mobile SDK."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """The calling application, as its mobile SDK describes it."""

    installation_id: str | None = None
    app_title: str | None = None
    app_version_name: str | None = None
    app_version_code: str | None = None
    app_package_name: str | None = None


@dataclass(frozen=True, slots=True)
class ClientContext:
    """What the caller passed in `ClientContext`."""

    custom: Any = None
    env: Any = None
    client: Client | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """AWS's context object. All fields have defaults, so that a test may make one in a line."""

    aws_request_id: str = "00000000-0000-0000-0000-000000000000"
    function_name: str = ""
    function_version: str = "$LATEST"
    invoked_function_arn: str = ""
    memory_limit_in_mb: int = 128
    log_group_name: str = ""
    log_stream_name: str = ""
    deadline_ms: int = field(default_factory=lambda: _now_ms() + LONGEST_TIMEOUT_S * 1000)
    """Epoch milliseconds."""
    tenant_id: str | None = None
    trace_id: str | None = None
    """X-Ray's header, such as `Root=1-5e1b4151-...;Parent=...;Sampled=1`."""
    client_context: ClientContext | None = None
    identity: CognitoIdentity = CognitoIdentity()

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda gives the invocation up; never negative."""
        return max(0, self.deadline_ms - _now_ms())


current_context: ContextVar[Context | None] = ContextVar("current_context", default=None)
"""The running invocation's context; None outside of one."""


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
        """The context of one invocation. Raises ContextUnmarshalError."""
        return Context(
            aws_request_id=invocation.request_id,
            function_name=self.name,
            function_version=self.version,
            invoked_function_arn=invocation.function_arn,
            memory_limit_in_mb=self.memory_mb,
            log_group_name=self.log_group,
            log_stream_name=self.log_stream,
            deadline_ms=self._deadline_ms(invocation.deadline_ms, int(clock() * 1000)),
            tenant_id=invocation.tenant_id,
            trace_id=invocation.trace_id,
            client_context=_client_context(invocation.client_context),
            identity=_identity(invocation.cognito_identity),
        )

    def _deadline_ms(self, sent_ms: int, now_ms: int) -> int:
        if sent_ms > now_ms - OLDEST_DEADLINE_MS:
            return sent_ms
        return now_ms + int((self.timeout_s or LONGEST_TIMEOUT_S) * 1000)


def export_trace(trace_id: str | None) -> None:
    """Put the trace where AWS's SDKs look for it, or take the last one away."""
    if trace_id is None:
        os.environ.pop(TRACE_VARIABLE, None)
    else:
        os.environ[TRACE_VARIABLE] = trace_id


def _now_ms() -> int:
    return int(time.time() * 1000)


_NO_IDENTITY = CognitoIdentity()


def _identity(text: str | None) -> CognitoIdentity:
    if text is None:
        return _NO_IDENTITY
    sent = _object(text, "Cognito Identity")
    return CognitoIdentity(sent.get("cognitoIdentityId"), sent.get("cognitoIdentityPoolId"))


def _client_context(text: str | None) -> ClientContext | None:
    if text is None:
        return None
    sent = _object(text, "Client Context")
    client = sent.get("client")
    known = {name: client.get(name) for name in Client.__slots__} if isinstance(client, Mapping) else None
    return ClientContext(sent.get("custom"), sent.get("env"), Client(**known) if known is not None else None)


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
