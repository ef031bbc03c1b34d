"""A stack at a place: physical names, addresses, ARNs, and each function's environment and IAM policy."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from pydantic import Field

from shoebox.policies import Grant, statements
from shoebox.stack import Name, Part, Stack, StackError

_REFERENCE = re.compile(r"\$\{([a-z_]+)\.([a-z0-9_-]+)(?:\.([a-z_]+))?\}")


class Place(Part):
    """Where a stack lives: name prefix, account, region, and the addresses that its parts are reached at."""

    prefix: Name = "shoebox"
    account: str = Field(default="000000000000", pattern=r"^\d{12}$")
    region: str = "us-east-1"
    endpoint_url: str | None = None  # None: real AWS
    s3_url: str
    s3_public_url: str  # as clients reach it
    sqs_url: str
    gateway_url: str


class BoundStack(Part):
    """A stack at a place: every name, address, environment and policy."""

    stack: Stack
    place: Place

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
        return f"{self.place.prefix}-{name}"

    def arn_of(self, kind: str, name: str) -> str:
        """ARN of a bucket, queue, topic, table or function ("Amazon Resource Names")."""
        physical, region, account = self.name_of(kind, name), self.place.region, self.place.account
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
        return f"arn:aws:iam::{self.place.account}:role/{self.name_of('function', function)}"

    def queue_url(self, name: str) -> str:
        """URL of a queue, in SQS's path form."""
        return f"{self.place.sqs_url}/{self.place.account}/{self.name_of('queue', name)}"

    def environment(self, function: str) -> dict[str, str]:
        """A function's own environment variables, references filled in."""
        return {key: self.fill(value) for key, value in self.stack.functions[function].environment.items()}

    def policy(self, function: str) -> dict[str, Any]:
        """The IAM policy document of a function's role: exactly its permissions."""
        grants = [
            self._grant(target, actions) for target, actions in self.stack.functions[function].permissions.items()
        ]
        return {"Version": "2012-10-17", "Statement": [s for grant in grants for s in statements(grant)]}

    def _grant(self, target: str, actions: list[str]) -> Grant:
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
        return _REFERENCE.sub(lambda found: self._resolve(*found.groups()), text)

    def _resolve(self, kind: str, name: str, attribute: str | None) -> str:
        if kind == "place" and name in Place.model_fields:
            return str(getattr(self.place, name))
        match attribute:
            case "name":
                return self.name_of(kind, name)
            case "arn":
                return self.arn_of(kind, name)
            case "url" if kind == "queue":
                return self.queue_url(name)
        raise StackError(f"unknown reference ${{{kind}.{name}.{attribute}}}")


def bind(stack: Stack, place: Place) -> BoundStack:
    """`stack`, named for `place`; every reference and permission is resolved once, here.

    Raises:
        StackError: a reference or a permission cannot be resolved.
    """
    bound = BoundStack(stack=stack, place=place)
    for name in stack.functions:
        bound.environment(name)
        bound.policy(name)
    return bound
