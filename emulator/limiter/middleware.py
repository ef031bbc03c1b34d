"""ASGI middleware that keeps DynamoDB's and S3's limits; requests of other services pass, and are counted."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Protocol

from emulator.limiter.dynamodb import DynamoDBLimiter
from emulator.limiter.error_responses import s3_refusal_headers, slow_down
from emulator.limiter.s3 import S3, request_for_objects, service_of
from emulator.limiter.tables import TARGET
from emulator.limiter.usage import PATH, RequestCounts
from fleet.http.asgi import App, Receive, Scope, Send, json_response, respond
from fleet.limits.s3 import S3Limits
from fleet.limits.use import DataUse, LimitUse

if TYPE_CHECKING:
    from fleet.limits.quotas import DynamoDBQuotas, Quotas, S3Quotas


class DataQuotas(Protocol):
    """The quotas that are kept here; `fleet.limits.quotas.Quotas` has them, too."""

    @property
    def dynamodb(self) -> DynamoDBQuotas:
        """DynamoDB's."""

    @property
    def s3(self) -> S3Quotas:
        """S3's."""


def is_unlimited(quotas: Quotas) -> bool:
    """Tell whether all quotas that would be kept here are infinite, so that no limiter is needed."""
    rates = [*quotas.dynamodb.model_dump().values(), quotas.s3.prefix_reads, quotas.s3.prefix_writes]
    return all(rate == math.inf for rate in rates)


def to_json(quotas: Quotas) -> str:
    """Write those quotas for another process: what is infinite is `Infinity`, which only Python's JSON has."""
    return json.dumps({"dynamodb": quotas.dynamodb.model_dump(), "s3": quotas.s3.model_dump()})


def from_json(text: str) -> DataQuotas:
    """Read them again, without pydantic: its import would take longer than the rest of the limiter's."""
    return json.loads(text, object_hook=lambda pairs: SimpleNamespace(**pairs))  # type: ignore[no-any-return]


class Limiter:
    """Keeps DynamoDB's and S3's limits in front of `app`, an emulator; `clock` in seconds, never going back."""

    def __init__(self, app: App, quotas: DataQuotas, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        self._dynamodb = DynamoDBLimiter(app, quotas.dynamodb, clock)
        self._s3 = S3Limits(quotas.s3)
        self._requests = RequestCounts()

    def uses(self) -> Iterator[LimitUse]:
        """Yield how much of each limit is used."""
        return itertools.chain(self._dynamodb.uses(), self._s3.uses(self._clock()))

    def data_use(self) -> DataUse:
        """Return how much of each limit is used, and what was counted."""
        return DataUse([*self.uses()], [*self._requests.counts()], [*self._dynamodb.units()])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = dict(scope["headers"])
        target = headers.get(b"x-amz-target")
        if target is not None:
            if target.startswith(TARGET):
                return await self._dynamodb(target[len(TARGET) :].decode("latin-1"), scope, receive, send)
            self._requests.add_target(target)
            return await self._app(scope, receive, send)
        if scope["path"] == PATH:
            return await respond(send, json_response(200, self.data_use().document()))
        service = service_of(scope, headers)
        if service == S3:
            wanted = request_for_objects(scope, headers.get(b"host", b"").decode("latin-1"))
            if wanted and not self._s3.admit(scope["method"], wanted[0], wanted[1], self._clock()):
                return await respond(send, slow_down(s3_refusal_headers(headers)))
            self._requests.add("s3", wanted[2] if wanted else "BUCKET")
        elif service == b"sns":
            receive = self._requests.counting("sns", receive)
        return await self._app(scope, receive, send)
