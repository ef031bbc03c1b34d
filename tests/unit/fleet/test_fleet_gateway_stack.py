"""The gateway's part of stack.yaml: what it may say of each flavour."""

from pathlib import Path
from typing import Any

import pytest
from gateway_fakes import resolved
from pydantic import ValidationError

from fleet.gateway.factory import gateway_throttle
from fleet.gateway.routes import Routes
from fleet.limits.quotas import AWS_QUOTAS
from shoebox.stack.gateway import Gateway, Route
from shoebox.stack.model import load_stack

ROUTE = {"path": "/x", "function": "web"}


@pytest.mark.parametrize(
    ("gateway", "message"),
    [
        pytest.param({"timeout": 30}, "a timeout above 29 is not for APIs of kind rest", id="REST: 30 s"),
        pytest.param({"kind": "http", "timeout": 31}, "less than or equal to 30", id="HTTP: 31 s"),
        pytest.param({"cors": {}}, "cors is not for APIs of kind rest", id="REST: cors"),
        pytest.param(
            {"routes": [{"path": "$default", "function": "web"}]}, "route .default is not", id="REST: $default"
        ),
        pytest.param(
            {"kind": "http", "binary_media_types": ["*/*"]}, "binary_media_types is not", id="HTTP: binary_media_types"
        ),
        pytest.param(
            {"kind": "http", "responses": {"THROTTLED": {"code": "c", "title": "t", "detail": "d"}}},
            "responses is not for APIs of kind http",
            id="HTTP: responses",
        ),
        pytest.param(
            {"kind": "http", "authorizer": {"function": "gate", "identity": "a", "type": "TOKEN"}},
            "TOKEN is not for APIs of kind http",
            id="HTTP: TOKEN",
        ),
        pytest.param(
            {"authorizer": {"function": "gate", "identity": []}}, "needs an identity source", id="no identity"
        ),
        pytest.param(
            {"authorizer": {"function": "gate", "identity": ["a", "b"], "type": "TOKEN"}},
            "one identity source",
            id="TOKEN with two sources",
        ),
        pytest.param(
            {"authorizer": {"function": "gate", "identity": "a", "type": "TOKEN", "validation": "("}},
            "not a regular expression",
            id="a pattern that is none",
        ),
        pytest.param(
            {"authorizer": {"function": "gate", "identity": "a", "ttl": 3601}}, "less than or equal to 3600", id="TTL"
        ),
        pytest.param({"routes": [ROUTE, {**ROUTE, "path": "ANY /x"}]}, "several routes ANY /x", id="the same twice"),
        pytest.param({"routes": [{**ROUTE, "path": "/{a+}/b"}]}, "greedy path variable is the end", id="greedy inside"),
        pytest.param({"routes": [{**ROUTE, "path": "/x{a}"}]}, "whole segment", id="part of a segment"),
        pytest.param({"routes": [{**ROUTE, "path": "FETCH /x"}]}, "should match pattern", id="no method"),
        pytest.param({"routes": [{**ROUTE, "path": "/x y"}]}, "should match pattern", id="a blank in the path"),
        pytest.param({"routes": [{**ROUTE, "throttle": {"rate": -1, "burst": 0}}]}, "greater than or equal", id="rate"),
        pytest.param(
            {"kind": "http", "cors": {"allow_origins": ["*"], "allow_credentials": True}},
            "origins by name",
            id="credentials for everyone",
        ),
    ],
)
def test_what_a_flavour_does_not_have_is_refused(gateway: dict[str, Any], message: str):
    """Choose between REST APIs and HTTP APIs; each message says what is wrong."""
    described = {"authorizer": {"function": "gate", "identity": "a"}, "routes": [ROUTE], **gateway}
    with pytest.raises(ValidationError, match=message):
        Gateway.model_validate(described)


def test_timeouts_default_to_the_flavours():
    """Amazon API Gateway quotas: 29 seconds (REST), 30 seconds (HTTP)."""
    described = {"authorizer": {"function": "gate", "identity": "a"}, "routes": []}
    assert [
        Gateway.model_validate({**described, **more}).integration_timeout
        for more in ({}, {"kind": "http"}, {"timeout": 5})
    ] == [29, 30, 5]


def test_every_route_has_its_limit():
    """Also those without a throttle, so that their rates can be seen."""
    stack = resolved({"throttle": {"rate": 100, "burst": 10}, "routes": [ROUTE, {**ROUTE, "path": "GET /y"}]})
    subjects = [use.subject for use in gateway_throttle(stack, AWS_QUOTAS).uses(0)]
    assert subjects == ["account", "stage", "/x", "GET /y"]


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/limits", "/v1/limits"),
        ("/v1/files", "/v1/{proxy+}"),
        ("/v1/files/7/multipart", "/v1/{proxy+}"),
        ("/", "/"),
        ("/docs", "/{proxy+}"),
        ("/pages/gallery.js", "/{proxy+}"),
        ("//v1/files", "/{proxy+}"),
    ],
)
def test_the_projects_routes_mean_the_same_as_in_their_order(path: str, route: str):
    """AWS's precedence takes the place of "first match wins"; for this stack nothing that is guarded becomes open."""
    routes = load_stack(Path(__file__).parents[3] / "stack.yaml").gateway.routes
    match = Routes(routes).match(path, "GET")
    assert match is not None
    assert match.route.path == route


def test_a_route_tells_method_and_resource():
    """`GET /x`, `ANY /x`, `/x` and `$default`."""
    paths = ("GET /x", "ANY /x", "/x", "$default")
    assert [(route.method, route.resource) for route in (Route(path=path, function="web") for path in paths)] == [
        ("GET", "/x"),
        ("ANY", "/x"),
        ("ANY", "/x"),
        ("ANY", "$default"),
    ]
