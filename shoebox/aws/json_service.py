"""Small clients of AWS services: signed JSON over kept connections, with retries.

A call costs about a fifth of aiobotocore's CPU, so they are for what happens all the time; the rest goes through
aiobotocore. Protocol: "AWS JSON 1.0 protocol" (Smithy): `X-Amz-Target: Service.Operation`, errors as `__type` and in
the header `x-amzn-query-error`, whose code wins, as in botocore.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar, Self

import orjson

from shoebox.aws.connections import MAX_BYTES, Connections, Response
from shoebox.aws.credentials import Credentials, CredentialsSource
from shoebox.aws.errors import AwsRefused, InvalidResponse
from shoebox.aws.retry import RetryPolicy
from shoebox.aws.signing import HeaderSigner
from shoebox.config import AwsSettings

_SKEW_SECONDS = 240.0  # a service takes requests within 5 minutes of its clock
_SKEWED = ("RequestTimeTooSkewed", "RequestExpired", "InvalidSignatureException", "SignatureDoesNotMatch")


def service_url(settings: AwsSettings, service: str) -> str:
    """Return where a regional service is ("AWS service endpoints"); the settings' own endpoint wins."""
    suffix = "amazonaws.com.cn" if settings.region.startswith("cn-") else "amazonaws.com"
    return settings.endpoint_url or f"https://{service}.{settings.region}.{suffix}"


class JsonService:
    """Calls of one service over connections that others may share; each service is a subclass.

    `service` is its name in signatures and addresses, `target` its prefix of X-Amz-Target. A response may take
    `response_seconds` and have `max_bytes`. `clock` gives seconds since the epoch.
    """

    service: ClassVar[str]
    target: ClassVar[str]
    retry: RetryPolicy = RetryPolicy()
    response_seconds: float = 10.0
    max_bytes: ClassVar[int] = MAX_BYTES

    def __init__(
        self,
        connections: Connections,
        credentials: CredentialsSource,
        *,
        region: str,
        retry: RetryPolicy | None = None,
        response_seconds: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._connections = connections
        self._credentials = credentials
        self._region = region
        self._retry = retry or self.retry
        self._response_seconds = self.response_seconds if response_seconds is None else response_seconds
        self._clock = clock
        self._ahead = 0.0  # what the server's clock is ahead of ours, where that matters
        self._keys: Credentials | None = None
        self._signer: HeaderSigner

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: AwsSettings, credentials: CredentialsSource) -> AsyncIterator[Self]:
        """Open a client of the settings' region, with connections of its own that are closed at the end."""
        connections = Connections(service_url(settings, cls.service), max_bytes=cls.max_bytes)
        try:
            yield cls(connections, credentials, region=settings.region)
        finally:
            connections.close()

    async def call(self, operation: str, request: Mapping[str, Any], *, seconds: float = 0.0) -> dict[str, Any]:
        """Call an operation, such as `ReceiveMessage`; `seconds` are those that the service may wait by itself.

        It is retried as in botocore's standard mode, after lost connections, 5xx and throttling, and once more after a
        signature by a clock that differs from the server's.

        Raises:
            AwsRefused, AwsUnreachable: after the last attempt.
        """
        body = orjson.dumps(request)
        return await self._retry.run(lambda: self._attempt(operation, body, seconds + self._response_seconds))

    async def _attempt(self, operation: str, body: bytes, seconds: float) -> dict[str, Any]:
        response = await self._send(operation, body, seconds)
        if response.status != 200:
            error = _refusal(operation, response)
            if error.code not in _SKEWED or not self._correct_clock(response):
                raise error
            response = await self._send(operation, body, seconds)
            if response.status != 200:
                raise _refusal(operation, response)
        return _content(response)

    async def _send(self, operation: str, body: bytes, seconds: float) -> Response:
        keys = await self._credentials()
        if keys != self._keys:
            self._signer = HeaderSigner(keys, region=self._region, service=self.service, host=self._connections.host)
            self._keys = keys
        head = self._signer.head(f"{self.target}.{operation}", body, self._clock() + self._ahead)
        return await self._connections.exchange(head, seconds, body=body)

    def _correct_clock(self, response: Response) -> bool:
        """Take over the server's clock when ours is far from it; return whether that changed anything."""
        try:
            theirs = parsedate_to_datetime(response.headers.get(b"date", b"").decode("latin-1")).timestamp()
        except ValueError:
            return False
        ahead = theirs - self._clock()
        if abs(ahead - self._ahead) < _SKEW_SECONDS:
            return False
        self._ahead = ahead
        return True


def _content(response: Response) -> dict[str, Any]:
    if not response.body:
        return {}
    try:
        content = orjson.loads(response.body)
    except orjson.JSONDecodeError as error:
        raise InvalidResponse(f"the response is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidResponse("the response is no JSON object")
    return content


def _refusal(operation: str, response: Response) -> AwsRefused:
    try:
        content = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        content = {}
    compatible = response.headers.get(b"x-amzn-query-error", b"").decode("latin-1").partition(";")[0]
    code = compatible or str(content.get("__type", "")).rpartition("#")[2] or f"HTTP{response.status}"
    message = str(content.get("message") or content.get("Message") or "")
    return AwsRefused(code, message, response.status, content, operation=operation)
