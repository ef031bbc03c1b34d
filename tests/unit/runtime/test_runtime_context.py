"""The context object, and which deadlines are believed."""

import time
from dataclasses import replace

import pytest

from workers.runtime.context import Client, ClientContext, CognitoIdentity, Context, FunctionDescription
from workers.runtime.errors import ContextUnmarshalError
from workers.runtime.protocol import Invocation

NOW = 1_790_000_000.0
NOW_MS = int(NOW * 1000)
FUNCTION = FunctionDescription("ingest", "7", 512, 60, "/aws/lambda/ingest", "stream")
INVOCATION = Invocation(
    request_id="r-1",
    deadline_ms=NOW_MS + 5000,
    function_arn="arn:f",
    trace_id="Root=1-2",
    tenant_id="blue",
    client_context=None,
    cognito_identity=None,
    invocation_id=None,
    content_type="application/json",
    body=b"{}",
)


def test_fields() -> None:
    """The context has AWS's names."""
    context = FUNCTION.context(INVOCATION, clock=lambda: NOW)
    assert context == Context(
        aws_request_id="r-1",
        function_name="ingest",
        function_version="7",
        invoked_function_arn="arn:f",
        memory_limit_in_mb="512",
        log_group_name="/aws/lambda/ingest",
        log_stream_name="stream",
        deadline_ms=NOW_MS + 5000,
        tenant_id="blue",
        trace_id="Root=1-2",
    )
    assert context.client_context is None
    assert context.identity == CognitoIdentity(None, None)


@pytest.mark.parametrize("sent", [0, 600_000, NOW_MS - 25 * 3600 * 1000])
def test_impossible_deadlines_give_way_to_the_timeout(sent: int) -> None:
    """Some emulators send milliseconds from now; that must not kill the invocation."""
    context = FUNCTION.context(INVOCATION._replace(deadline_ms=sent), clock=lambda: NOW)
    assert context.deadline_ms == NOW_MS + 60_000
    unknown = replace(FUNCTION, timeout_s=None).context(INVOCATION._replace(deadline_ms=sent), clock=lambda: NOW)
    assert unknown.deadline_ms == NOW_MS + 900_000


@pytest.mark.parametrize("sent", [NOW_MS - 1000, NOW_MS - 3600 * 1000, NOW_MS + 900_000])
def test_possible_deadlines_are_believed(sent: int) -> None:
    """A deadline that has just passed has passed."""
    assert FUNCTION.context(INVOCATION._replace(deadline_ms=sent), clock=lambda: NOW).deadline_ms == sent


def test_remaining_time() -> None:
    """It counts down to the deadline and stops at zero."""
    ahead = Context(deadline_ms=int(time.time() * 1000) + 5000)
    assert 4000 < ahead.get_remaining_time_in_millis() <= 5000
    assert Context(deadline_ms=1).get_remaining_time_in_millis() == 0


def test_client_context_and_identity() -> None:
    """What a mobile SDK sends arrives in AWS's objects."""
    invocation = INVOCATION._replace(
        client_context='{"custom":{"a":1},"env":{"b":"2"},"client":{"installation_id":"i","app_title":"t"}}',
        cognito_identity='{"cognitoIdentityId":"id","cognitoIdentityPoolId":"pool"}',
    )
    context = FUNCTION.context(invocation, clock=lambda: NOW)
    assert context.client_context == ClientContext({"a": 1}, {"b": "2"}, Client("i", "t"))
    assert context.identity == CognitoIdentity("id", "pool")


@pytest.mark.parametrize("text", ["{", "[]", '"x"'])
def test_malformed_context_is_a_fault(text: str) -> None:
    """A context that is no JSON object fails its invocation under AWS's fault name."""
    with pytest.raises(ContextUnmarshalError, match="Unable to parse Client Context"):
        FUNCTION.context(INVOCATION._replace(client_context=text))
    with pytest.raises(ContextUnmarshalError, match="Unable to parse Cognito Identity"):
        FUNCTION.context(INVOCATION._replace(cognito_identity=text))
