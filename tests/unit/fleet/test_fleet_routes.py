"""Routes of both flavours, by AWS's precedence."""

import pytest

from fleet.gateway.routes import Routes
from shoebox.stack.gateway import Route


def routes(*paths: str, kind: str = "rest") -> Routes:
    """Routes whose functions nobody calls."""
    return Routes([Route(path=path, function="web") for path in paths], kind)


def found(table: Routes, method: str, path: str) -> tuple[str, dict[str, str]] | None:
    """Return the route of a request, and its parameters."""
    match = table.match(path, method)
    return (match.route.path, match.parameters) if match else None


MIXED = routes(
    "/v1/{proxy+}", "/v1/limits", "/files/{id}/parts", "/files/{id}", "/a.b", "GET /m", "POST /m", "/{other}"
)


@pytest.mark.parametrize(
    ("path", "route", "parameters"),
    [
        pytest.param("/v1/limits", "/v1/limits", {}, id="a name before a greedy variable, whatever their order"),
        pytest.param("/v1/files/x/y", "/v1/{proxy+}", {"proxy": "files/x/y"}, id="greedy: all that is left"),
        pytest.param("/v1/limits/", "/v1/limits", {}, id="a slash more does not matter"),
        pytest.param("/v1/x/", "/v1/{proxy+}", {"proxy": "x"}, id="greedy: nor there"),
        pytest.param("/v1/limits/x", "/v1/{proxy+}", {"proxy": "limits/x"}, id="below a name that has nothing there"),
        pytest.param("/v1", "/{other}", {"other": "v1"}, id="a resource without methods"),
        pytest.param("/v1/", "/{other}", {"other": "v1"}, id="nothing for the greedy variable"),
        pytest.param("/files/7/parts", "/files/{id}/parts", {"id": "7"}, id="a variable inside"),
        pytest.param("/files/7", "/files/{id}", {"id": "7"}, id="a variable at the end"),
        pytest.param("/a.b", "/a.b", {}, id="a dot is a dot"),
        pytest.param("/axb", "/{other}", {"other": "axb"}, id="and nothing else"),
    ],
)
def test_a_rest_api_walks_down_its_tree(path: str, route: str, parameters: dict[str, str]):
    """Set up a proxy integration with a proxy resource: specific before generic at the same level; and as measured."""
    assert found(MIXED, "GET", path) == (route, parameters)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/", id="no root"),
        pytest.param("/files/7/8/parts", id="a variable is one segment"),
        pytest.param("/files//parts", id="with at least one character"),
        pytest.param("/V1/limits", id="case counts"),
        pytest.param("", id="no path"),
        pytest.param("v1/limits", id="no slash"),
    ],
)
def test_other_paths_belong_to_nobody(path: str):
    """A variable is one segment of at least one character; nothing is left over."""
    assert found(MIXED, "GET", path) is None


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        pytest.param("GET", "/m", "GET /m", id="by its method"),
        pytest.param("POST", "/m", "POST /m", id="by another"),
        pytest.param("PUT", "/m", "/{other}", id="a method that the resource lacks: the next one that has it"),
        pytest.param("OPTIONS", "/files/7", "/files/{id}", id="ANY"),
        pytest.param("TRACE", "/files/7", None, id="ANY is seven methods"),
    ],
)
def test_methods_of_a_rest_api(method: str, path: str, route: str | None):
    """Set up an HTTP method: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, or ANY for all of them."""
    match = MIXED.match(path, method)
    assert (match.route.path if match else None) == route


MEASURED = routes(
    "ANY /{proxy+}",
    "GET /jobs/{operation}",
    "OPTIONS /cors_only",
    "GET /users/{id}",
    "PATCH /users/me",
    "GET /things/real",
    "ANY /things/{proxy+}",
    "GET /a/{rest+}",
    "GET /{x}/b",
)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        pytest.param("GET", "/jobs/reboot", "GET /jobs/{operation}", id="resource and method"),
        pytest.param("GET", "/jobs", "ANY /{proxy+}", id="a node with no methods"),
        pytest.param("POST", "/jobs/reboot", "ANY /{proxy+}", id="another method"),
        pytest.param("GET", "/cors_only", "ANY /{proxy+}", id="OPTIONS alone"),
        pytest.param("GET", "/users/me", "GET /users/{id}", id="the variable beside a name without the method"),
        pytest.param("PATCH", "/users/me", "PATCH /users/me", id="the name, which has it"),
        pytest.param("POST", "/things/real", "ANY /things/{proxy+}", id="the greedy variable beside it"),
        pytest.param("GET", "/a/b", "GET /a/{rest+}", id="ours: level by level, a name comes first"),
    ],
)
def test_a_rest_api_routes_on_resource_and_method(method: str, path: str, route: str):
    """As measured on the service: ministack #1423 (/jobs, /cors_only), floci #3399 (/users, /things)."""
    match = MEASURED.match(path, method)
    assert match is not None
    assert match.route.path == route


GUIDE = routes("GET /pets/{proxy+}", "$default", "ANY /{proxy+}", "GET /pets/dog/{id}", "GET /pets/dog/1", kind="http")


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        pytest.param("GET", "/pets/dog/1", "GET /pets/dog/1", id="the guide's 1: the static route"),
        pytest.param("GET", "/pets/dog/2", "GET /pets/dog/{id}", id="the guide's 2: the variable"),
        pytest.param("GET", "/pets/cat/1", "GET /pets/{proxy+}", id="the guide's 3: greedy with the method"),
        pytest.param("POST", "/test/5", "ANY /{proxy+}", id="the guide's 4: greedy with ANY"),
        pytest.param("POST", "/pets/dog/1", "ANY /{proxy+}", id="another method falls back to greedy"),
        pytest.param("GET", "/", "$default", id="nothing else: $default"),
    ],
)
def test_the_guides_table_of_an_http_api(method: str, path: str, route: str):
    """Create routes for HTTP APIs, Routing API requests: the page's five routes, in another order."""
    match = GUIDE.match(path, method)
    assert match is not None
    assert match.route.path == route


@pytest.mark.parametrize(
    ("paths", "method", "path", "expected"),
    [
        pytest.param(
            ("/a/{proxy+}", "/{x}/b"), "GET", "/a/b", ("/{x}/b", {"x": "a"}), id="a full match before a longer greedy"
        ),
        pytest.param(
            ("/{p+}", "/a/{q+}"), "GET", "/a/b/c", ("/a/{q+}", {"q": "b/c"}), id="the most specific greedy path"
        ),
        pytest.param(
            ("/{x}/a/{p+}", "/b/{q+}"), "GET", "/b/a/c", ("/b/{q+}", {"q": "a/c"}), id="names before variables, greedy"
        ),
        pytest.param(("ANY /a", "GET /a"), "GET", "/a", ("GET /a", {}), id="a method before ANY"),
        pytest.param(("ANY /a", "GET /a"), "PUT", "/a", ("ANY /a", {}), id="ANY for the others"),
        pytest.param(
            ("GET /a/{x}", "POST /{y}/b"), "POST", "/a/b", ("POST /{y}/b", {"y": "a"}), id="the method counts"
        ),
        pytest.param(("/a/{x}/c", "/{y}/b/d"), "GET", "/a/b/d", ("/{y}/b/d", {"y": "a"}), id="back out of a dead end"),
        pytest.param(("GET /a/{x}", "PUT /a/{y}"), "PUT", "/a/1", ("PUT /a/{y}", {"y": "1"}), id="each its own names"),
        pytest.param(("/a",), "GET", "/a/", None, id="a slash more"),
        pytest.param(("/a",), "GET", "/b", None, id="nothing"),
    ],
)
def test_an_http_api_takes_the_most_specific_match(
    paths: tuple[str, ...], method: str, path: str, expected: tuple[str, dict[str, str]] | None
):
    """Full match, then greedy, then $default; within each we take names before variables, at the first difference."""
    assert found(routes(*paths, kind="http"), method, path) == expected


GUARDED = [
    Route(path="/resource/{id}", function="web"),
    Route(path="/v1/{proxy+}", function="web"),
    Route(path="/{proxy+}", function="web", authorize=False),
]


@pytest.mark.parametrize(
    ("path", "rest", "http"),
    [
        pytest.param(
            "/resource/my-id%2F100",
            ("/resource/{id}", {"id": "my-id%2F100"}),
            ("/{proxy+}", {"proxy": "resource/my-id/100"}),
            id="an encoded slash ends no segment of a REST API",
        ),
        pytest.param(
            "/resource/test%7Cid%20%2525",
            ("/resource/{id}", {"id": "test%7Cid%20%2525"}),
            ("/resource/{id}", {"id": "test|id %25"}),
            id="parameters as sent, or decoded once",
        ),
        pytest.param(
            "/%76%31/x", ("/v1/{proxy+}", {"proxy": "x"}), ("/v1/{proxy+}", {"proxy": "x"}), id="names are decoded"
        ),
        pytest.param(
            "/v1%2Fx", ("/v1/{proxy+}", {"proxy": "x"}), ("/v1/{proxy+}", {"proxy": "x"}), id="not round the authorizer"
        ),
        pytest.param(
            "/open%2F..%2Fv1%2Fx",
            ("/{proxy+}", {"proxy": "open%2F..%2Fv1%2Fx"}),
            ("/{proxy+}", {"proxy": "open/../v1/x"}),
            id="dots are characters",
        ),
        pytest.param(
            "/v1/%2e%2e/open",
            ("/v1/{proxy+}", {"proxy": "%2e%2e/open"}),
            ("/v1/{proxy+}", {"proxy": "../open"}),
            id="also encoded",
        ),
        pytest.param(
            "/open%2Fx", ("/{proxy+}", {"proxy": "open%2Fx"}), ("/{proxy+}", {"proxy": "open/x"}), id="an open route"
        ),
    ],
)
def test_percent_encoding(path: str, rest: tuple[str, dict[str, str]], http: tuple[str, dict[str, str]]):
    """A REST API routes what was sent, an HTTP API what it means; no spelling leads round an authorizer."""
    assert found(Routes(GUARDED), "GET", path) == rest
    assert found(Routes(GUARDED, "http"), "GET", path) == http
