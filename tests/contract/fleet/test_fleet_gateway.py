import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from fleet_bench import FleetOf, function, stack_of, until
from yarl import URL

from shoebox.stack.deployment import ResolvedStack

RESPONSES = {
    "UNAUTHORIZED": {"status": 401, "code": "token_missing", "title": "Unauthorized", "detail": "Send a token."},
    "ACCESS_DENIED": {
        "status": 401,
        "code": "$context.authorizer.code",
        "title": "Unauthorized",
        "detail": "$context.authorizer.detail",
    },
    "MISSING_AUTHENTICATION_TOKEN": {"status": 404, "code": "not_found", "title": "Not Found", "detail": "Nothing."},
    "REQUEST_TOO_LARGE": {"status": 413, "code": "body_too_large", "title": "Too Large", "detail": "10 MB."},
    "INTEGRATION_TIMEOUT": {"status": 504, "code": "timeout", "title": "Timeout", "detail": "Too long."},
    "INTEGRATION_FAILURE": {"status": 502, "code": "unavailable", "title": "Bad Gateway", "detail": "Failed."},
    "AUTHORIZER_FAILURE": {"status": 500, "code": "internal", "title": "Error", "detail": "Not checked."},
    "AUTHORIZER_CONFIGURATION_ERROR": {"status": 500, "code": "internal", "title": "Error", "detail": "Not checked."},
}
ALLOWED = {"Authorization": "allow"}


def web(timeout: int = 29) -> ResolvedStack:
    """Return a gateway with a function behind each path."""
    names = ("page", "binary", "malformed", "fail", "die", "sleep")
    functions = {f"{name}-fn": function(name) for name in names} | {"gate-fn": function("authorize")}
    functions["page-fn"] = function("page", slots=4)
    routes = [{"path": f"/{name}", "function": f"{name}-fn", "authorize": False} for name in names]
    gateway = {
        "authorizer": {"function": "gate-fn", "identity": "Authorization", "ttl": 300},
        "timeout": timeout,
        "routes": [*routes, {"path": "/v1/{proxy+}", "function": "page-fn"}],
        "binary_media_types": ["image/*"],
        "responses": RESPONSES,
    }
    return stack_of(functions, gateway=gateway)


async def problem(answer: aiohttp.ClientResponse) -> tuple[int, str]:
    """Status and code of an answer that must be a problem with nothing of our inside."""
    text = await answer.text()
    assert answer.content_type == "application/problem+json", text
    assert "Traceback" not in text
    return answer.status, json.loads(text)["code"]


async def test_a_request_reaches_its_function_and_the_answer_the_client(fleet_of: FleetOf, http: aiohttp.ClientSession):
    """Event, authorizer context, cookies, request and trace ids."""
    async with fleet_of(web()) as running:
        url = running.fleet.gateway_url + "/v1/files/x?tag=a&tag=b"
        async with http.post(url, data=b'{"n":1}', headers={**ALLOWED, "Content-Type": "application/json"}) as answer:
            event = await answer.json()
            assert answer.status == 200
            assert answer.headers.getall("set-cookie") == ["a=1", "b=2"]
            assert answer.headers["x-amzn-requestid"] == event["requestContext"]["requestId"]
            assert answer.headers["x-amzn-trace-id"] == event["headers"]["X-Amzn-Trace-Id"]
    assert (event["httpMethod"], event["path"], event["body"]) == ("POST", "/v1/files/x", '{"n":1}')
    assert event["multiValueQueryStringParameters"] == {"tag": ["a", "b"]}
    authorizer = event["requestContext"]["authorizer"]
    assert (authorizer["principalId"], authorizer["tenant"], authorizer["count"]) == ("ann", "acme", "3")
    assert event["requestContext"]["identity"]["sourceIp"] == "127.0.0.1"


async def test_the_authorizer_is_asked_once_for_a_token(fleet_of: FleetOf, http: aiohttp.ClientSession):
    """Twenty requests at once and twenty later: one call."""
    async with fleet_of(web()) as running:

        async def get() -> int:
            async with http.get(running.fleet.gateway_url + "/v1/x", headers=ALLOWED) as answer:
                return int(answer.status)

        assert set(await asyncio.gather(*(get() for _ in range(20)))) == {200}
        assert set(await asyncio.gather(*(get() for _ in range(20)))) == {200}
        async with http.get(running.fleet.gateway_url + "/v1/x", headers={"Authorization": "other"}) as answer:
            assert answer.status == 401
        await until(lambda: not (running.printed("gate-fn").count("asked") < 2))
        assert running.printed("gate-fn").count("asked") == 2


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (None, (401, "token_missing")),
        ("deny", (401, "token_expired")),
        ("raise", (401, "token_missing")),
        ("broken", (500, "internal")),
        ("malformed", (500, "internal")),
    ],
)
async def test_refusals_of_the_authorizer(
    fleet_of: FleetOf, http: aiohttp.ClientSession, token: str | None, expected: tuple[int, str]
):
    """Each has the status and the code that the stack gives it."""
    async with fleet_of(web()) as running:
        headers = {"Authorization": token} if token else {}
        async with http.get(running.fleet.gateway_url + "/v1/x", headers=headers) as answer:
            assert await problem(answer) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/malformed", (502, "unavailable")),
        ("/fail", (502, "unavailable")),
        ("/die", (502, "unavailable")),
        ("/nowhere", (404, "not_found")),
    ],
)
async def test_failures_behind_the_gateway_are_problems(
    fleet_of: FleetOf, http: aiohttp.ClientSession, path: str, expected: tuple[int, str]
):
    """Nothing of the function's error reaches the client."""
    async with fleet_of(web()) as running, http.get(running.fleet.gateway_url + path) as answer:
        assert await problem(answer) == expected


async def test_an_integration_that_takes_too_long_is_a_504(fleet_of: FleetOf, http: aiohttp.ClientSession):
    """After the gateway's own time limit."""
    async with fleet_of(web(timeout=1)) as running:
        url = running.fleet.gateway_url + "/sleep"
        async with http.get(url, headers={"x": "y"}) as answer:
            assert (await problem(answer))[0] in (502, 504)


async def test_binary_answers_head_and_options(fleet_of: FleetOf, http: aiohttp.ClientSession):
    """Bytes as they are; HEAD without a body; OPTIONS is a method like others."""
    async with fleet_of(web()) as running:
        url = running.fleet.gateway_url
        async with http.get(url + "/binary", headers={"Accept": "image/png"}) as answer:
            assert (answer.content_type, await answer.read()) == ("image/png", b"\x89PNG")
        async with http.head(url + "/page") as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        async with http.options(url + "/page") as answer:
            assert (await answer.json())["httpMethod"] == "OPTIONS"


@pytest.mark.parametrize("path", ["/v1/x", "/%76%31/x", "/v1%2Fx"])
async def test_encoding_a_path_does_not_lead_round_the_authorizer(
    fleet_of: FleetOf, http: aiohttp.ClientSession, path: str
):
    """Routes are matched after decoding."""
    async with fleet_of(web()) as running, http.get(URL(running.fleet.gateway_url + path, encoded=True)) as answer:
        assert answer.status == 401


async def test_a_body_above_ten_megabytes_is_refused(fleet_of: FleetOf, http: aiohttp.ClientSession):
    """With a length, and chunked, when it is found out on the way."""
    body = b"x" * (10 * 1024 * 1024 + 1)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    async with fleet_of(web()) as running:
        for data in (body, chunks()):
            async with http.post(running.fleet.gateway_url + "/page", data=data) as answer:
                assert await problem(answer) == (413, "body_too_large")


async def test_what_lambda_cannot_take_is_too_large_as_well(fleet_of: FleetOf, http: aiohttp.ClientSession):
    """A body of 9 MB passes the gateway's limit, its event not Lambda's 6 MB."""
    body = b"x" * 9_000_000
    async with fleet_of(web()) as running, http.post(running.fleet.gateway_url + "/page", data=body) as answer:
        assert await problem(answer) == (413, "body_too_large")


async def test_headers_above_their_limit_are_refused(fleet_of: FleetOf, http: aiohttp.ClientSession):
    """10,240 bytes with the request line."""
    async with fleet_of(web()) as running:
        url = running.fleet.gateway_url + "/page"
        async with http.get(url, headers={"x-long": "a" * 10_240}) as answer:
            assert await problem(answer) == (431, "headers_too_large")
        async with http.get(url, headers={"x-long": "a" * 8_000}) as answer:
            assert answer.status == 200


async def test_requests_are_counted_by_route(fleet_of: FleetOf, http: aiohttp.ClientSession):
    """Paths that clients make up do not make up labels."""
    async with fleet_of(web()) as running:
        for path in ("/page", "/secret-path?token=abc"):
            await (await http.get(running.fleet.gateway_url + path)).read()
        metrics = await (await http.get(running.fleet.runtime_url + "/metrics")).text()
    assert 'fleet_gateway_requests_total{route="/page",status="200"} 1.0' in metrics
    assert 'fleet_gateway_requests_total{route="none",status="404"} 1.0' in metrics
    assert "secret-path" not in metrics


def http_api(**gateway: Any) -> ResolvedStack:
    """Return an HTTP API in front of a function that returns its event, without a status code."""
    described = {
        "kind": "http",
        "authorizer": {"function": "gate-fn", "identity": "Authorization", "payload": "1.0"},
        "routes": [
            {"path": "GET /open/{name}", "function": "echo-fn", "authorize": False},
            {"path": "$default", "function": "echo-fn"},
        ],
        **gateway,
    }
    functions = {"echo-fn": function("echo", slots=4), "gate-fn": function("authorize"), "die-fn": function("die")}
    return stack_of(functions, gateway=described)


async def test_an_http_api_sends_2_0_and_infers_the_answer(fleet_of: FleetOf, http: aiohttp.ClientSession):
    """Event, cookies, authorizer's context as it is, and JSON without a status code as a 200."""
    async with fleet_of(http_api()) as running:
        url = running.fleet.gateway_url + "/v1/x?a=1&a=2"
        async with http.post(url, data=b"abc", headers={**ALLOWED, "Cookie": "a=1; b=2"}) as answer:
            event = (await answer.json())["event"]
            assert (answer.status, answer.content_type) == (200, "application/json")
            assert answer.headers["apigw-requestid"] == event["requestContext"]["requestId"]
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "$default", "/v1/x")
    assert (event["cookies"], event["queryStringParameters"]) == (["a=1", "b=2"], {"a": "1,2"})
    assert (event["body"], event["isBase64Encoded"]) == ("YWJj", True)
    assert event["requestContext"]["authorizer"]["lambda"]["count"] == 3


@pytest.mark.parametrize(
    ("path", "token", "expected"),
    [
        ("/x", None, (401, "Unauthorized")),
        ("/x", "deny", (403, "Forbidden")),
        ("/x", "broken", (500, "Internal Server Error")),
        ("/die", "allow", (500, "Internal Server Error")),
    ],
)
async def test_an_http_apis_errors_have_its_own_bodies(
    fleet_of: FleetOf, http: aiohttp.ClientSession, path: str, token: str | None, expected: tuple[int, str]
):
    """With real functions that fail."""
    routes = [{"path": "/x", "function": "echo-fn"}, {"path": "/die", "function": "die-fn"}]
    async with fleet_of(http_api(routes=routes)) as running:
        headers = {"Authorization": token} if token else {}
        async with http.get(running.fleet.gateway_url + path, headers=headers) as answer:
            assert (answer.status, await answer.json()) == (expected[0], {"message": expected[1]})


async def test_a_route_throttle_refuses_and_is_seen(fleet_of: FleetOf, http: aiohttp.ClientSession):
    """Twenty requests at once against a burst of five; /quotas tells of the rest."""
    route = {"path": "/x", "function": "echo-fn", "authorize": False, "throttle": {"rate": 0.01, "burst": 5}}
    async with fleet_of(http_api(routes=[route])) as running:

        async def get() -> int:
            async with http.get(running.fleet.gateway_url + "/x") as answer:
                return int(answer.status)

        statuses = await asyncio.gather(*(get() for _ in range(20)))
        quotas = await (await http.get(running.fleet.runtime_url + "/quotas")).json()
    assert (statuses.count(200), statuses.count(429)) == (5, 15)
    [use] = [limit for limit in quotas["limits"] if (limit["limit"], limit["subject"]) == ("gateway.rate", "/x")]
    assert (use["throttled"], use["most"]) == (15, 0.01)
