"""A small SQS client for event source mappings, on `shoebox.aws.json_service`. Why not aiobotocore's: ADR 0015."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from shoebox.aws.connections import Connections
from shoebox.aws.credentials import Credentials
from shoebox.aws.json_service import JsonService, Patience

PATIENCE = Patience(attempts=3, first_pause=0.05, answer_seconds=10.0)
"""An answer may take ten seconds beyond those of a long poll."""


class SqsClient(JsonService):
    """Calls SQS with one set of credentials over connections that others may share.

    A queue's URL is part of each request. `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        connections: Connections,
        credentials: Credentials,
        *,
        region: str,
        patience: Patience = PATIENCE,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(
            connections,
            credentials,
            region=region,
            service="sqs",
            target="AmazonSQS",
            patience=patience,
            clock=clock,
            sleep=sleep,
        )
