"""A stack in a deployment: physical names, addresses, ARNs, and each function's environment and IAM policy."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from pydantic import Field

from shoebox.stack.base import Name, StackModel
from shoebox.stack.model import Stack, StackError
from shoebox.stack.policies import Grant, statements

_REFERENCE = re.compile(r"\$\{([^}]*)\}")
# "Amazon Resource Names", and the page of each service in "Service Authorization Reference".
_ARNS = {
    "bucket": "arn:aws:s3:::{name}",
    "queue": "arn:aws:sqs:{region}:{account}:{name}",
    "topic": "arn:aws:sns:{region}:{account}:{name}",
    "table": "arn:aws:dynamodb:{region}:{account}:table/{name}",
    "function": "arn:aws:lambda:{region}:{account}:function:{name}",
}


class Deployment(StackModel):
    """Where a stack lives: name prefix, account, region, and the addresses that its parts are reached at.

    Without `endpoint_url` it is on AWS. `s3_public_url` is S3 as clients reach it.
    """

    prefix: Name = "shoebox"
    account: str = Field(default="000000000000", pattern=r"^\d{12}$")
    region: str = "us-east-1"
    endpoint_url: str | None = None
    s3_url: str
    s3_public_url: str
    sqs_url: str
    gateway_url: str


class ResolvedStack(StackModel):
    """A stack in a deployment: every name, address, environment and policy."""

    stack: Stack
    deployment: Deployment

    @cached_property
    def _sections(self) -> dict[str, Any]:
        stack = self.stack
        return {
            "bucket": stack.buckets,
            "queue": stack.queues,
            "topic": stack.topics,
            "table": stack.tables,
            "function": stack.functions,
        }

    def name_of(self, kind: str, name: str) -> str:
        """Return a physical name, for example `shoebox-uploads`.

        Raises:
            StackError: the stack has no such thing.
        """
        if name not in self._sections.get(kind, {}):
            raise StackError(f"stack.yaml has no {kind} named {name!r}")
        prefix = self.deployment.prefix
        return self.stack.queue_name(prefix, name) if kind == "queue" else f"{prefix}-{name}"

    def arn_of(self, kind: str, name: str) -> str:
        """Return the ARN of a bucket, queue, topic, table or function.

        Raises:
            StackError: the stack has no such thing.
        """
        physical, deployment = self.name_of(kind, name), self.deployment
        return _ARNS[kind].format(name=physical, region=deployment.region, account=deployment.account)

    def role_arn_of(self, function: str) -> str:
        """Return the ARN of a function's execution role."""
        return f"arn:aws:iam::{self.deployment.account}:role/{self.name_of('function', function)}"

    def queue_url(self, name: str) -> str:
        """Return the URL of a queue, in SQS's path form."""
        return f"{self.deployment.sqs_url}/{self.deployment.account}/{self.name_of('queue', name)}"

    def environment(self, function: str) -> dict[str, str]:
        """Return a function's own environment variables, references filled in."""
        return {key: self.fill(value) for key, value in self.stack.functions[function].environment.items()}

    def policy(self, function: str) -> dict[str, Any]:
        """Return the IAM policy document of a function's role: exactly its permissions."""
        grants = [self.grant(target, actions) for target, actions in self.stack.functions[function].permissions.items()]
        return {"Version": "2012-10-17", "Statement": [s for grant in grants for s in statements(grant)]}

    def grant(self, target: str, actions: list[str]) -> Grant:
        """Return what a permission of stack.yaml allows, for example `queue/uploads` and `[consume]`.

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
        """Return `text` with each ${kind.name.attribute} and ${place.attribute} filled in.

        Raises:
            StackError: a reference names something unknown.
        """
        return _REFERENCE.sub(lambda found: self._value(found[1]), text)

    def _value(self, reference: str) -> str:
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
    """Return `stack` as `deployment` names it; every reference and permission is resolved once, here.

    Raises:
        StackError: references or permissions cannot be resolved; the message lists all of them.
    """
    resolved = ResolvedStack(stack=stack, deployment=deployment)
    if problems := _unresolved(resolved):
        raise StackError("The stack cannot be resolved:\n" + "\n".join(f"  {problem}" for problem in problems))
    return resolved


def reference_problems(stack: Stack) -> list[str]:
    """Return the references and permissions of a stack that name nothing, in whatever deployment."""
    urls = dict.fromkeys(("s3_url", "s3_public_url", "sqs_url", "gateway_url"), "http://anywhere")
    return _unresolved(ResolvedStack.model_construct(stack=stack, deployment=Deployment(**urls)))


def _unresolved(resolved: ResolvedStack) -> list[str]:
    """Return what is wrong with references and permissions, each with its place in the file."""
    problems: list[str] = []

    def check(where: str, resolve: Callable[..., object], *arguments: object) -> None:
        try:
            resolve(*arguments)
        except StackError as error:
            problems.append(f"{where}: {error}")

    stack = resolved.stack
    for name, bucket in stack.buckets.items():
        for origin in bucket.cors.origins if bucket.cors else ():
            check(f"buckets.{name}.cors", resolved.fill, origin)
    for name, function in stack.functions.items():
        for variable, value in function.environment.items():
            check(f"functions.{name}.environment.{variable}", resolved.fill, value)
        for target, words in function.permissions.items():
            check(f"functions.{name}.permissions", resolved.grant, target, words)
    return problems
