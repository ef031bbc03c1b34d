"""The small client of a service that speaks the older protocol: forms in, XML out ("AWS Query protocol", Smithy)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from shoebox.aws.connections import Answer, Connections
from shoebox.aws.credentials import Credentials
from shoebox.aws.json_service import AwsRefused, AwsUnreachable, Patience, SignedService

FORM = "application/x-www-form-urlencoded; charset=utf-8"


class QueryService(SignedService[ET.Element]):
    """One service that speaks AWS Query; `version` and `namespace` are of its API."""

    def __init__(
        self,
        connections: Connections,
        credentials: Credentials,
        *,
        region: str,
        service: str,
        version: str,
        patience: Patience,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(
            connections,
            credentials,
            region=region,
            service=service,
            content_type=FORM,
            patience=patience,
            clock=clock,
            sleep=sleep,
        )
        self._version = version

    async def call(self, action: str, parameters: Sequence[tuple[str, str]]) -> ET.Element:
        """One action, such as `PublishBatch`; its answer's root. Searches need the namespace, or `{*}`.

        Raises:
            AwsRefused, AwsUnreachable: after the last attempt.
        """
        form = [("Action", action), ("Version", self._version), *parameters]
        return await self._call("", urlencode(form).encode())

    def _content(self, answer: Answer) -> ET.Element:
        try:
            return ET.fromstring(answer.body)  # noqa: S314 - AWS's own words, bounded
        except ET.ParseError as error:
            raise AwsUnreachable("InvalidResponse", f"the answer is not XML: {error}") from error

    def _refusal(self, answer: Answer) -> AwsRefused:
        try:
            root = ET.fromstring(answer.body)  # noqa: S314 - as above
        except ET.ParseError:
            root = ET.Element("nothing")
        code = root.findtext("{*}Error/{*}Code") or f"HTTP{answer.status}"
        return AwsRefused(code, root.findtext("{*}Error/{*}Message") or "", answer.status)
