"""Which function serves a request: API Gateway's precedence, which is not the order of stack.yaml.

REST APIs ("Set up a proxy integration with a proxy resource": a specific resource before a generic one at the same
level of the hierarchy): at each level a resource by its name, then a path variable, then a greedy one. What counts is
resource and method together: where the method is missing the next one is tried, up to the root's `{proxy+}`. The pages
do not say this; it was measured on the service (ministack #1423, floci #3399), as was that a slash at the end does not
matter (chalice #65, aws-sam-cli #1495, powertools-lambda-python #1552).

A REST API takes a path as it was sent: `%2F` ends no segment, and parameters keep their percent-encoding; names are
compared decoded. An HTTP API decodes the path first (serverless #5037; middleapi/standard-server #93 has captures).

HTTP APIs ("Create routes for HTTP APIs", Routing API requests): a full match of path and method, then the most specific
greedy path with the method, then `$default`. Within each, names come before variables, and a method before ANY.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from shoebox.stack.gateway import Route

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
"""What ANY stands for ("Set up an HTTP method")."""


@dataclass(frozen=True, slots=True)
class Match:
    """The route of a request, and the values of its parameters."""

    route: Route
    parameters: dict[str, str]

    @property
    def route_key(self) -> str:
        """The route as HTTP APIs name it: `GET /x`, `ANY /x`, `$default`."""
        resource = self.route.resource
        return resource if resource == "$default" else f"{self.route.method} {resource}"


@dataclass(slots=True)
class _Node:
    """What may come after a path: names, a variable, a greedy variable; and the routes that end here."""

    named: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    greedy: _Node | None = None
    methods: dict[str, tuple[Route, tuple[str, ...]]] = field(default_factory=dict)

    def child(self, segment: str) -> _Node:
        """Return the node for a segment of a route, which is made if need be."""
        if segment.endswith("+}"):
            self.greedy = self.greedy or _Node()
            return self.greedy
        if segment.startswith("{"):
            self.variable = self.variable or _Node()
            return self.variable
        return self.named.setdefault(segment, _Node())

    def match(self, method: str, values: Sequence[str]) -> Match | None:
        """Return the route for a method that ends here."""
        found = self.methods.get(method) or (self.methods.get("ANY") if method in _METHODS else None)
        return Match(found[0], dict(zip(found[1], values, strict=True))) if found else None


class Routes:
    """The routes of an API; `kind` is the flavour whose precedence counts, rest or http."""

    def __init__(self, routes: Iterable[Route], kind: str = "rest") -> None:
        self._root = _Node()
        self._default: Route | None = None
        self._rest = kind == "rest"
        for route in routes:
            self._add(route)

    def match(self, path: str, method: str = "GET") -> Match | None:
        """Return the route for a path as it was sent, or None."""
        found = None
        if path.startswith("/"):
            found = self._find_rest(path, method) if self._rest else self._find_http(path, method)
        if found is None and self._default:
            return Match(self._default, {})
        return found

    def _find_rest(self, path: str, method: str) -> Match | None:
        path = path.removesuffix("/") or "/"
        found = _find_by_level(self._root, _segments(path), method, [])
        if not (found and found.route.authorize) and "%2f" in path.lower():
            # A function that decodes the whole path would see another route: with an authorizer, that one counts.
            decoded = _find_by_level(self._root, _segments(unquote(path)), method, [])
            return decoded if decoded and decoded.route.authorize else found
        return found

    def _find_http(self, path: str, method: str) -> Match | None:
        segments = _segments(unquote(path))
        return _find_full_match(self._root, segments, method, []) or _find_longest_greedy(
            self._root, segments, method, []
        )

    def _add(self, route: Route) -> None:
        if route.resource == "$default":
            self._default = route
            return
        node, names = self._root, []
        for segment in _segments(route.resource):
            node = node.child(segment)
            if segment.startswith("{"):
                names.append(segment.strip("{+}"))
        node.methods[route.method] = (route, tuple(names))


def _segments(path: str) -> list[str]:
    """Return what is between the slashes; the root has none."""
    return path[1:].split("/") if path != "/" else []


def _find_by_level(node: _Node, left: list[str], method: str, values: list[str]) -> Match | None:
    """Find a REST API's match: at each level a name, then a variable, then a greedy variable."""
    if not left:
        return node.match(method, values)
    segment, *others = left
    # Names are compared decoded: encoding a letter must not lead round the authorizer.
    following = node.named.get(unquote(segment) if "%" in segment else segment)
    if following and (found := _find_by_level(following, others, method, values)):
        return found
    if node.variable and segment and (found := _find_by_level(node.variable, others, method, [*values, segment])):
        return found
    return _match_greedy(node, left, method, values)


def _match_greedy(node: _Node, left: list[str], method: str, values: list[str]) -> Match | None:
    """Find the greedy route below a node for all that is left of the path: at least one character."""
    rest = "/".join(left)
    return node.greedy.match(method, [*values, rest]) if node.greedy and rest else None


def _find_full_match(node: _Node, left: list[str], method: str, values: list[str]) -> Match | None:
    """Find a match of every segment, by names rather than variables."""
    if not left:
        return node.match(method, values)
    segment, *others = left
    following = node.named.get(segment)
    if following and (found := _find_full_match(following, others, method, values)):
        return found
    return _find_full_match(node.variable, others, method, [*values, segment]) if node.variable and segment else None


def _find_longest_greedy(node: _Node, left: list[str], method: str, values: list[str]) -> Match | None:
    """Find the greedy match that begins furthest down."""
    if not left:
        return None
    segment, *others = left
    following = node.named.get(segment)
    if following and (found := _find_longest_greedy(following, others, method, values)):
        return found
    if node.variable and segment and (found := _find_longest_greedy(node.variable, others, method, [*values, segment])):
        return found
    return _match_greedy(node, left, method, values)
