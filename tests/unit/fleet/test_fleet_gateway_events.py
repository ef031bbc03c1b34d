"""Events key by key: the samples of API Gateway's developer guide (tests/fixtures/events/README.md names the pages)."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from gateway_fakes import Api, api_of, policy

EVENTS = Path(__file__).parents[2] / "fixtures" / "events"
CONTEXT = {"stringKey": "value", "numberKey": 1, "booleanKey": True}
DEEP = {**CONTEXT, "arrayKey": ["value1", "value2"], "mapKey": {"value1": "value2"}}
COMMON = [
    ("host", "id.execute-api.us-east-1.amazonaws.com"),
    ("user-agent", "user-agent"),
    ("x-amzn-trace-id", "Root=1-67891233-abcdef012345678912345678"),
]
POST = [
    *COMMON,
    ("content-type", "text/plain"),
    ("content-length", "18"),
    ("header1", "value1"),
    ("header2", "value1"),
    ("header2", "value2"),
    ("cookie", "cookie1; cookie2"),
]
PROXY_ROUTE = [{"path": "/my/{proxy+}", "function": "web"}]
AUTHORIZER = {"function": "gate", "ttl": 0, "identity": []}
TARGET = "/my/path%20x?parameter1=value1&parameter1=value2&parameter2=a%20value"


def sample(name: str) -> dict[str, Any]:
    """Read an event as the guide has it."""
    content: dict[str, Any] = orjson.loads((EVENTS / f"{name}.json").read_bytes())
    return content


def normalised(event: dict[str, Any]) -> dict[str, Any]:
    """Return the event with placeholders for what no two requests have in common."""
    context = event.get("requestContext", {})
    same = context.get("requestId") == context.get("extendedRequestId")
    placeholders = {
        "requestId": "request-id",
        "extendedRequestId": "request-id" if same else "extended-id",
        "requestTime": "time",
        "requestTimeEpoch": 0,
        "time": "time",
        "timeEpoch": 0,
    }
    context.update({key: value for key, value in placeholders.items() if key in context})
    if "integrationLatency" in context.get("authorizer", {}):
        context["authorizer"]["integrationLatency"] = 0
    return event


@pytest.mark.parametrize(
    ("name", "gateway", "context"),
    [
        pytest.param("rest-proxy-1.0", {}, CONTEXT, id="REST"),
        pytest.param("http-proxy-1.0", {"kind": "http", "payload": "1.0"}, CONTEXT, id="HTTP, payload 1.0"),
        pytest.param("http-proxy-2.0", {"kind": "http"}, DEEP, id="HTTP, payload 2.0"),
    ],
)
async def test_a_function_gets_the_event_of_the_guide(name: str, gateway: dict[str, Any], context: dict[str, Any]):
    """The same request, made here, gives the sample: no key more, none less."""
    described = {"routes": PROXY_ROUTE, "variables": {"stageVariable1": "value1"}, "authorizer": AUTHORIZER, **gateway}
    api = api_of(described, gate=lambda _: policy(**context))
    answer = await api.ask("POST", TARGET, POST, b"Hello from Lambda!")
    assert answer.status == 200
    assert normalised(api.functions.events["web"][0]) == sample(name)


@pytest.mark.parametrize(
    ("name", "gateway", "authorizer"),
    [
        pytest.param("rest-authorizer-token", {}, {"type": "TOKEN", "identity": "headerauth1"}, id="REST TOKEN"),
        pytest.param("rest-authorizer-request", {}, {}, id="REST REQUEST"),
        pytest.param("http-authorizer-1.0", {"kind": "http"}, {"payload": "1.0"}, id="HTTP, payload 1.0"),
        pytest.param("http-authorizer-2.0", {"kind": "http"}, {}, id="HTTP, payload 2.0"),
    ],
)
async def test_an_authorizer_gets_the_event_of_the_guide(
    name: str, gateway: dict[str, Any], authorizer: dict[str, Any]
):
    """Input to an API Gateway Lambda authorizer; Control access to HTTP APIs with AWS Lambda authorizers."""
    sources = ["method.request.header.HeaderAuth1", "method.request.querystring.QueryString1"]
    described = {
        "routes": [{"path": "/request", "function": "web"}],
        "variables": {"StageVar1": "stageValue1"},
        "authorizer": {"function": "gate", "identity": sources, **authorizer},
        **gateway,
    }
    value = "allow" if authorizer.get("type") == "TOKEN" else "headerValue1"
    api = api_of(described)
    headers = [*COMMON, ("accept", "*/*"), ("headerauth1", value)]
    assert (await api.ask("GET", "/request?QueryString1=queryValue1", headers)).status == 200
    assert normalised(api.functions.events["gate"][0]) == sample(name)


def bare(**gateway: Any) -> Api:
    """Return an API with an open route for everything."""
    return api_of({"routes": [{"path": "/{proxy+}", "function": "web", "authorize": False}], **gateway})


async def test_what_a_request_does_not_have_is_null_in_1_0_and_left_out_in_2_0():
    """As the samples of both formats, and the service's own events, have it."""
    rest, http = bare(), bare(kind="http")
    for api in (rest, http):
        await api.ask("GET", "/x")
    old, new = rest.functions.events["web"][0], http.functions.events["web"][0]
    assert [old[key] for key in ("queryStringParameters", "stageVariables", "body")] == [None, None, None]
    assert not {"queryStringParameters", "stageVariables", "body", "cookies"} & new.keys()


async def test_a_path_comes_as_it_was_sent_or_decoded_once():
    """REST APIs pass the path and its parameters as they came, HTTP APIs percent-decoded."""
    rest, old, new = bare(), bare(kind="http", payload="1.0"), bare(kind="http")
    for api in (rest, old, new):
        await api.ask("GET", "/a%2520b/%C3%BC")
    assert rest.functions.events["web"][0]["path"] == "/a%2520b/%C3%BC"
    assert old.functions.events["web"][0]["path"] == "/a%20b/ü"
    assert new.functions.events["web"][0]["rawPath"] == "/a%20b/ü"
    assert rest.functions.events["web"][0]["pathParameters"] == {"proxy": "a%2520b/%C3%BC"}
    assert all(a.functions.events["web"][0]["pathParameters"] == {"proxy": "a%20b/ü"} for a in (old, new))


async def test_ids_on_the_answer_are_those_of_the_event():
    """REST: request id, extended id, trace; HTTP APIs send only their own."""
    rest, http = bare(), bare(kind="http")
    answers = [await api.ask("GET", "/x") for api in (rest, http)]
    old, new = (api.functions.events["web"][0]["requestContext"] for api in (rest, http))
    assert answers[0].header("x-amzn-requestid") == old["requestId"]
    assert answers[0].header("x-amz-apigw-id") == old["extendedRequestId"] != old["requestId"]
    assert answers[1].header("apigw-requestid") == new["requestId"]
    assert answers[1].header("x-amzn-requestid") is None


async def test_headers_of_the_connection_do_not_reach_the_function():
    """Amazon API Gateway important notes: dropped on the way to an integration."""
    api = bare()
    names = ("te", "trailer", "upgrade", "connection", "expect", "content-md5", "x-kept")
    await api.ask("GET", "/x", [(name, "1") for name in names])
    assert api.functions.events["web"][0]["headers"].keys() & set(names) == {"x-kept"}
