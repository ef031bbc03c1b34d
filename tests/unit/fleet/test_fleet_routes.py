import pytest

from fleet.gateway.routes import Routes
from shoebox.stack import Route

ROUTES = Routes(
    [
        Route(path="/v1/limits", function="limits-fn", authorize=False),
        Route(path="/v1/{proxy+}", function="api-fn"),
        Route(path="/files/{id}/parts", function="parts-fn"),
        Route(path="/a.b", function="dot-fn"),
    ]
)


@pytest.mark.parametrize(
    ("path", "function", "parameters"),
    [
        ("/v1/limits", "limits-fn", {}),
        ("/v1/limits/", "api-fn", {"proxy": "limits/"}),
        ("/v1/files/x/y", "api-fn", {"proxy": "files/x/y"}),
        ("/files/7/parts", "parts-fn", {"id": "7"}),
        ("/a.b", "dot-fn", {}),
    ],
)
def test_the_first_route_that_fits_takes_the_path(path: str, function: str, parameters: dict[str, str]):
    """In the order of stack.yaml."""
    match = ROUTES.match(path)
    assert match is not None
    assert (match.route.function, match.parameters) == (function, parameters)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/files/7/8/parts", "/files//parts", "/axb", "/V1/limits", ""])
def test_other_paths_belong_to_nobody(path: str):
    """A parameter has at least one character, and one segment without the plus."""
    assert ROUTES.match(path) is None
