"""Which messages of a batch are done: partial batch responses, as Lambda reads them. Pure.

Source: AWS Lambda, "Handling errors for an SQS event source", success and failure conditions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from fleet.environments.invocation import InvokeResult


@dataclass(frozen=True, slots=True)
class BatchOutcome:
    """Message ids to delete and to leave in the queue; `failure` says why the whole batch failed, if it did."""

    delete: frozenset[str]
    keep: frozenset[str]
    failure: str | None = None


class _WholeBatchFails(ValueError):
    pass


def batch_outcome(message_ids: Iterable[str], result: InvokeResult, *, reports_failures: bool = True) -> BatchOutcome:
    """Return what becomes of a batch's messages after its function has run.

    Without `reports_failures` (ReportBatchItemFailures) only an error of the function fails a batch, whatever the
    response says. With it an empty or null response, or an empty or null list, means success of all. An error of the
    function, a response that is not JSON or not an object, an identifier that is null, empty, misnamed or not in the
    batch fails all.
    """
    sent = frozenset(message_ids)
    if result.function_error is not None:
        return BatchOutcome(frozenset(), sent, "function error")
    if not reports_failures:
        return BatchOutcome(sent, frozenset())
    try:
        failed = _failed(result.payload)
    except _WholeBatchFails as error:
        return BatchOutcome(frozenset(), sent, str(error))
    if failed - sent:
        return BatchOutcome(frozenset(), sent, "itemIdentifier is not in the batch")
    return BatchOutcome(sent - failed, failed)


def _failed(payload: bytes) -> frozenset[str]:
    """Return the identifiers that a response of `batchItemFailures` lists."""
    if not payload.strip():
        return frozenset()
    try:
        response = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise _WholeBatchFails("the response is not JSON") from error
    if response is None:
        return frozenset()
    if not isinstance(response, dict):
        raise _WholeBatchFails("the response is not an object")
    failures = response.get("batchItemFailures")
    if failures is None:
        return frozenset()
    if not isinstance(failures, list):
        raise _WholeBatchFails("batchItemFailures is not a list")
    identifiers: list[Any] = [item.get("itemIdentifier") if isinstance(item, dict) else None for item in failures]
    if not all(isinstance(identifier, str) and identifier for identifier in identifiers):
        raise _WholeBatchFails("an itemIdentifier is missing, null or empty")
    return frozenset(identifiers)
