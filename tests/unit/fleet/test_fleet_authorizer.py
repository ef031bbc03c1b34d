import asyncio
from dataclasses import replace
from urllib.parse import unquote

import orjson
import pytest
from fleet_fakes import until

from fleet.environments.invocation import InvokeResult, failure
from fleet.errors import Throttled
from fleet.gateway.authorizer import Authorizer, AuthorizerCache, cache_key
from fleet.gateway.authorizer_policy import Authorization
from fleet.gateway.events import Api
from fleet.gateway.refusals import Refusal
from fleet.gateway.request import GatewayRequest
from fleet.gateway.routes import Match
from shoebox.stack.gateway import Route

API = Api("api1", "prod", "1", "eu-west-1")
MATCH = Match(Route(path="/v1/{proxy+}", function="api"), {"proxy": "x"})
KEPT = Authorization("ann", (), {})
EVERYTHING = "arn:aws:execute-api:eu-west-1:1:api1/prod/*"


class Function:
    """An authorizer function that answers as told, and counts its calls."""

    def __init__(self, answer: InvokeResult | Exception) -> None:
        self.answer = answer
        self.calls: list[dict[str, object]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, event: bytes, trace_id: str) -> InvokeResult:
        """Answer."""
        self.calls.append(orjson.loads(event))
        await self.open.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def request(token: str | None = "t", path: str = "/v1/x") -> GatewayRequest:
    """Return a request with this token."""
    headers = [("authorization", token)] if token is not None else []
    return GatewayRequest("GET", path, path, "", headers, "127.0.0.1", "h", "HTTP/1.1", "Root=1")


def policy(effect: str = "Allow", resource: str = EVERYTHING) -> InvokeResult:
    """Return an authorizer's output."""
    statement = {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}
    output = {"principalId": "ann", "policyDocument": {"Statement": [statement]}, "context": {"tenant": "acme"}}
    return InvokeResult(orjson.dumps(output))


def authorizer(function: Function) -> Authorizer:
    """Return an authorizer that asks this function."""
    cache = AuthorizerCache(300, clock=lambda: 0.0)
    return Authorizer(API, identity=["Authorization"], ask=function, cache=cache)


async def test_an_allowed_request_carries_the_context():
    """Principal and context, flat; the authorizer saw the request."""
    function = Function(policy())
    context = await authorizer(function).authorize(request(), MATCH)
    assert (context["principalId"], context["tenant"]) == ("ann", "acme")
    assert function.calls[0]["type"] == "REQUEST"


@pytest.mark.parametrize("token", [None, ""])
async def test_without_identity_nobody_is_asked(token: str | None):
    """401 at once."""
    function = Function(policy())
    with pytest.raises(Refusal, match="UNAUTHORIZED"):
        await authorizer(function).authorize(request(token), MATCH)
    assert function.calls == []


async def test_the_policy_is_cached_and_evaluated_for_each_path():
    """One call; a policy for one method refuses the next path, as on AWS."""
    function = Function(policy(resource="arn:aws:execute-api:eu-west-1:1:api1/prod/GET/v1/x"))
    gate = authorizer(function)
    await gate.authorize(request(), MATCH)
    with pytest.raises(Refusal, match="ACCESS_DENIED") as refused:
        await gate.authorize(request(path="/v1/y"), MATCH)
    assert refused.value.context == {"tenant": "acme"}
    assert len(function.calls) == 1


@pytest.mark.parametrize("path", ["/v1/admin/x", "/v1/%61dmin/x", "/v1%2Fadmin%2fx"])
async def test_no_encoding_leads_round_a_deny(path: str):
    """Names of a route are compared decoded, so the function would be reached under the name that is denied."""
    statements = [
        {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": EVERYTHING},
        {"Effect": "Deny", "Action": "execute-api:Invoke", "Resource": f"{EVERYTHING[:-1]}GET/v1/admin/*"},
    ]
    output = {"principalId": "ann", "policyDocument": {"Statement": statements}}
    gate = authorizer(Function(InvokeResult(orjson.dumps(output))))
    with pytest.raises(Refusal, match="ACCESS_DENIED"):
        await gate.authorize(replace(request(path=unquote(path)), raw_path=path), MATCH)


async def test_requests_at_once_with_one_token_share_one_call():
    """And other tokens do not share it."""
    function = Function(policy())
    function.open.clear()
    gate = authorizer(function)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(gate.authorize(request(token), MATCH)) for token in ("a", "a", "a", "b")]
        await until(lambda: len(function.calls) >= 2)
        function.open.set()
    assert len(function.calls) == 2
    assert all(task.result()["principalId"] == "ann" for task in tasks)


async def test_a_caller_that_goes_does_not_stop_the_call_for_the_others():
    """The shared call belongs to nobody."""
    function = Function(policy())
    function.open.clear()
    gate = authorizer(function)
    first = asyncio.create_task(gate.authorize(request(), MATCH))
    second = asyncio.create_task(gate.authorize(request(), MATCH))
    await until(lambda: function.calls)
    first.cancel()
    function.open.set()
    assert (await second)["principalId"] == "ann"
    assert len(function.calls) == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failure("r", "Exception", "Unauthorized"), "UNAUTHORIZED"),
        (failure("r", "Exception", "Unauthorized!"), "AUTHORIZER_FAILURE"),
        (InvokeResult(b"not json", "Unhandled"), "AUTHORIZER_FAILURE"),
        (InvokeResult(b"[]", "Unhandled"), "AUTHORIZER_FAILURE"),
        (Throttled("ConcurrentInvocationLimitExceeded"), "AUTHORIZER_FAILURE"),
        (InvokeResult(b"{}"), "AUTHORIZER_CONFIGURATION_ERROR"),
        (policy("Deny"), "ACCESS_DENIED"),
    ],
)
async def test_every_other_answer_has_its_refusal(answer: InvokeResult | Exception, kind: str):
    """Only the word Unauthorized is a 401; what is wrong with us is a 500."""
    with pytest.raises(Refusal) as refused:
        await authorizer(Function(answer)).authorize(request(), MATCH)
    assert refused.value.kind == kind


async def test_failures_are_not_cached():
    """The next request asks again; a Deny is an answer, and is kept."""
    broken, denying = Function(failure("r", "E", "out of order")), Function(policy("Deny"))
    for function in (broken, denying):
        gate = authorizer(function)
        for _ in range(2):
            with pytest.raises(Refusal):
                await gate.authorize(request(), MATCH)
    assert (len(broken.calls), len(denying.calls)) == (2, 1)


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


def test_an_authorization_is_kept_for_its_time():
    """At 300 s it is asked for again."""
    clock = Clock()
    cache = AuthorizerCache(300, clock=clock)
    cache.put(b"k", KEPT)
    clock.now = 299.9
    assert cache.get(b"k") is KEPT
    clock.now = 300.0
    assert cache.get(b"k") is None
    assert cache.statistics().size == 0


def test_no_time_means_no_cache():
    """A TTL of 0 keeps nothing."""
    cache = AuthorizerCache(0, clock=Clock())
    cache.put(b"k", KEPT)
    assert cache.get(b"k") is None


def test_the_least_recently_used_authorization_makes_room():
    """Their number is bounded, whatever tokens come in."""
    cache = AuthorizerCache(300, max_size=2, clock=Clock())
    cache.put(b"a", KEPT)
    cache.put(b"b", KEPT)
    cache.get(b"a")
    cache.put(b"c", KEPT)
    assert (cache.get(b"a"), cache.get(b"b"), cache.get(b"c")) == (KEPT, None, KEPT)
    assert cache.statistics().size == 2


def test_a_key_does_not_hold_the_token():
    """Whoever reads the process's memory finds hashes; the parts of an identity do not run together."""
    assert b"secret" not in cache_key("secret-token")
    assert cache_key("a", "b") != cache_key("ab", "")
    assert cache_key("a", "b\0c") != cache_key("a\0b", "c"), "a query may hold any character"
    assert cache_key("1:a") != cache_key("", "a")
