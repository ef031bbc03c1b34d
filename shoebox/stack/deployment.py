"""A stack at a place: physical names, addresses, ARNs, and each function's environment and IAM policy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from pydantic import Field

from shoebox.stack.model import Name, Part, Stack, StackError
from shoebox.stack.policies import Grant, statements

_REFERENCE = re.compile(r"\$\{([^}]*)\}")


class Deployment(Part):
    """Where a stack lives: name prefix, account, region, and the addresses that its parts are reached at."""

    prefix: Name = "shoebox"
    account: str = Field(default="000000000000", pattern=r"^\d{12}$")
    region: str = "us-east-1"
    endpoint_url: str | None = None  # None: real AWS
    s3_url: str
    s3_public_url: str  # as clients reach it
    sqs_url: str
    gateway_url: str


class ResolvedStack(Part):
    """A stack at a place: every name, address, environment and policy."""

    stack: Stack
    deployment: Deployment

    @cached_property
    def _kinds(self) -> dict[str, Any]:
        stack = self.stack
        return {
            "bucket": stack.buckets,
            "queue": stack.queues,
            "topic": stack.topics,
            "table": stack.tables,
            "function": stack.functions,
        }

    def name_of(self, kind: str, name: str) -> str:
        """Physical name, for example `shoebox-uploads`.

        Raises:
            StackError: the stack has no such thing.
        """
        if name not in self._kinds.get(kind, {}):
            raise StackError(f"stack.yaml has no {kind} named {name!r}")
        prefix = self.deployment.prefix
        return self.stack.queue_name(prefix, name) if kind == "queue" else f"{prefix}-{name}"

    def arn_of(self, kind: str, name: str) -> str:
        """ARN of a bucket, queue, topic, table or function ("Amazon Resource Names")."""
        physical, region, account = self.name_of(kind, name), self.deployment.region, self.deployment.account
        forms = {
            "bucket": f"arn:aws:s3:::{physical}",
            "queue": f"arn:aws:sqs:{region}:{account}:{physical}",
            "topic": f"arn:aws:sns:{region}:{account}:{physical}",
            "table": f"arn:aws:dynamodb:{region}:{account}:table/{physical}",
            "function": f"arn:aws:lambda:{region}:{account}:function:{physical}",
        }
        return forms[kind]

    def role_arn_of(self, function: str) -> str:
        """ARN of a function's execution role."""
        return f"arn:aws:iam::{self.deployment.account}:role/{self.name_of('function', function)}"

    def queue_url(self, name: str) -> str:
        """URL of a queue, in SQS's path form."""
        return f"{self.deployment.sqs_url}/{self.deployment.account}/{self.name_of('queue', name)}"

    def environment(self, function: str) -> dict[str, str]:
        """A function's own environment variables, references filled in."""
        return {key: self.fill(value) for key, value in self.stack.functions[function].environment.items()}

    def policy(self, function: str) -> dict[str, Any]:
        """The IAM policy document of a function's role: exactly its permissions."""
        grants = [self.grant(target, actions) for target, actions in self.stack.functions[function].permissions.items()]
        return {"Version": "2012-10-17", "Statement": [s for grant in grants for s in statements(grant)]}

    def grant(self, target: str, actions: list[str]) -> Grant:
        """What a permission of stack.yaml allows, for example `queue/uploads` and `[consume]`.

        Raises:
            StackError: it names nothing of this stack, or no permission of that kind.
        """
        kind, _, rest = target.partition("/")
        name, _, keys = rest.partition("/")
        try:
            return Grant(kind=kind, arn=self.arn_of(kind, name), keys=keys, actions=tuple(actions))
        except (KeyError, ValueError) as error:
            raise StackError(f"permission {target!r}: {error}") from error

    def fill(self, text: str) -> str:
        """`text` with each ${kind.name.attribute} and ${place.attribute} filled in.

        Raises:
            StackError: a reference names something unknown.
        """
        return _REFERENCE.sub(lambda found: self._resolve(found[1]), text)

    def _resolve(self, reference: str) -> str:
        match reference.split("."):
            case ["place", name] if name in Deployment.model_fields:
                return str(getattr(self.deployment, name))
            case [kind, name, "name"]:
                return self.name_of(kind, name)
            case [kind, name, "arn"]:
                return self.arn_of(kind, name)
            case ["queue", name, "url"]:
                return self.queue_url(name)
            case ["queue", name, "visibility_timeout"] if name in self.stack.queues:
                return str(self.stack.queues[name].visibility_timeout)
        raise StackError(f"unknown reference ${{{reference}}}")


def resolve(stack: Stack, deployment: Deployment) -> ResolvedStack:
    """`stack`, named for `place`; every reference and permission is resolved once, here.

    Raises:
        StackError: references or permissions cannot be resolved; the message lists all of them.
    """
    resolved = ResolvedStack(stack=stack, deployment=deployment)
    problems = [*_unresolved(resolved)]
    if problems:
        raise StackError("The stack cannot be bound:\n" + "\n".join(f"  {problem}" for problem in problems))
    return resolved


def reference_problems(stack: Stack) -> list[str]:
    """References and permissions of a stack that name nothing, wherever it may be bound to."""
    urls = dict.fromkeys(("s3_url", "s3_public_url", "sqs_url", "gateway_url"), "http://anywhere")
    return [*_unresolved(ResolvedStack.model_construct(stack=stack, deployment=Deployment(**urls)))]


def _unresolved(resolved: ResolvedStack) -> Iterator[str]:
    """What is wrong with references and permissions, each with its place in the file."""
    stack = resolved.stack
    for name, bucket in stack.buckets.items():
        for origin in bucket.cors.origins if bucket.cors else ():
            yield from _problem(f"buckets.{name}.cors", resolved.fill, origin)
    for name, function in stack.functions.items():
        for variable, value in function.environment.items():
            yield from _problem(f"functions.{name}.environment.{variable}", resolved.fill, value)
        for target, words in function.permissions.items():
            yield from _problem(f"functions.{name}.permissions", resolved.grant, target, words)


def _problem(where: str, resolve: Callable[..., object], *arguments: object) -> Iterator[str]:
    try:
        resolve(*arguments)
    except StackError as error:
        yield f"{where}: {error}"
