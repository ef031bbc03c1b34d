"""What goes wrong, and what a client gets: the table of docs/reference/gateway.md, through the whole gateway."""

import asyncio
from typing import Any

import pytest
from gateway_fakes import Answer, Api, api_of, policy, raised

from fleet.environments.invocation import InvokeResult
from fleet.errors import InvalidRequestContent, RequestTooLarge, Throttled
from shoebox.response_headers import SAFE_HEADERS

TOKEN = [("authorization", "t")]
GUARDED = {"routes": [{"path": "/x", "function": "web"}]}
THROTTLED = Throttled("ConcurrentInvocationLimitExceeded")
DENIED = "User is not authorized to access this resource"


async def never(_: dict[str, Any]) -> object:
    """Wait, as a function that does not end by itself."""
    await asyncio.Event().wait()
    return None


FAULTS = [
    # what happens, gateway, behaviours, target, headers, REST answer, HTTP answer
    pytest.param(
        {}, "/y", TOKEN, (403, {"message": "Missing Authentication Token"}), (404, "Not Found"), id="no route"
    ),
    pytest.param({}, "/x", [], (401, {"message": "Unauthorized"}), (401, "Unauthorized"), id="no identity"),
    pytest.param(
        {"gate": lambda _: raised("Unauthorized")},
        "/x",
        TOKEN,
        (401, {"message": "Unauthorized"}),
        (401, "Unauthorized"),
        id="authorizer raises Unauthorized",
    ),
    pytest.param(
        {"gate": lambda _: policy("Deny")},
        "/x",
        TOKEN,
        (403, {"Message": f"{DENIED} with an explicit deny"}),
        (403, "Forbidden"),
        id="explicit deny",
    ),
    pytest.param(
        {"gate": lambda _: policy(resource="arn:other")},
        "/x",
        TOKEN,
        (403, {"Message": DENIED}),
        (403, "Forbidden"),
        id="implicit deny",
    ),
    pytest.param(
        {"gate": lambda _: raised("out of order")},
        "/x",
        TOKEN,
        (500, {"message": None}),
        (500, "Internal Server Error"),
        id="authorizer fails",
    ),
    pytest.param(
        {"gate": lambda _: {"principalId": "ann"}},
        "/x",
        TOKEN,
        (500, {"message": None}),
        (500, "Internal Server Error"),
        id="authorizer answers nonsense",
    ),
    pytest.param(
        {"gate": lambda _: THROTTLED},
        "/x",
        TOKEN,
        (500, {"message": None}),
        (500, "Internal Server Error"),
        id="authorizer throttled by Lambda",
    ),
    pytest.param(
        {"web": lambda _: THROTTLED},
        "/x",
        TOKEN,
        (500, {"message": "Internal server error"}),
        (503, "Service Unavailable"),
        id="function throttled by Lambda",
    ),
    pytest.param(
        {"web": lambda _: InvalidRequestContent("no")},
        "/x",
        TOKEN,
        (500, {"message": "Internal server error"}),
        (500, "Internal Server Error"),
        id="function not run",
    ),
    pytest.param(
        {"web": lambda _: raised("secret")},
        "/x",
        TOKEN,
        (502, {"message": "Internal server error"}),
        (500, "Internal Server Error"),
        id="function error",
    ),
    pytest.param(
        {"web": lambda _: InvokeResult(b'{"statusCode":"abc"}')},
        "/x",
        TOKEN,
        (502, {"message": "Internal server error"}),
        (500, "Internal Server Error"),
        id="malformed answer",
    ),
    pytest.param(
        {"web": lambda _: {"statusCode": 200, "body": "?", "isBase64Encoded": True}},
        "/x",
        TOKEN,
        (500, {"message": "Internal server error"}),
        (500, "Internal Server Error"),
        id="body is not Base64",
    ),
    pytest.param(
        {"web": never},
        "/x",
        TOKEN,
        (504, {"message": "Endpoint request timed out"}),
        (503, "Service Unavailable"),
        id="integration timeout",
    ),
    pytest.param(
        {"web": lambda _: RequestTooLarge(6)},
        "/x",
        TOKEN,
        (413, {"message": "Request Too Long"}),
        (413, "Request Entity Too Large"),
        id="event above Lambda's 6 MB",
    ),
    pytest.param(
        {},
        "/x",
        [*TOKEN, ("x", "a" * 10_240)],
        (431, {"message": "Request Header Fields Too Large"}),
        (431, "Request Header Fields Too Large"),
        id="headers above 10,240 bytes",
    ),
    pytest.param(
        {},
        "/x?" + "a" * 10_240,
        TOKEN,
        (414, {"message": "Request URI too long"}),
        (431, "Request Header Fields Too Large"),
        id="URL above 10,240 characters",
    ),
]


def api(kind: str, behaviours: dict[str, Any], **changes: Any) -> Api:
    """Return a gateway of this flavour with one guarded route."""
    return api_of(
        {**GUARDED, "kind": kind, **changes}, **behaviours, timeout=0.01 if never in behaviours.values() else 29
    )


def unsafe(answer: Answer) -> list[str]:
    """Return the API's safe headers that a response lacks."""
    return [name for name, value in SAFE_HEADERS.items() if answer.header(name) != value]


@pytest.mark.parametrize(("behaviours", "target", "headers", "rest", "http"), FAULTS)
async def test_a_fault_has_each_flavours_answer(
    behaviours: dict[str, Any], target: str, headers: list[tuple[str, str]], rest: Any, http: Any
):
    """Gateway response types for API Gateway; Create routes for HTTP APIs; HTTP APIs' bodies are all {"message"}."""
    answer = await api("rest", behaviours, binary_media_types=["*/*"]).ask("GET", target, headers)
    assert (answer.status, answer.json) == rest
    assert unsafe(answer) == []
    answer = await api("http", behaviours).ask("GET", target, headers)
    assert (answer.status, answer.json) == (http[0], {"message": http[1]})
    assert b"secret" not in answer.body
    assert unsafe(answer) == []


@pytest.mark.parametrize(
    ("behaviours", "headers", "error_type"),
    [
        ({}, [], "UnauthorizedException"),
        ({"gate": lambda _: policy("Deny")}, TOKEN, "AccessDeniedException"),
        ({"gate": lambda _: raised("x")}, TOKEN, "AuthorizerConfigurationException"),
        ({"web": lambda _: raised("x")}, TOKEN, "InternalServerErrorException"),
    ],
    ids=["401", "403", "authorizer", "502"],
)
async def test_only_rest_apis_name_the_error(
    behaviours: dict[str, Any], headers: list[tuple[str, str]], error_type: str
):
    """x-amzn-errortype, as the service sends it; shaped by the stack or not."""
    shape = {"status": 404, "code": "c", "title": "T", "detail": "d"}
    shaped = {"DEFAULT_4XX": shape, "DEFAULT_5XX": {**shape, "status": 500}}
    for changes in ({}, {"responses": shaped}):
        answer = await api("rest", behaviours, **changes).ask("GET", "/x", headers)
        assert answer.header("x-amzn-errortype") == error_type
    assert (await api("http", behaviours).ask("GET", "/x", headers)).header("x-amzn-errortype") is None


async def test_a_body_above_ten_megabytes_reaches_nobody():
    """Amazon API Gateway quotas: payload size 10 MB, in both flavours."""
    for kind in ("rest", "http"):
        made = api(kind, {})
        announced = [*TOKEN, ("content-length", str(10 * 1024 * 1024 + 1))]
        assert (await made.ask("POST", "/x", announced)).status == 413
        assert (await made.ask("POST", "/x", TOKEN, bytes(10 * 1024 * 1024))).status == 200
        assert len(made.functions.events["web"]) == 1


@pytest.mark.parametrize(
    ("kind", "target", "headers", "status"),
    [
        pytest.param("rest", "/open?" + "a" * (10_240 - 6), [], 200, id="REST: a URL of 10,240 characters"),
        pytest.param("rest", "/open?" + "a" * (10_241 - 6), [], 414, id="REST: one more"),
        pytest.param("rest", "/open", [("name", "a" * (10_240 - 4))], 200, id="REST: headers of 10,240 bytes"),
        pytest.param("rest", "/open", [("name", "a" * (10_241 - 4))], 431, id="REST: one more, names count"),
        pytest.param("http", "/open", [("name", "a" * (10_240 - 4 - 18))], 200, id="HTTP: with GET /open HTTP/1.1"),
        pytest.param("http", "/open", [("name", "a" * (10_241 - 4 - 18))], 431, id="HTTP: one more"),
    ],
)
async def test_sizes_to_the_byte(kind: str, target: str, headers: list[tuple[str, str]], status: int):
    """Amazon API Gateway quotas: 10,240 characters of URL, 10,240 bytes of headers, with HTTP also the request line."""
    made = api(kind, {}, routes=[{"path": "/open", "function": "web", "authorize": False}])
    assert (await made.ask("GET", target, headers)).status == status


async def test_a_shape_has_headers_and_may_leave_the_status():
    """Gateway responses in API Gateway: headers are added; a null status keeps the type's own."""
    own = {"Access-Control-Allow-Origin": "*", "Cache-Control": "max-age=5"}
    shape = {"code": "denied", "title": "No", "detail": "No.", "headers": own}
    made = api("rest", {"gate": lambda _: policy("Deny")}, responses={"ACCESS_DENIED": shape})
    answer = await made.ask("GET", "/x", TOKEN)
    assert (answer.status, answer.json["code"]) == (403, "denied")
    assert answer.header("access-control-allow-origin") == "*"
    assert [value for name, value in answer.headers if name == "cache-control"] == ["max-age=5"]
    assert unsafe(answer) == ["cache-control"]


@pytest.mark.parametrize(
    ("types", "status"),
    [
        pytest.param({}, 504, id="neither"),
        pytest.param({"DEFAULT_5XX": 500}, 500, id="the default's shape"),
        pytest.param({"DEFAULT_5XX": None}, 504, id="the default's shape, status kept"),
        pytest.param({"DEFAULT_5XX": 500, "INTEGRATION_TIMEOUT": 502}, 502, id="its own"),
        pytest.param({"DEFAULT_4XX": 400}, 504, id="the other default"),
    ],
)
async def test_a_type_that_is_not_shaped_is_answered_as_the_default(types: dict[str, int | None], status: int):
    """Gateway response types: "If the response type is unspecified, this response defaults to DEFAULT_5XX"."""
    shape = {"code": "c", "title": "T", "detail": "d"}
    responses = {kind: {**shape, "status": code} for kind, code in types.items()}
    answer = await api("rest", {"web": never}, responses=responses).ask("GET", "/x", TOKEN)
    assert answer.status == status


async def test_lambdas_throttle_is_an_integration_failure():
    """Its response type can be shaped; AWS has no type that tells it from other failures."""
    shape = {"status": 503, "code": "busy", "title": "T", "detail": "d"}
    made = api("rest", {"web": lambda _: THROTTLED}, responses={"INTEGRATION_FAILURE": shape})
    answer = await made.ask("GET", "/x", TOKEN)
    assert (answer.status, answer.json["code"]) == (503, "busy")
