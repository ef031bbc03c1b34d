"""What every function behind a queue does alike: open once, run a batch, name what comes again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from shoebox.aws.clients import Clients
from shoebox.config import AwsSettings, ConfigError
from workers.batch import Message, run_batch
from workers.runtime.context import Context
from workers.sqs_handler import BatchRunner, sqs_handler


def event(*bodies: str) -> dict[str, Any]:
    """Return an SQS event of these bodies, each its message's id as well; without receipts nothing is hidden."""
    return {"Records": [{"messageId": body, "body": body} for body in bodies]}


async def test_only_what_failed_comes_again_and_all_is_opened_once() -> None:
    """A consumer is one function for a message; the response names the messages that are not done."""
    seen: list[str] = []

    async def work(message: Message) -> None:
        seen.append(message.body)
        if message.body == "bad":
            raise RuntimeError("no")

    @asynccontextmanager
    async def open_consumer(aws: AwsSettings, clients: Clients) -> AsyncIterator[BatchRunner]:
        seen.append("opened")
        yield partial(run_batch, work=work, at_once=1)
        seen.append("closed")

    handler = sqs_handler("test", open_consumer)
    async with handler.lifespan():
        first = await handler(event("a", "bad", "b"), Context())
        second = await handler(event("c"), Context())

    assert first == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    assert second == {"batchItemFailures": []}
    assert seen == ["opened", "a", "bad", "b", "c", "closed"]


async def test_a_wrong_setting_fails_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is opened, by the variable's name."""
    monkeypatch.setenv("SHOEBOX_VISIBILITY_SECONDS", "soon")

    @asynccontextmanager
    async def open_consumer(aws: AwsSettings, clients: Clients) -> AsyncIterator[BatchRunner]:
        raise AssertionError("opened all the same")
        yield

    with pytest.raises(ConfigError, match="SHOEBOX_VISIBILITY_SECONDS"):
        async with sqs_handler("test", open_consumer).lifespan():
            pass
