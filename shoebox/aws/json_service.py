"""Small clients of AWS services: signed requests over kept connections, with retries; here those that speak JSON.

A call costs about a fifth of aiobotocore's CPU, so they are for what happens all the time; the rest goes through
aiobotocore. Protocol: "AWS JSON 1.0 protocol" (Smithy): `X-Amz-Target: Service.Operation`, errors as `__type` and in
the header `x-amzn-query-error`, whose code wins, as in botocore. `shoebox.aws.query_service` has the older protocol.
What is tried again, with jitter, is what botocore's standard mode retries: lost connections, 5xx and throttling; and
once more what was signed by a clock that differs from the server's.

AwsError             base; `code` is the service's error code, or the name of what failed on the way
├── AwsRefused       the service answered with an error
└── AwsUnreachable   there was no answer
"""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar

import orjson

from shoebox.aws.connections import Answer, ConnectionFault, Connections
from shoebox.aws.credentials import Credentials
from shoebox.aws.sigv4 import CONTENT_TYPE, Signer

T = TypeVar("T")
_SKEW_SECONDS = 240.0  # a service takes requests within 5 minutes of its clock
_SKEWED = frozenset({"RequestTimeTooSkewed", "RequestExpired", "InvalidSignatureException", "SignatureDoesNotMatch"})
# botocore.retries.standard, ThrottledRetryableChecker and TransientRetryableChecker
_THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "RequestThrottled",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "SlowDown",
        "PriorRequestNotComplete",
        "TransactionInProgressException",
    }
)
_TRANSIENT = frozenset({"RequestTimeout", "RequestTimeoutException"})


class AwsError(Exception):
    """A call failed for good."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def passing(self) -> bool:
        """Whether the same call may succeed in a moment."""
        return True


class AwsRefused(AwsError):
    """The service answered with an error: HTTP's `status`, and the whole `content`."""

    def __init__(self, code: str, message: str, status: int, content: Mapping[str, Any] | None = None) -> None:
        super().__init__(code, message)
        self.status = status
        self.content = content or {}

    @property
    def passing(self) -> bool:
        """Faults of the server, and throttling."""
        return self.status >= 500 or self.code in _THROTTLED or self.code in _TRANSIENT


class AwsUnreachable(AwsError):
    """No answer came, or none that can be read."""


@dataclass(frozen=True, slots=True)
class Patience:
    """`attempts` at a call; the pause after the n-th is between 0 and `first_pause` · 2^n seconds.

    It is `longest_pause` at most; an answer may take `answer_seconds`.
    """

    attempts: int = 3
    first_pause: float = 0.05
    longest_pause: float = 20.0
    answer_seconds: float = 10.0

    def pause(self, attempt: int) -> float:
        """Seconds before the next attempt."""
        most = min(self.first_pause * 2.0**attempt, self.longest_pause)
        return random.uniform(0, most)  # noqa: S311 - jitter


class SignedService(ABC, Generic[T]):
    """Signed calls of one service with one set of credentials, over connections that others may share.

    `service` is its name in signatures; `clock` gives seconds since the epoch. Subclasses know what answers mean.
    """

    def __init__(
        self,
        connections: Connections,
        credentials: Credentials,
        *,
        region: str,
        service: str,
        content_type: str,
        patience: Patience,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._connections = connections
        self._signer = Signer(
            credentials, region=region, service=service, host=connections.host, content_type=content_type
        )
        self._patience = patience
        self._clock = clock
        self._sleep = sleep
        self._ahead = 0.0  # what the server's clock is ahead of ours, where that matters

    @abstractmethod
    def _content(self, answer: Answer) -> T:
        """What a successful answer says; AwsUnreachable if it cannot be read."""

    @abstractmethod
    def _refusal(self, answer: Answer) -> AwsRefused:
        """What an error says."""

    async def _call(self, target: str, body: bytes, seconds: float = 0.0) -> T:
        """One call; `target` as in X-Amz-Target, if there is one."""
        attempt = 1
        while True:
            try:
                return await self._attempt(target, body, seconds + self._patience.answer_seconds)
            except AwsError as error:
                if attempt == self._patience.attempts or not error.passing:
                    raise
            await self._sleep(self._patience.pause(attempt))
            attempt += 1

    async def _attempt(self, target: str, body: bytes, seconds: float) -> T:
        answer = await self._send(target, body, seconds)
        if answer.status != 200 and self._refusal(answer).code in _SKEWED and self._correct_clock(answer):
            answer = await self._send(target, body, seconds)
        if answer.status != 200:
            raise self._refusal(answer)
        return self._content(answer)

    async def _send(self, target: str, body: bytes, seconds: float) -> Answer:
        head = self._signer.head(target, body, self._clock() + self._ahead)
        try:
            return await self._connections.exchange(head, seconds, body=body)
        except ConnectionFault as error:
            raise AwsUnreachable(type(error).__name__, str(error)) from error
        except TimeoutError as error:
            raise AwsUnreachable("Timeout", f"no answer within {seconds:.0f} s") from error

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


class JsonService(SignedService[dict[str, Any]]):
    """One service that speaks AWS JSON 1.0; `target` is its prefix of X-Amz-Target."""

    def __init__(
        self,
        connections: Connections,
        credentials: Credentials,
        *,
        region: str,
        service: str,
        target: str,
        patience: Patience,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(
            connections,
            credentials,
            region=region,
            service=service,
            content_type=CONTENT_TYPE,
            patience=patience,
            clock=clock,
            sleep=sleep,
        )
        self._target = target

    async def call(self, operation: str, request: Mapping[str, Any], *, seconds: float = 0.0) -> dict[str, Any]:
        """One operation, such as `ReceiveMessage`; `seconds` are those that the service may wait by itself.

        Raises:
            AwsRefused, AwsUnreachable: after the last attempt.
        """
        return await self._call(f"{self._target}.{operation}", orjson.dumps(request), seconds)

    def _content(self, answer: Answer) -> dict[str, Any]:
        if not answer.body:
            return {}
        try:
            content = orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            raise AwsUnreachable("InvalidResponse", f"the answer is not JSON: {error}") from error
        if not isinstance(content, dict):
            raise AwsUnreachable("InvalidResponse", "the answer is no JSON object")
        return content

    def _refusal(self, answer: Answer) -> AwsRefused:
        try:
            content = orjson.loads(answer.body)
        except orjson.JSONDecodeError:
            content = None
        if not isinstance(content, dict):
            content = {}
        compatible = answer.headers.get(b"x-amzn-query-error", b"").decode("latin-1").partition(";")[0]
        code = compatible or str(content.get("__type", "")).rpartition("#")[2] or f"HTTP{answer.status}"
        message = str(content.get("message") or content.get("Message") or "")
        return AwsRefused(code, message, answer.status, content)
