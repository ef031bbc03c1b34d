"""Which function answers a path: the stack's routes, in order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from shoebox.stack import Route

_PARAMETER = re.compile(r"\\\{(\w+)(\\\+)?\\\}")


@dataclass(frozen=True, slots=True)
class Match:
    """A route that takes a path, and the values of its parameters."""

    route: Route
    parameters: dict[str, str]


class Routes:
    """The routes of a gateway; the first match wins. `{name}` is one segment, `{name+}` all that is left."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = [(_pattern(route.path), route) for route in routes]

    def match(self, path: str) -> Match | None:
        """The route for a path, which is percent-decoded: encoding a letter must not lead round the authorizer."""
        for pattern, route in self._routes:
            if found := pattern.fullmatch(path):
                return Match(route, found.groupdict())
        return None


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(_PARAMETER.sub(_group, re.escape(path)), re.DOTALL)


def _group(found: re.Match[str]) -> str:
    name, rest = found.groups()
    return f"(?P<{name}>.+)" if rest else f"(?P<{name}>[^/]+)"
