"""A whole gateway without sockets: functions are what a test says, and requests are ASGI scopes."""

import inspect
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

from fleet.environments.invocation import InvokeResult, failure
from fleet.gateway.app import Gateway
from fleet.gateway.factory import gateway_cache, gateway_of, gateway_throttle
from fleet.http.asgi import Message, Scope
from fleet.limits.quotas import AWS_QUOTAS, Quotas
from fleet.metrics import Metrics
from shoebox.stack.deployment import Deployment, ResolvedStack, resolve
from shoebox.stack.model import Stack

NOWHERE = "http://127.0.0.1:9"
EVERYTHING = "arn:aws:execute-api:*:*:*/*"
FUNCTION = {"handler": "a.b", "memory": 128, "timeout": 10}
_FOLDER = tempfile.TemporaryDirectory(prefix="gateway-fakes-")  # for metrics, which nobody reads; gone at the end
OK = {"statusCode": 200, "body": "ok"}

Behaviour = Callable[[dict[str, Any]], "object | Awaitable[object]"]
"""What a function does with its event: an answer, an InvokeResult, or an exception that is raised."""


@dataclass
class Functions:
    """Functions by name, and the events that they got."""

    behaviours: dict[str, Behaviour]
    events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    async def __call__(self, function: str, event: bytes, trace_id: str) -> InvokeResult:
        """Run one."""
        content = orjson.loads(event)
        self.events.setdefault(function, []).append(content)
        answer = self.behaviours[function](content)
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, InvokeResult) else InvokeResult(orjson.dumps(answer))


@dataclass(frozen=True)
class Answer:
    """What a client gets."""

    status: int
    body: bytes
    headers: list[tuple[str, str]]

    def header(self, name: str) -> str | None:
        """Return a header's first value."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def json(self) -> Any:
        """The body."""
        return orjson.loads(self.body)


@dataclass
class Api:
    """A gateway with its functions."""

    gateway: Gateway
    functions: Functions

    async def ask(
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]] | None = None,
        body: bytes = b"",
        **scope: Any,
    ) -> Answer:
        """One request."""
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.gateway({**scope_of(method, target, headers or []), **scope}, receive, send)
        start, end = sent
        pairs = [(name.decode(), value.decode()) for name, value in start["headers"]]
        return Answer(start["status"], end["body"], pairs)


def scope_of(method: str, target: str, headers: list[tuple[str, str]]) -> Scope:
    """Return an ASGI scope; header names in lower case, as a server makes them."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "client": ("192.0.2.1", 4711),
    }


def resolved(gateway: dict[str, Any]) -> ResolvedStack:
    """Return a stack with this gateway and the functions `web` and `gate`."""
    described = {
        "authorizer": {"function": "gate", "identity": "Authorization"},
        "routes": [{"path": "/{proxy+}", "function": "web", "authorize": False}],
        **gateway,
    }
    stack = Stack.model_validate(
        {"name": "tests", "functions": {"web": FUNCTION, "gate": FUNCTION}, "gateway": described}
    )
    deployment = Deployment(
        prefix="tests",
        account="123456789012",
        s3_url=NOWHERE,
        s3_public_url=NOWHERE,
        sqs_url=NOWHERE,
        gateway_url=NOWHERE,
    )
    return resolve(stack, deployment)


def api_of(
    gateway: dict[str, Any],
    web: Behaviour = lambda _: OK,
    gate: Behaviour = lambda _: policy(),
    quotas: Quotas = AWS_QUOTAS,
    timeout: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Api:
    """Return a gateway in front of two functions: `web` behind its routes, `gate` its authorizer.

    `timeout` may be shorter than stack.yaml's whole seconds.
    """
    stack, functions = resolved(gateway), Functions({"web": web, "gate": gate})
    if timeout is not None:
        described = stack.stack.gateway.model_copy(update={"timeout": timeout})
        stack = stack.model_copy(update={"stack": stack.stack.model_copy(update={"gateway": described})})
    made = gateway_of(
        stack,
        "test",
        invoke=functions,
        cache=gateway_cache(stack),
        throttle=gateway_throttle(stack, quotas),
        metrics=Metrics(Path(_FOLDER.name)),
        clock=clock,
    )
    return Api(made, functions)


def policy(effect: str = "Allow", resource: str = EVERYTHING, **context: Any) -> dict[str, Any]:
    """Return an authorizer's output."""
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    return {"principalId": "abcdef", "policyDocument": document, "context": context}


def raised(message: str) -> InvokeResult:
    """Return Lambda's result for a function that raised an error."""
    return failure("request", "Exception", message)
