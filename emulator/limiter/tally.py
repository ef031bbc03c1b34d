"""How many requests passed, by service and operation: those of S3, SQS and SNS, which AWS bills by request.

DynamoDB bills units of capacity, which its limits count. Requests about buckets are `BUCKET`; a list of one is `LIST`,
whatever its method, for it costs as a PUT ("Amazon S3 pricing", requests). What an emulator does by itself, such as
S3's notifications to a queue, passes nobody.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from fleet.http.asgi import Message, Receive
from fleet.limits.use import Count

_SQS = b"AmazonSQS."
_ACTION = re.compile(rb"Action=(\w{1,64})")
_HEAD = 80  # bytes of a form that hold its action
_KINDS_MOST = 200  # operations; more would be names that somebody makes up


class Tally:
    """Counts since the start; a few hundred nanoseconds a request."""

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._targets: dict[bytes, int] = {}

    def add(self, service: str, operation: str) -> None:
        """One request."""
        self._counts[service, operation] += 1

    def target(self, target: bytes) -> None:
        """A request with this X-Amz-Target; those of SQS count."""
        if target in self._targets:
            self._targets[target] += 1
        elif target.startswith(_SQS) and len(self._targets) < _KINDS_MOST:
            self._targets[target] = 1

    def action(self, service: str, receive: Receive) -> Receive:
        """A request in AWS's query protocol, whose form begins with its action; counted when that has been read."""
        head = b""

        async def noting() -> Message:
            nonlocal head
            message = await receive()
            if len(head) < _HEAD:
                before, head = head, head + message.get("body", b"")
                if _action_of(before) is None and (action := _action_of(head, whole=not message.get("more_body"))):
                    self._note(service, action)
            return message

        return noting

    def _note(self, service: str, operation: str) -> None:
        """One request whose operation its client names."""
        if len(self._counts) < _KINDS_MOST or (service, operation) in self._counts:
            self.add(service, operation)

    def counts(self) -> Iterator[Count]:
        """Each operation with its requests so far."""
        for (service, operation), count in self._counts.items():
            yield Count(service, operation, count)
        for target, count in self._targets.items():
            yield Count("sqs", target[len(_SQS) :].decode("latin-1"), count)


def _action_of(form: bytes, *, whole: bool = False) -> str | None:
    """The action that a form begins with; None while its name may go on."""
    found = _ACTION.match(form)
    return found[1].decode() if found and (whole or found.end() < len(form)) else None
