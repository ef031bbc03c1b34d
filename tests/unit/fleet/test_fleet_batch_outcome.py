import orjson
import pytest

from fleet.environments.invocation import InvokeResult
from fleet.queues.batch_outcome import batch_outcome

IDS = ("a", "b", "c")


def failures(*items: object) -> bytes:
    """Return a partial batch response."""
    return orjson.dumps({"batchItemFailures": list(items)})


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"{}", b'{"batchItemFailures":null}', b'{"batchItemFailures":[]}', b'{"other":1}'],
)
def test_empty_and_null_answers_mean_that_all_is_done(payload: bytes):
    """AWS: complete success."""
    found = batch_outcome(IDS, InvokeResult(payload))
    assert (found.delete, found.keep, found.failure) == (frozenset(IDS), frozenset(), None)


def test_only_the_failed_messages_stay():
    """The named ones are kept, their neighbours deleted."""
    found = batch_outcome(IDS, InvokeResult(failures({"itemIdentifier": "b"})))
    assert (found.delete, found.keep, found.failure) == ({"a", "c"}, {"b"}, None)


@pytest.mark.parametrize(
    "payload",
    [
        failures({"itemIdentifier": None}),
        failures({"itemIdentifier": ""}),
        failures({"itemIdentifier": "b"}, {"itemIdentifier": "not-in-the-batch"}),
        failures({"identifier": "b"}),
        failures({"itemIdentifier": 7}),
        failures("b"),
        b'{"batchItemFailures":{}}',
        b'{"batchItemFailures":',
        b'"done"',
        b"[]",
    ],
)
def test_an_answer_that_cannot_be_trusted_fails_the_whole_batch(payload: bytes):
    """AWS: complete failure; nothing is deleted."""
    found = batch_outcome(IDS, InvokeResult(payload))
    assert (found.delete, found.keep) == (frozenset(), frozenset(IDS))
    assert found.failure


def test_an_error_of_the_function_fails_the_whole_batch_whatever_it_says():
    """The payload of an error is not read."""
    found = batch_outcome(IDS, InvokeResult(failures(), function_error="Unhandled"))
    assert found.keep == frozenset(IDS)


@pytest.mark.parametrize("payload", [failures({"itemIdentifier": "b"}), b'{"batchItemFailures":', b'"done"', b""])
def test_without_report_batch_item_failures_no_answer_fails_a_message(payload: bytes):
    """ "Handling errors for an SQS event source in Lambda": partial responses have to be turned on."""
    found = batch_outcome(IDS, InvokeResult(payload), reports_failures=False)
    assert (found.delete, found.keep, found.failure) == (frozenset(IDS), frozenset(), None)


def test_without_report_batch_item_failures_an_error_fails_all():
    """As with them."""
    assert batch_outcome(
        IDS, InvokeResult(b"{}", function_error="Unhandled"), reports_failures=False
    ).keep == frozenset(IDS)
