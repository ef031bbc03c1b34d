"""What this runtime and AWS's own Python client do alike, on the same fake Runtime API.

AWS's client passing proves the fake; ours passing the same tests proves the runtime.
"""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from runtime_processes import Kind, runtime_process

from workers.runtime.testing import FakeRuntimeApi

KINDS = ["workers.runtime"] + (["awslambdaric"] if sys.platform == "linux" else [])
pytestmark = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("event", [{"Records": [{"body": "é ☃", "n": 1.5}], "none": None}, "", None, "x" * 1_000_000])
async def test_response(api: FakeRuntimeApi, kind: Kind, event: Any) -> None:
    """The response is JSON, posted to its path, with its type and the invocation's nonce."""
    async with runtime_process(api, "runtime_functions.echo", kind=kind):
        body = json.dumps(event).encode()
        posted = await api.invoke(body=body, request_id="r-1", headers={"Lambda-Runtime-Invocation-Id": "nonce"})
    assert posted.kind == "response"
    assert posted.json() == event
    request = posted.request
    assert (request.method, request.path) == ("POST", "/2018-06-01/runtime/invocation/r-1/response")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["lambda-runtime-invocation-id"] == "nonce"
    (asked, *_) = api.requests
    assert (asked.method, asked.path) == ("GET", "/2018-06-01/runtime/invocation/next")


async def test_many_in_a_row(api: FakeRuntimeApi, kind: Kind) -> None:
    """One process takes one invocation after the other."""
    async with runtime_process(api, "runtime_functions.echo", kind=kind):
        assert [(await api.invoke(number)).json() for number in range(20)] == list(range(20))


async def test_bytes(api: FakeRuntimeApi, kind: Kind) -> None:
    """Bytes are sent as they are."""
    async with runtime_process(api, "runtime_functions.in_bytes", kind=kind):
        posted = await api.invoke()
    assert (posted.kind, posted.request.body) == ("response", b"\xff\x00")
    assert posted.request.headers["content-type"] == "application/unknown"


async def test_context(api: FakeRuntimeApi, kind: Kind) -> None:
    """The context has the same fields with the same values."""
    client = {"custom": {"a": "b"}, "client": {"app_title": "phone"}, "env": {}}
    headers = {
        "Lambda-Runtime-Client-Context": json.dumps(client),
        "Lambda-Runtime-Cognito-Identity": '{"cognitoIdentityId":"who","cognitoIdentityPoolId":"pool"}',
        "Lambda-Runtime-Aws-Tenant-Id": "blue",
    }
    async with runtime_process(api, "runtime_functions.describe", kind=kind):
        described = (await api.invoke(request_id="r-1", headers=headers)).json()
    assert described == {
        "request_id": "r-1",
        "arn": "arn:aws:lambda:eu-central-1:000000000000:function:f",
        "name": "photos",
        "version": "7",
        "memory": "512",
        "log_group": "/aws/lambda/photos",
        "log_stream": "stream",
        "tenant": "blue",
        "seconds": 5,
        "custom": {"a": "b"},
        "app": "phone",
        "identity": "who",
    }


async def test_error(api: FakeRuntimeApi, kind: Kind) -> None:
    """A failure has Lambda's shape and X-Ray's cause, beginning with the user's own frame."""
    async with runtime_process(api, "runtime_functions.fails", kind=kind):
        posted = await api.invoke("no photo", request_id="r-1")
        assert (await api.invoke("again")).kind == "error"
    body = posted.json()
    assert posted.request.path == "/2018-06-01/runtime/invocation/r-1/error"
    assert set(body) == {"errorMessage", "errorType", "requestId", "stackTrace"}
    assert (body["errorMessage"], body["errorType"], body["requestId"]) == ("no photo", "LookupError", "r-1")
    cause = json.loads(posted.request.headers["lambda-runtime-function-xray-error-cause"])
    assert set(cause) == {"working_directory", "exceptions", "paths"}
    (exception,) = cause["exceptions"]
    assert (exception["type"], exception["message"]) == ("LookupError", "no photo")
    assert [set(frame) for frame in exception["stack"]] == [{"label", "path", "line"}] * len(exception["stack"])
    assert exception["stack"][-1]["label"] == "fails"
    assert "raise LookupError(event)" in body["stackTrace"][-1]


@pytest.mark.parametrize(
    ("function", "body", "error_type", "message"),
    [
        ("no_json", b"{}", "Runtime.MarshalError", "Unable to marshal response: Object of type set is not JSON"),
        ("echo", b"{", "Runtime.UnmarshalError", "Unable to unmarshal input: "),
    ],
)
async def test_faults(
    api: FakeRuntimeApi, kind: Kind, function: str, body: bytes, error_type: str, message: str
) -> None:
    """Faults have the same names, messages and, since no user code is to blame, no trace."""
    async with runtime_process(api, f"runtime_functions.{function}", kind=kind):
        fault = (await api.invoke(body=body)).json()
    assert (fault["errorType"], fault["stackTrace"]) == (error_type, [])
    assert fault["errorMessage"].startswith(message)


@pytest.mark.parametrize(
    ("handler", "error_type", "message"),
    [
        (
            "nowhere.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'nowhere': No module named 'nowhere'",
        ),
        (
            "runtime_functions.nothing",
            "Runtime.HandlerNotFound",
            "Handler 'nothing' missing on module 'runtime_functions'",
        ),
        ("handler", "Runtime.MalformedHandlerName", "Bad handler 'handler': not enough values to unpack"),
        ("sys.exit", "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"),
        ("broken_syntax.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'broken_syntax': "),
        ("broken_import.handler", "ValueError", "no region"),
    ],
)
async def test_init_error(
    api: FakeRuntimeApi, kind: Kind, tmp_path: Path, handler: str, error_type: str, message: str
) -> None:
    """A function that cannot start says why, under AWS's name, and exits with 1."""
    (tmp_path / "broken_syntax.py").write_text("def handler(event, context:\n")
    (tmp_path / "broken_import.py").write_text("raise ValueError('no region')\n")
    (tmp_path / "runtime_functions.py").write_text("")
    async with runtime_process(api, handler, kind=kind, task_root=tmp_path) as process:
        request = await api.init_error
        assert await process.ended() == 1
    assert request.path == "/2018-06-01/runtime/init/error"
    body = request.json()
    assert set(body) == {"errorMessage", "errorType", "requestId", "stackTrace"}
    assert (body["errorType"], body["requestId"]) == (error_type, "")
    assert body["errorMessage"].startswith(message)
    sent = request.headers["lambda-runtime-function-error-type"]
    assert sent.removeprefix("Function.") == error_type
    assert not api.ready.is_set()


MAIN_THREAD = {"main": True, "imported_loop": True, "running": False, "awaited": True, "another": None}


async def test_synchronous_handlers_run_in_the_main_thread(api: FakeRuntimeApi, kind: Kind) -> None:
    """Its event loop is set and not running, signals may be set, context variables last."""
    async with runtime_process(api, "aws_handlers.main_thread", kind=kind):
        assert (await api.invoke()).json() == MAIN_THREAD | {"seen": 8}
        assert (await api.invoke("run")).json() == MAIN_THREAD | {"another": "ran", "seen": 9}


@pytest.mark.parametrize("handler", ["own_loop", "closes_the_loop"])
async def test_a_handler_may_do_with_the_loop_what_it_likes(api: FakeRuntimeApi, kind: Kind, handler: str) -> None:
    """A loop of its own stays set; ours also gives one back to whoever closes it, AWS's does not."""
    async with runtime_process(api, f"aws_handlers.{handler}", kind=kind):
        assert (await api.invoke()).json() == "ran"
        again = await api.invoke()
    if kind == "workers.runtime" or handler == "own_loop":
        assert again.json() == "ran"
    else:
        assert again.json()["errorMessage"] == "Event loop is closed"


async def test_the_context_is_an_ordinary_object(api: FakeRuntimeApi, kind: Kind) -> None:
    """Attributes may be added, memory is a string, W3C's trace is apart from the client context."""
    client = {"custom": {"a": "b"}, "client": {}, "env": {}, "w3c": {"traceparent": "00-1", "tracestate": 1, "x": "y"}}
    headers = {"Lambda-Runtime-Client-Context": json.dumps(client), "Lambda-Runtime-Trace-Id": "Root=1-2"}
    async with runtime_process(api, "aws_handlers.context_object", kind=kind):
        described = (await api.invoke(request_id="r-1", headers=headers)).json()
    assert described.pop("shown").startswith("LambdaContext([aws_request_id=r-1,")
    assert described == {
        "note": "kept",
        "memory": "512",
        "hashed": 1,
        "w3c": {"traceparent": "00-1"},
        "custom": {"a": "b"},
        "hidden": False,
        "trace": "Root=1-2",
    }


async def test_values_become_the_same_json(api: FakeRuntimeApi, kind: Kind) -> None:
    """Bytes are text, named tuples objects, Decimals numbers, keys strings."""
    async with runtime_process(api, "aws_handlers.values", kind=kind):
        posted = await api.invoke()
    assert posted.json() == {"body": "cGhvdG8=", "size": {"width": 3, "height": 2}, "price": 1.1, "3": None}
    assert b"1.10" in posted.request.body


@pytest.mark.parametrize(("variables", "level"), [({}, "WARNING"), ({"AWS_LAMBDA_LOG_LEVEL": "DEBUG"}, "DEBUG")])
async def test_text_logs(api: FakeRuntimeApi, kind: Kind, variables: dict[str, str], level: str) -> None:
    """print and context.log write as they are; records carry the request id, also in threads and own formats."""
    variables = {"AWS_LAMBDA_LOG_FORMAT": "Text", **variables}
    async with runtime_process(api, "aws_handlers.log", kind=kind, variables=variables) as process:
        assert (await api.invoke(request_id="r-1")).json() == level
        lines = [await process.line(text) for text in ("printed", "written", "from a thread", "hello")]
    assert (lines[0], lines[1], lines[3]) == ("printed", "written", "r-1 says hello")
    assert re.fullmatch(r"\[ERROR\]\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\tr-1\tfrom a thread", lines[2])


async def test_the_functions_own_signal_handler_counts(api: FakeRuntimeApi, kind: Kind) -> None:
    """AWS's sample for a graceful shutdown sets one for SIGTERM and exits in it."""
    variables = {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.13"}  # from 3.12 on AWS's client polls in another thread
    async with runtime_process(api, "aws_handlers.graceful", kind=kind, variables=variables) as process:
        assert (await api.invoke()).json() == "ready"
        await api.wait_idle(1)
        process.signal()
        assert await asyncio.wait_for(process.ended(), 60) == 0
    assert "goodbye" in process.lines
