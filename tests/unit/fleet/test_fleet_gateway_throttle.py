"""Throttles of account, stage and routes.

API Gateway, "Throttle requests to your REST APIs for better throughput in API Gateway"; "Throttle requests to your HTTP
APIs for better throughput in API Gateway"; "Amazon API Gateway quotas".
"""

import math

import pytest
from gateway_fakes import api_of

from fleet.limits.gateway import GatewayThrottle
from fleet.limits.quotas import GatewayQuotas, Quotas, load_quotas
from fleet.limits.use import LimitUse
from shoebox.stack.gateway import Throttle

BIG = Quotas(gateway=GatewayQuotas(rate=1000, burst=100))
SMALL = Quotas(gateway=GatewayQuotas(rate=10, burst=5))


def admitted(throttle: GatewayThrottle, route: str | None, asked: int, now: float = 0.0) -> int:
    """How many of so many requests pass at once."""
    return sum(throttle.admit(route, now) for _ in range(asked))


def use(throttle: GatewayThrottle, subject: str, now: float = 0.0) -> LimitUse:
    """Return the use of one limit."""
    return next(use for use in throttle.uses(now) if use.subject == subject)


@pytest.mark.parametrize(
    ("quotas", "burst", "a_second"),
    [
        pytest.param("aws", 5_000, 10_000, id="aws: 10,000 requests/s, burst 5,000"),
        pytest.param("aws/100", 50, 100, id="aws/100"),
        pytest.param("aws/10000", 1, 1, id="aws/10000: a burst is at least 1"),
    ],
)
def test_the_accounts_bucket(quotas: str, burst: int, a_second: int):
    """Amazon API Gateway quotas: throttle quota per account, per Region; the token bucket algorithm."""
    throttle = GatewayThrottle(load_quotas(quotas), None, {})
    assert admitted(throttle, None, burst + 10) == burst
    steps = 10 * a_second
    passed = sum(throttle.admit(None, 1 + step / (2 * a_second)) for step in range(2 * steps))
    assert passed == pytest.approx(steps, abs=burst + 1)


def test_without_quotas_nothing_is_refused():
    """Also not by throttles of the stack: `off` is off."""
    throttle = GatewayThrottle(load_quotas("off"), Throttle(rate=0, burst=0), {"/x": Throttle(rate=1, burst=1)})
    assert admitted(throttle, "/x", 20_000) == 20_000
    assert use(throttle, "account").maximum == math.inf


@pytest.mark.parametrize(
    ("stage", "route", "asked", "passed", "refused_by"),
    [
        pytest.param(None, None, 10, 5, "account", id="account alone"),
        pytest.param(None, Throttle(rate=1, burst=2), 10, 2, "/x", id="the route's is smaller"),
        pytest.param(None, Throttle(rate=1, burst=50), 10, 5, "account", id="the account's is smaller"),
        pytest.param(Throttle(rate=1, burst=3), None, 10, 3, "stage", id="the stage's, for a route without"),
        pytest.param(Throttle(rate=1, burst=3), Throttle(rate=1, burst=4), 10, 4, "/x", id="the route's overrides"),
        pytest.param(None, Throttle(rate=0, burst=0), 10, 0, "/x", id="nothing passes"),
    ],
)
def test_the_method_comes_before_the_account(
    stage: Throttle | None, route: Throttle | None, asked: int, passed: int, refused_by: str
):
    """How throttling limit settings are applied: per-method limits of the stage, then the account's."""
    throttle = GatewayThrottle(SMALL, stage, {"/x": route})
    assert admitted(throttle, "/x", asked) == passed
    refusals = {use.subject: use.throttled for use in throttle.uses(0) if use.throttled}
    assert refusals == {refused_by: asked - passed}


def test_a_refused_request_takes_no_token_from_the_others():
    """Ten thousand refusals by a route leave the account's bucket as it was, and the other way round."""
    throttle = GatewayThrottle(SMALL, None, {"/x": Throttle(rate=1, burst=1), "/y": Throttle(rate=1, burst=9)})
    assert admitted(throttle, "/x", 10_000) == 1
    assert admitted(throttle, "/y", 10) == 4  # what is left of the account's 5
    assert admitted(throttle, "/y", 10, now=0.5) == 5  # the account's has filled up, and /y's had 5 all the time


def test_routes_without_a_throttle_share_the_stages():
    """A decision of ours: the stage's rate is that of the whole stage."""
    throttle = GatewayThrottle(
        BIG, Throttle(rate=1, burst=3), {"/x": None, "/y": None, "/z": Throttle(rate=9, burst=9)}
    )
    assert (admitted(throttle, "/x", 2), admitted(throttle, "/y", 2), admitted(throttle, "/z", 2)) == (2, 1, 2)


def test_the_stacks_throttles_are_scaled():
    """aws/N divides them as it divides the account's."""
    throttle = GatewayThrottle(load_quotas("aws/10"), None, {"/x": Throttle(rate=100, burst=50)})
    assert admitted(throttle, "/x", 100) == 5
    assert use(throttle, "/x").maximum == 10


def test_uses_tell_rates_peaks_and_refusals():
    """Requests a second of the last whole second, the highest, and what was refused; each route is there."""
    throttle = GatewayThrottle(SMALL, Throttle(rate=4, burst=4), {"/x": None, "GET /y": Throttle(rate=2, burst=1)})
    admitted(throttle, "/x", 6, now=100.0)
    admitted(throttle, "GET /y", 2, now=100.5)
    admitted(throttle, None, 1, now=101.0)
    assert {use.subject: (use.used, use.peak, use.maximum, use.throttled) for use in throttle.uses(101.5)} == {
        "account": (5, 5, 10, 0),
        "stage": (4, 4, 4, 2),
        "/x": (4, 4, math.inf, 0),
        "GET /y": (1, 1, 2, 1),
    }
    assert {(use.limit, use.unit) for use in throttle.uses(101.5)} == {("gateway.rate", "requests/s")}


@pytest.mark.parametrize(
    ("kind", "error_type"), [("rest", "TooManyRequestsException"), ("http", None)], ids=["REST", "HTTP"]
)
async def test_a_throttled_request_is_a_429(kind: str, error_type: str | None):
    """AWS's body in both flavours; it comes before the authorizer, and passes again when there are tokens."""
    now = [0.0]
    route = {"path": "/x", "function": "web", "throttle": {"rate": 1, "burst": 1}}
    api = api_of({"kind": kind, "routes": [route]}, clock=lambda: now[0])
    token = [("authorization", "t")]
    assert (await api.ask("GET", "/x", token)).status == 200
    refused = await api.ask("GET", "/x")
    assert (refused.status, refused.json) == (429, {"message": "Too Many Requests"})
    assert refused.header("x-amzn-errortype") == error_type
    assert refused.header("retry-after") is None
    now[0] = 1.0
    assert (await api.ask("GET", "/x", token)).status == 200
    assert len(api.functions.events["gate"]) == 1


async def test_the_stack_shapes_the_429():
    """Gateway response type THROTTLED."""
    route = {"path": "/x", "function": "web", "authorize": False, "throttle": {"rate": 0, "burst": 0}}
    shape = {"status": 429, "code": "throttled", "title": "Too Many Requests", "detail": "Later."}
    answer = await api_of({"routes": [route], "responses": {"THROTTLED": shape}}).ask("GET", "/x")
    assert (answer.status, answer.json["code"]) == (429, "throttled")
    assert answer.header("x-amzn-errortype") == "TooManyRequestsException"


async def test_requests_that_match_no_route_count_for_the_account():
    """Amazon API Gateway examines all requests against the account's APIs; a 404 is one as well."""
    api = api_of({"routes": []}, quotas=SMALL, clock=lambda: 0.0)
    assert [(await api.ask("GET", "/x")).status for _ in range(6)] == [403] * 5 + [429]
