"""A small SQS client: signed JSON over kept connections, with retries. A call costs about a fifth of aiobotocore's CPU.

Protocol: "AWS JSON 1.0 protocol" (Smithy), as SQS speaks it: `X-Amz-Target: AmazonSQS.Operation`, the queue's URL in
the body, errors as `__type` and in the header `x-amzn-query-error`, whose code wins, as in botocore. Tried up to three
times, with jitter, is what botocore's standard mode retries: lost connections, 5xx and throttling; and once more what
was signed by a clock that differs from the server's. Measured by `python -m benchmarks.event_source`.

SqsError             base; `code` is SQS's error code, or the name of what failed on the way
├── SqsRefused       SQS answered with an error
└── SqsUnreachable   there was no answer
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from fleet.queues.connection import Answer, ConnectionFault, ConnectionLost, Connections
from fleet.queues.sigv4 import Signer
from shoebox.aws import Credentials

ATTEMPTS = 3
ANSWER_SECONDS = 10.0
"""To answer, beyond the seconds of a long poll."""

_FIRST_PAUSE = 0.05
_SKEW_SECONDS = 240.0  # SQS takes requests within 5 minutes of its clock
_SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired", "InvalidSignatureException", "SignatureDoesNotMatch"})
_THROTTLED = frozenset({"Throttling", "ThrottlingException", "RequestThrottled", "RequestThrottledException"})


class SqsError(Exception):
    """A call failed for good."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed in a moment."""
        return True


class SqsRefused(SqsError):
    """SQS answered with an error; `status` is HTTP's."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(code, message)
        self.status = status

    @property
    def passing(self) -> bool:
        """Faults of the server, and throttling."""
        return self.status >= 500 or self.code in _THROTTLED


class SqsUnreachable(SqsError):
    """No answer came, or none that can be read."""


class SqsClient:
    """Calls SQS with one set of credentials over connections that others may share.

    `answer_seconds` are what an answer may take, `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        connections: Connections,
        credentials: Credentials,
        *,
        region: str,
        answer_seconds: float = ANSWER_SECONDS,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._connections = connections
        self._signer = Signer(credentials, region=region, service="sqs", host=connections.host)
        self._answer_seconds = answer_seconds
        self._clock = clock
        self._sleep = sleep
        self._ahead = 0.0  # what the server's clock is ahead of ours, where that matters

    async def call(self, operation: str, request: Mapping[str, Any], *, seconds: float = 0.0) -> dict[str, Any]:
        """One operation, such as `ReceiveMessage`; `seconds` are those that SQS may wait by itself.

        Raises:
            SqsRefused, SqsUnreachable: after the last attempt.
        """
        target, body = f"AmazonSQS.{operation}", orjson.dumps(request)
        attempt = 1
        while True:
            try:
                return await self._attempt(target, body, seconds + self._answer_seconds)
            except SqsError as error:
                if attempt == ATTEMPTS or not error.passing:
                    raise
            await self._sleep(random.uniform(0, _FIRST_PAUSE * 2**attempt))  # noqa: S311 - jitter
            attempt += 1

    async def _attempt(self, target: str, body: bytes, seconds: float) -> dict[str, Any]:
        answer = await self._send(target, body, seconds)
        if answer.status != 200 and _refusal(answer).code in _SKEWED and self._correct_clock(answer):
            answer = await self._send(target, body, seconds)
        if answer.status != 200:
            raise _refusal(answer)
        return _content(answer)

    async def _send(self, target: str, body: bytes, seconds: float) -> Answer:
        """A connection that the server has closed meanwhile is no fault: the request goes over another one at once."""
        while True:
            head = self._signer.head(target, body, self._clock() + self._ahead)
            try:
                return await self._connections.exchange(head + body, seconds)
            except ConnectionLost as error:
                if not error.reused:
                    raise SqsUnreachable("ConnectionLost", str(error)) from error
            except ConnectionFault as error:
                raise SqsUnreachable(type(error).__name__, str(error)) from error
            except TimeoutError as error:
                raise SqsUnreachable("Timeout", f"no answer within {seconds:.0f} s") from error

    def _correct_clock(self, answer: Answer) -> bool:
        """Take over the server's clock when ours is far from it; says whether that changed anything."""
        try:
            theirs = parsedate_to_datetime(answer.headers.get(b"date", b"").decode("latin-1")).timestamp()
        except ValueError:
            return False
        ahead = theirs - self._clock()
        if abs(ahead - self._ahead) < _SKEW_SECONDS:
            return False
        self._ahead = ahead
        return True


def _content(answer: Answer) -> dict[str, Any]:
    if not answer.body:
        return {}
    try:
        content = orjson.loads(answer.body)
    except orjson.JSONDecodeError as error:
        raise SqsUnreachable("InvalidResponse", f"the answer is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise SqsUnreachable("InvalidResponse", "the answer is no JSON object")
    return content


def _refusal(answer: Answer) -> SqsRefused:
    try:
        content = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        content = {}
    compatible = answer.headers.get(b"x-amzn-query-error", b"").decode("latin-1").partition(";")[0]
    code = compatible or str(content.get("__type", "")).rpartition("#")[2] or f"HTTP{answer.status}"
    return SqsRefused(code, str(content.get("message") or content.get("Message") or ""), answer.status)
