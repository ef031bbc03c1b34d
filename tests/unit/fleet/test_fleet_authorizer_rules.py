"""Lambda authorizers of both flavours, through the whole gateway.

API Gateway, "Configure a Lambda authorizer using the API Gateway console", "Input to an API Gateway Lambda authorizer",
"Output from an API Gateway Lambda authorizer", "Control access to HTTP APIs with AWS Lambda authorizers".
"""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from gateway_fakes import EVERYTHING, Api, api_of, policy, scope_of

from fleet.environments.invocation import InvokeResult
from fleet.gateway.authorizer import Authorizer, AuthorizerCache
from fleet.gateway.authorizer_rules import HTTP_1, HTTP_2
from fleet.gateway.events import Api as GatewayApi
from fleet.gateway.refusals import Refusal
from fleet.gateway.request import request_of
from fleet.gateway.routes import Match
from shoebox.stack.gateway import Route

ROUTES = [{"path": "/{proxy+}", "function": "web"}]
HEADER, QUERY = "method.request.header.Auth", "method.request.querystring.name"
FULL = [("auth", "a")]


def api(kind: str = "rest", gate: Any = lambda _: policy(), proxy: str = "2.0", **authorizer: Any) -> Api:
    """Return a gateway with this authorizer; `proxy` is the payload format of an HTTP API's functions."""
    described = {"function": "gate", "identity": HEADER, **authorizer}
    return api_of({"kind": kind, "payload": proxy, "routes": ROUTES, "authorizer": described}, gate=gate)


@pytest.mark.parametrize(
    ("kind", "authorizer", "target", "headers", "status", "asked"),
    [
        pytest.param("rest", {}, "/x", FULL, 200, 1, id="REST: there"),
        pytest.param("rest", {}, "/x", [], 401, 0, id="REST: missing"),
        pytest.param("rest", {}, "/x", [("auth", "")], 401, 0, id="REST: empty"),
        pytest.param("rest", {"identity": [HEADER, QUERY]}, "/x?name=n", FULL, 200, 1, id="REST: both there"),
        pytest.param("rest", {"identity": [HEADER, QUERY]}, "/x", FULL, 401, 0, id="REST: one of two missing"),
        pytest.param("rest", {"identity": [HEADER, QUERY]}, "/x?Name=n", FULL, 401, 0, id="query names have a case"),
        pytest.param("rest", {"identity": "AUTH"}, "/x", FULL, 200, 1, id="header names have none"),
        pytest.param("rest", {"identity": "context.identity.sourceIp"}, "/x", [], 200, 1, id="REST: context"),
        pytest.param("rest", {"identity": "stageVariables.missing"}, "/x", [], 401, 0, id="REST: stage variable"),
        pytest.param("rest", {"ttl": 0}, "/x", [], 200, 1, id="REST without caching: identity is not checked"),
        pytest.param("rest", {"ttl": 0, "type": "TOKEN"}, "/x", [], 401, 0, id="TOKEN without caching: it is"),
        pytest.param("http", {"ttl": 0}, "/x", [], 401, 0, id="HTTP without caching: it is"),
        pytest.param("http", {"ttl": 0, "identity": []}, "/x", [], 200, 1, id="HTTP without identity sources"),
        pytest.param("http", {"identity": "$request.header.Auth"}, "/x", FULL, 200, 1, id="HTTP: its expressions"),
        pytest.param("http", {"identity": "$request.querystring.n"}, "/x?n=1", [], 200, 1, id="HTTP: query"),
        pytest.param("http", {"identity": "$context.routeKey"}, "/x", [], 200, 1, id="HTTP: context"),
        pytest.param("rest", {"type": "TOKEN", "validation": "Bearer .+"}, "/x", FULL, 401, 0, id="TOKEN: no match"),
        pytest.param("rest", {"type": "TOKEN", "validation": "[ab]"}, "/x", FULL, 200, 1, id="TOKEN: match"),
        pytest.param(
            "rest", {"type": "TOKEN", "validation": "a"}, "/x", [("auth", "ab")], 401, 0, id="TOKEN: as a whole"
        ),
        pytest.param("rest", {"type": "TOKEN", "validation": ""}, "/x", FULL, 200, 1, id="TOKEN: empty pattern"),
    ],
)
async def test_identity_is_checked_before_anyone_is_asked(
    kind: str,
    authorizer: dict[str, Any],
    target: str,
    headers: list[tuple[str, str]],
    status: int,
    asked: int,
):
    """If a specified identity source is missing, null, or empty, the answer is 401, without calling the function."""
    answers = {"policyDocument": policy()["policyDocument"], "principalId": "p"}
    made = api(kind, gate=lambda _: answers, **authorizer)
    assert (await made.ask("GET", target, headers)).status == status
    assert len(made.functions.events.get("gate", [])) == asked


TWICE = [("auth", "a"), ("auth", "b")]


@pytest.mark.parametrize(
    ("kind", "authorizer", "target", "headers"),
    [
        pytest.param("rest", {}, "/x", TWICE, id="REST: header"),
        pytest.param("rest", {}, "/x", [*FULL, *FULL], id="REST: the same header again"),
        pytest.param("rest", {}, "/x", [*FULL, ("auth", "")], id="REST: empty the second time"),
        pytest.param("rest", {"ttl": 0}, "/x", TWICE, id="REST without caching"),
        pytest.param("rest", {"type": "TOKEN"}, "/x", TWICE, id="REST: TOKEN"),
        pytest.param("rest", {"identity": [HEADER, QUERY]}, "/x?name=1&name=2", FULL, id="REST: query"),
        pytest.param("rest", {"identity": [HEADER, QUERY]}, "/x?name=1&n%61me=1", FULL, id="REST: query, encoded"),
        pytest.param(
            "rest", {"identity": "context.identity.userAgent"}, "/x", [("user-agent", "a")] * 2, id="REST: context"
        ),
        pytest.param("http", {}, "/x", TWICE, id="HTTP: header"),
        pytest.param("http", {"identity": "$request.querystring.n"}, "/x?n=1&n=2", [], id="HTTP: query"),
    ],
)
async def test_who_says_twice_who_he_is_is_refused(
    kind: str, authorizer: dict[str, Any], target: str, headers: list[tuple[str, str]]
):
    """Cache, authorizer and function could each take another; AWS does not say which they take."""
    made = api(kind, **authorizer)
    answer = await made.ask("GET", target, headers)
    assert (answer.status, answer.json) == (400, {"message": "Bad Request"})
    assert made.functions.events == {}


async def test_a_second_token_does_not_spoil_the_first():
    """The denial of both was kept under the first one's name."""
    made = api(gate=lambda event: policy("Allow" if event["multiValueHeaders"]["auth"] == ["good"] else "Deny"))
    assert (await made.ask("GET", "/x", [("auth", "good"), ("auth", "bad")])).status == 400
    assert (await made.ask("GET", "/x", [("auth", "good")])).status == 200


async def test_what_identifies_nobody_may_come_twice():
    """The function gets both values."""
    made = api()
    assert (await made.ask("GET", "/x?tag=1&tag=2", [*FULL, ("x", "1"), ("x", "2")])).status == 200
    assert made.functions.events["web"][0]["multiValueHeaders"]["x"] == ["1", "2"]


async def test_every_identity_source_is_part_of_the_key():
    """Changing any of the cache key parts causes the authorizer to be asked anew; other parts of a request do not."""
    made = api(identity=[HEADER, QUERY])
    for target, auth in (("/x?name=1", "a"), ("/y?name=1&z=2", "a"), ("/x?name=2", "a"), ("/x?name=1", "b")):
        await made.ask("GET", target, [("auth", auth)])
    assert len(made.functions.events["gate"]) == 3


async def test_answers_are_kept_per_route_where_the_route_is_an_identity_source():
    """To cache responses per route, add $context.routeKey to your authorizer's identity sources."""
    routes = [{"path": "/a", "function": "web"}, {"path": "/b", "function": "web"}]
    described = {"function": "gate", "identity": ["$request.header.Auth", "$context.routeKey"]}
    made = api_of({"kind": "http", "routes": routes, "authorizer": described})
    for target in ("/a", "/b", "/a", "/b"):
        assert (await made.ask("GET", target, FULL)).status == 200
    assert len(made.functions.events["gate"]) == 2


async def test_without_caching_everyone_is_asked_for():
    """TTL 0: also requests at once, which may be anyone's when there is no identity source."""
    made = api(ttl=0, identity=[])
    answers = await asyncio.gather(*(made.ask("GET", "/x") for _ in range(3)))
    assert [answer.status for answer in answers] == [200] * 3
    assert len(made.functions.events["gate"]) == 3


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        pytest.param({"isAuthorized": True}, 200, id="yes"),
        pytest.param({"isAuthorized": False}, 403, id="no"),
        pytest.param({"isAuthorized": "true"}, 500, id="a string"),
        pytest.param({"isAuthorized": 1}, 500, id="a number"),
        pytest.param({}, 500, id="nothing"),
        pytest.param(policy(), 500, id="a policy"),
        pytest.param({"isAuthorized": True, "context": ["x"]}, 500, id="a context that is no object"),
    ],
)
async def test_simple_answers(answer: dict[str, Any], status: int):
    """To return a Boolean value, enable simple responses for the authorizer."""
    made = api("http", gate=lambda _: answer, simple=True)
    assert (await made.ask("GET", "/x", FULL)).status == status


async def test_a_simple_answer_is_good_for_every_request_with_this_identity():
    """The response fully allows or denies all API requests that match the cached identity source values."""
    made = api("http", gate=lambda _: {"isAuthorized": True}, simple=True)
    for method, target in (("GET", "/a"), ("POST", "/b/c")):
        assert (await made.ask(method, target, FULL)).status == 200
    assert len(made.functions.events["gate"]) == 1


DEEP = {"s": "x", "n": 1, "yes": True, "none": None, "list": ["a"], "map": {"b": 2}}
FLAT = {"s": "x", "n": 1, "yes": True}
ANSWERED = {"principalId": "abcdef", "integrationLatency": 0}


@pytest.mark.parametrize(
    ("kind", "authorizer", "payload", "context", "seen"),
    [
        pytest.param("rest", {}, "2.0", FLAT, {**ANSWERED, "s": "x", "n": "1", "yes": "true"}, id="REST: strings"),
        pytest.param("rest", {}, "2.0", DEEP, None, id="REST: not flat"),
        pytest.param("http", {}, "2.0", DEEP, {"lambda": DEEP}, id="HTTP 2.0: any JSON"),
        pytest.param("http", {}, "1.0", FLAT, {**ANSWERED, **FLAT}, id="HTTP 2.0, function 1.0"),
        pytest.param("http", {"payload": "1.0"}, "2.0", FLAT, {"lambda": FLAT}, id="HTTP 1.0, function 2.0"),
        pytest.param("http", {"payload": "1.0"}, "2.0", DEEP, None, id="HTTP 1.0: not flat"),
        pytest.param("http", {}, "2.0", {}, {"lambda": {}}, id="HTTP: none"),
    ],
)
async def test_the_context_reaches_the_function(
    kind: str, authorizer: dict[str, Any], payload: str, context: dict[str, Any], seen: dict[str, Any] | None
):
    """The returned values are all stringified (REST); arrays and maps are for format 2.0; else it is a 500."""
    made = api(kind, gate=lambda _: policy(**context), proxy=payload, **authorizer)
    answer = await made.ask("GET", "/x", FULL)
    assert answer.status == (500 if seen is None else 200)
    if seen is not None:
        got = made.functions.events["web"][0]["requestContext"]["authorizer"]
        assert {**got, **({"integrationLatency": 0} if "integrationLatency" in got else {})} == seen


async def test_a_usage_identifier_key_is_accepted():
    """Output from an API Gateway Lambda authorizer; there are no usage plans, so that it changes nothing."""
    made = api(gate=lambda _: {**policy(), "usageIdentifierKey": "api-key"})
    assert (await made.ask("GET", "/x", FULL)).status == 200


@pytest.mark.parametrize(
    ("length", "status"), [(1600, 200), (1601, 414)], ids=["an ARN of 1,600 bytes", "one byte more"]
)
async def test_a_long_method_arn_is_a_414(length: int, status: int):
    """The maximum length of the method's ARN is 1600 bytes; else the client receives 414 Request URI too long."""
    begin = "arn:aws:execute-api:us-east-1:123456789012:local/test/GET/"
    made = api()
    answer = await made.ask("GET", "/" + "x" * (length - len(begin)), FULL)
    assert answer.status == status
    assert len(made.functions.events.get("gate", [])) == (1 if status == 200 else 0)


async def test_a_route_without_authorizer_may_have_a_longer_address():
    """The rule is about methods with authorization."""
    made = api_of({"routes": [{**ROUTES[0], "authorize": False}]})
    assert (await made.ask("GET", "/" + "x" * 2000)).status == 200


@pytest.mark.parametrize(("length", "status"), [(512, 200), (513, 500)], ids=["512 characters", "513"])
async def test_a_resource_has_at_most_512_characters(length: int, status: int):
    """The Resource ARN, as shown in the policy statement output by the authorizer, is limited to 512 characters."""
    resource = EVERYTHING.ljust(length, "*")
    made = api(gate=lambda _: policy(resource=resource))
    assert (await made.ask("GET", "/x", FULL)).status == status


async def test_an_authorizer_that_takes_too_long_is_a_500():
    """Amazon API Gateway quotas: timeout for Lambda authorizer response 10000 ms (HTTP APIs)."""
    assert (HTTP_1.timeout, HTTP_2.timeout) == (10, 10)
    asked = asyncio.Event()

    async def silent(event: bytes, trace_id: str) -> InvokeResult:
        asked.set()
        await asyncio.Event().wait()
        return InvokeResult(b"")

    request = request_of(scope_of("GET", "/x", FULL), "http")
    made = Authorizer(
        GatewayApi("a", "$default", "1", "r", "http"),
        identity=["auth"],
        ask=silent,
        cache=AuthorizerCache(300, clock=lambda: 0.0),
        rules=replace(HTTP_2, timeout=0.01),
    )
    with pytest.raises(Refusal, match="AUTHORIZER_FAILURE"):
        await made.authorize(request, Match(Route(path="/x", function="web"), {}))
    assert asked.is_set()


@pytest.mark.parametrize("expression", ["method.request.path.id", "method.request.body", "context.unknown"])
def test_what_identifies_nobody_is_refused_at_the_start(expression: str):
    """Path parameters cannot be used as identity sources."""
    with pytest.raises(ValueError, match="no identity source"):
        api(identity=expression)
