"""CORS: what an HTTP API is configured with ("Configure CORS for HTTP APIs in API Gateway"), and REST APIs instead."""

from typing import Any

import pytest
from gateway_fakes import Answer, Api, api_of

SITE = "https://www.example.com"
CORS = {
    "allow_origins": [SITE],
    "allow_methods": ["GET", "POST"],
    "allow_headers": ["authorization"],
    "expose_headers": ["date", "x-api-id"],
    "max_age": 300,
    "allow_credentials": True,
}
OWN = {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "https://own.example", "X-Kept": "1"}}


def api(*routes: dict[str, Any], cors: dict[str, Any] | None = None) -> Api:
    """Return an HTTP API with CORS; its function sends CORS headers of its own."""
    described = list(routes) or [{"path": "GET /{proxy+}", "function": "web"}]
    return api_of({"kind": "http", "cors": cors or CORS, "routes": described}, web=lambda _: OWN)


async def preflight(made: Api, path: str = "/x", origin: str = SITE) -> Answer:
    """Return the headers of a browser's preflight."""
    return await made.ask("OPTIONS", path, [("origin", origin), ("access-control-request-method", "POST")])


def cors_of(answer: Answer) -> dict[str, str]:
    """Return the CORS headers of a response, without their common beginning."""
    begin = "access-control-"
    return {name.removeprefix(begin): value for name, value in answer.headers if name.startswith(begin)}


async def test_the_gateway_answers_a_preflight_itself():
    """Without authorizer and without function: 204 with what is configured."""
    made = api()
    answer = await preflight(made)
    assert (answer.status, answer.body) == (204, b"")
    assert cors_of(answer) == {
        "allow-origin": SITE,
        "allow-credentials": "true",
        "allow-methods": "GET,POST",
        "allow-headers": "authorization",
        "max-age": "300",
    }
    assert made.functions.events == {}


@pytest.mark.parametrize(
    ("routes", "status"),
    [
        pytest.param([], 204, id="no route at all: answered even so"),
        pytest.param([{"path": "GET /x", "function": "web"}], 204, id="GET alone"),
        pytest.param([{"path": "ANY /x", "function": "web"}], 401, id="ANY with an authorizer"),
        pytest.param([{"path": "ANY /x", "function": "web", "authorize": False}], 200, id="ANY"),
        pytest.param([{"path": "OPTIONS /x", "function": "web", "authorize": False}], 200, id="OPTIONS by name"),
        pytest.param([{"path": "$default", "function": "web"}], 401, id="$default with an authorizer"),
        pytest.param(
            [
                {"path": "$default", "function": "web"},
                {"path": "OPTIONS /{proxy+}", "function": "web", "authorize": False},
            ],
            200,
            id="$default, and OPTIONS without authorizer beside it",
        ),
    ],
)
async def test_who_answers_a_preflight(routes: list[dict[str, Any]], status: int):
    """The page's sections on preflight requests and on the $default route; ANY as seen on the service."""
    made = api_of({"kind": "http", "cors": CORS, "routes": routes})
    assert (await preflight(made)).status == status


async def test_options_that_are_no_preflight_go_to_their_route():
    """A preflight names the method that it is about (Fetch standard)."""
    made = api({"path": "/x", "function": "web", "authorize": False})
    assert (await made.ask("OPTIONS", "/x", [("origin", SITE)])).status == 200
    assert made.functions.events["web"][0]["requestContext"]["http"]["method"] == "OPTIONS"


@pytest.mark.parametrize(
    ("allowed", "origin", "answered"),
    [
        pytest.param([SITE], SITE, SITE, id="the same"),
        pytest.param([SITE], "http://www.example.com", None, id="another scheme"),
        pytest.param([SITE], "https://evil.example", None, id="another host"),
        pytest.param(["*"], "https://any.example", "*", id="any"),
        pytest.param(["https://*"], "https://any.example", "https://any.example", id="any of a scheme"),
        pytest.param(["https://*"], "http://any.example", None, id="none of that scheme"),
        pytest.param([SITE], "", None, id="no origin"),
    ],
)
async def test_which_origins_get_headers(allowed: list[str], origin: str, answered: str | None):
    """On preflights and on answers alike."""
    made = api({"path": "GET /x", "function": "web", "authorize": False}, cors={"allow_origins": allowed})
    answer = await made.ask("GET", "/x", [("origin", origin)] if origin else [])
    assert cors_of(answer).get("allow-origin") == answered
    if origin:
        assert cors_of(await preflight(made, origin=origin)).get("allow-origin") == answered


async def test_a_preflight_that_a_route_answers_has_the_gateways_headers():
    """For a CORS request, API Gateway adds the configured CORS headers to the response from an integration."""
    answer = await preflight(api({"path": "/x", "function": "web", "authorize": False}))
    assert answer.status == 200
    assert cors_of(answer).keys() == {"allow-origin", "allow-credentials", "allow-methods", "allow-headers", "max-age"}


async def test_the_integrations_own_headers_are_ignored():
    """Note of the page: API Gateway ignores CORS headers returned from your backend integration."""
    made = api({"path": "/x", "function": "web", "authorize": False})
    answer = await made.ask("GET", "/x", [("origin", SITE)])
    assert cors_of(answer) == {
        "allow-origin": SITE,
        "allow-credentials": "true",
        "expose-headers": "date,x-api-id",
    }
    assert answer.header("x-kept") == "1"
    assert cors_of(await made.ask("GET", "/x")) == {}


async def test_a_rest_api_leaves_options_to_its_routes():
    """Enabling CORS for a REST API resource: OPTIONS is a method, and headers are the function's."""
    made = api_of({"routes": [{"path": "/x", "function": "web", "authorize": False}]}, web=lambda _: OWN)
    answer = await preflight(made)
    assert answer.status == 200
    assert cors_of(answer) == {"allow-origin": "https://own.example"}
