"""The gateway of stack.yaml: an API of API Gateway, REST or HTTP, with its routes, authorizer, CORS and throttles."""

# ruff: noqa: RUF012 - these classes are pydantic's, which copies defaults for each object

from __future__ import annotations

import re
from functools import cached_property
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from shoebox.stack.base import Name, StackModel

_SEGMENT = re.compile(r"[^{}]*|\{\w+\+?\}")


class Throttle(StackModel):
    """Requests a second, and how many at once ("Throttle requests to your REST APIs for better throughput")."""

    rate: float = Field(ge=0)
    burst: int = Field(ge=0)


class GatewayAuthorizer(StackModel):
    """A Lambda authorizer ("Use API Gateway Lambda authorizers"); `ttl` of its cache in seconds, 0 for none.

    `identity` names where a request says who it is: a header, or AWS's expressions (`method.request.header.X`,
    `method.request.querystring.X`, `context.X`, `stageVariables.X`; `$request.…` for HTTP APIs). `validation` is the
    pattern of a TOKEN authorizer's token. `payload` and `simple` are an HTTP API's.
    """

    function: Name
    type: Literal["REQUEST", "TOKEN"] = "REQUEST"
    identity: str | list[str]
    validation: str | None = None
    ttl: int = Field(default=300, ge=0, le=3600)
    payload: Literal["1.0", "2.0"] = "2.0"
    simple: bool = False

    @property
    def sources(self) -> list[str]:
        """The identity sources, also where there is one."""
        return [self.identity] if isinstance(self.identity, str) else self.identity

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.ttl and not self.sources:
            raise ValueError("an authorizer with a cache needs an identity source")
        if self.type == "TOKEN" and len(self.sources) != 1:
            raise ValueError("a TOKEN authorizer has one identity source, a header")
        if self.validation is not None and self.type != "TOKEN":
            raise ValueError("validation is for TOKEN authorizers")
        if self.simple and self.payload != "2.0":
            raise ValueError('simple responses need payload "2.0"')
        return self

    @field_validator("validation")
    @classmethod
    def _pattern(cls, text: str | None) -> str | None:
        try:
            re.compile(text or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return text


class Route(StackModel):
    """A route and the function behind it: `GET /v1/x`, `ANY /v1/x`, `/v1/x` (any method), or an HTTP API's `$default`.

    `{name}` is one segment; `{name+}`, at the end, all that is left.
    """

    path: str = Field(pattern=r"^((ANY|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT) )?/\S*$|^\$default$")
    function: Name
    authorize: bool = True
    throttle: Throttle | None = None

    @cached_property
    def method(self) -> str:
        """The method that it takes, or ANY."""
        method, space, _ = self.path.partition(" ")
        return method if space else "ANY"

    @cached_property
    def resource(self) -> str:
        """The path without the method; `$default` is itself."""
        return self.path.rpartition(" ")[2]

    @model_validator(mode="after")
    def _variables_are_segments(self) -> Self:
        segments = self.resource.split("/")
        if not all(_SEGMENT.fullmatch(segment) for segment in segments):
            raise ValueError("a path variable is a whole segment: {name}, or {name+}")
        if any(segment.endswith("+}") for segment in segments[:-1]):
            raise ValueError("a greedy path variable is the end of its path")
        return self


class GatewayResponse(StackModel):
    """What the gateway answers by itself; `$context.authorizer.x` is filled from the authorizer's context.

    Without a `status` the type's own stays. `headers` are sent as they stand here.
    """

    status: int | None = Field(default=None, ge=400, le=599)
    code: str
    title: str
    detail: str
    headers: dict[str, str] = {}


class GatewayCors(StackModel):
    """CORS of an HTTP API ("Configure CORS for HTTP APIs in API Gateway"); `max_age` in seconds."""

    allow_origins: list[str] = []
    allow_methods: list[str] = []
    allow_headers: list[str] = []
    expose_headers: list[str] = []
    max_age: int | None = Field(default=None, ge=-1, le=86_400)
    allow_credentials: bool = False

    @model_validator(mode="after")
    def _credentials_need_origins(self) -> Self:
        if self.allow_credentials and "*" in self.allow_origins:
            raise ValueError("allow_credentials needs origins by name, not *")
        return self


class Gateway(StackModel):
    """An API of API Gateway, REST or HTTP; `payload` is what an HTTP API sends to functions.

    `timeout` is the integration's, in seconds: at most 29 (REST) or 30 (HTTP), and that is its default.
    `variables` are the stage's. Bodies that are none of `binary_media_types` are text to a REST API. Without an
    authorizer each route says that anyone may call it: `authorize: false`.
    """

    kind: Literal["rest", "http"] = "rest"
    payload: Literal["1.0", "2.0"] = "2.0"
    authorizer: GatewayAuthorizer | None = None
    timeout: int | None = Field(default=None, ge=1, le=30)
    throttle: Throttle | None = None
    variables: dict[str, str] = {}
    binary_media_types: list[str] = []
    cors: GatewayCors | None = None
    routes: list[Route] = []
    responses: dict[str, GatewayResponse] = {}

    @property
    def integration_timeout(self) -> int:
        """Seconds that a function may take."""
        return self.timeout or (29 if self.kind == "rest" else 30)

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> Self:
        authorizer = self.authorizer
        of_the_other_kind = (
            {
                "authorizer.type TOKEN": authorizer is not None and authorizer.type == "TOKEN",
                "binary_media_types": self.binary_media_types,
                "responses": self.responses,
            }
            if self.kind == "http"
            else {
                "a timeout above 29": (self.timeout or 0) > 29,
                "authorizer.simple": authorizer is not None and authorizer.simple,
                "cors": self.cors is not None,
                "the route $default": any(route.resource == "$default" for route in self.routes),
            }
        )
        for name, given in of_the_other_kind.items():
            if given:
                raise ValueError(f"{name} is not for APIs of kind {self.kind}")
        return self

    @model_validator(mode="after")
    def _routes_are_distinct(self) -> Self:
        keys = [(route.method, route.resource) for route in self.routes]
        for method, resource in keys:
            if keys.count((method, resource)) > 1:
                raise ValueError(f"there are several routes {method} {resource}")
        return self
