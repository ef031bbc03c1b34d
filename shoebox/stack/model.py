"""The model of stack.yaml: functions, queues, tables, buckets, topics, routes and permissions, validated as one.

`load_stack` reads and checks the file; `shoebox.stack.deployment.bind` names everything in it for one place.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from shoebox.stack.mistakes import HANDLER_PATTERN, NAME_PATTERN, lines_of, problems_of, pruned, shared_triggers

PROJECT = Path(__file__).parents[2]  # the folder that holds the packages and Shoebox's own stack.yaml
Name = Annotated[str, Field(pattern=NAME_PATTERN)]


def stack_file() -> Path:
    """Return `stack.yaml` of the working directory, or else Shoebox's own."""
    here = Path("stack.yaml")
    return here if here.exists() else PROJECT / "stack.yaml"


class StackError(ValueError):
    """stack.yaml cannot be used; the message lists every problem with its place in the file."""


class Part(BaseModel):
    """A part of the description: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Cors(Part):
    """CORS rule of a bucket; origins may hold references."""

    origins: list[str]
    methods: list[Literal["GET", "PUT", "POST", "HEAD", "DELETE"]]
    headers: list[str] = []
    expose: list[str] = []


class Notification(Part):
    """An S3 event notification for keys that begin with `prefix`: to a queue, or to a function, which S3 then invokes.

    AWS Lambda, "Process Amazon S3 event notifications with Lambda": asynchronously, once for each event.
    """

    events: list[str]
    prefix: str = ""
    queue: Name | None = None
    function: Name | None = None

    @property
    def destination(self) -> tuple[Literal["queue", "function"], str]:
        """Its kind and its name."""
        return ("function", self.function) if self.function else ("queue", self.queue or "")

    @model_validator(mode="after")
    def _one_destination(self) -> Self:
        if (self.queue is None) == (self.function is None):
            raise ValueError("a notification names one destination: a queue or a function")
        return self


class Bucket(Part):
    """An S3 bucket; `public_prefixes` are readable by anyone."""

    cors: Cors | None = None
    notifications: list[Notification] = []
    public_prefixes: list[str] = []
    abort_incomplete_multipart_days: int | None = Field(default=None, ge=1)


class Queue(Part):
    """An SQS queue. Times in seconds and days ("Amazon SQS message quotas"); `fifo` cannot be changed later."""

    visibility_timeout: int = Field(default=30, ge=0, le=43_200)
    retention_days: int = Field(default=4, ge=1, le=14)
    dead_letter: Name | None = None
    max_receive_count: int = Field(default=5, ge=1, le=1000)
    fifo: bool = False
    content_based_deduplication: bool = False

    @model_validator(mode="after")
    def _deduplication_is_for_fifo(self) -> Self:
        if self.content_based_deduplication and not self.fifo:
            raise ValueError("content_based_deduplication is for FIFO queues")
        return self


class Topic(Part):
    """An SNS topic; each queue in `queues` is subscribed with raw delivery."""

    queues: list[Name] = []


class Key(Part):
    """A DynamoDB key: one hash attribute, perhaps a range attribute; all keys are strings."""

    hash: str
    range: str | None = None


class Table(Part):
    """A DynamoDB table with its global secondary indexes (projection ALL) and TTL attribute."""

    key: Key
    indexes: dict[Name, Key] = {}
    ttl: str | None = None


class ProvisionedPollers(Part):
    """Provisioned mode ("Configuring scaling behavior for SQS event source mappings"); AWS's defaults."""

    minimum: int = Field(default=2, ge=2, le=200)
    maximum: int = Field(default=200, ge=2, le=2000)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError("the minimum of pollers is above their maximum")
        return self


class QueueTrigger(Part):
    """An event source mapping. Rules: AWS Lambda, "Using Lambda with Amazon SQS"."""

    name: Name
    batch_size: int = Field(default=10, ge=1, le=10_000)
    window: int = Field(default=0, ge=0, le=300)
    maximum_concurrency: int | None = Field(default=None, ge=2, le=1000)
    provisioned: ProvisionedPollers | None = None
    report_batch_item_failures: bool = True
    filters: list[dict[str, Any]] = Field(default=[], max_length=5)

    @model_validator(mode="after")
    def _one_way_to_scale(self) -> Self:
        if self.provisioned and self.maximum_concurrency is not None:
            raise ValueError("maximum_concurrency and provisioned exclude each other")
        return self

    @model_validator(mode="after")
    def _window_for_large_batches(self) -> Self:
        if self.batch_size > 10 and self.window < 1:
            raise ValueError("a batch_size above 10 needs a window of at least 1 second")
        return self


class Asynchronous(Part):
    """What becomes of events that nobody waits for ("Configuring error handling settings", asynchronous invocation).

    Retries after errors of the function; age in seconds at which an event is given up; the queue for records of those
    that are, to which the function needs the permission `send`.
    """

    retries: int = Field(default=2, ge=0, le=2)
    max_age: int = Field(default=21_600, ge=60, le=21_600)
    on_failure: Name | None = None


class Function(Part):
    """A Lambda function; memory in MB, timeout in seconds, `slots` = invocations at once in one environment."""

    handler: str = Field(pattern=HANDLER_PATTERN)
    memory: int = Field(ge=128, le=10_240)
    timeout: int = Field(ge=1, le=900)
    slots: int = Field(default=1, ge=1, le=1600)
    reserved_concurrency: int | None = Field(default=None, ge=0)
    environment: dict[str, str] = {}
    permissions: dict[str, list[str]] = {}
    queue: QueueTrigger | None = None
    asynchronous: Asynchronous = Asynchronous()


class Throttle(Part):
    """Requests a second, and how many at once ("Throttle requests to your REST APIs for better throughput")."""

    rate: float = Field(ge=0)
    burst: int = Field(ge=0)


class GatewayAuthorizer(Part):
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
            raise ValueError('simple answers need payload "2.0"')
        return self

    @field_validator("validation")
    @classmethod
    def _pattern(cls, text: str | None) -> str | None:
        try:
            re.compile(text or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return text


_SEGMENT = re.compile(r"[^{}]*|\{\w+\+?\}")


class Route(Part):
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


class GatewayResponse(Part):
    """What the gateway answers by itself; `$context.authorizer.x` is filled from the authorizer's context.

    Without a `status` the type's own stays. `headers` are sent as they stand here.
    """

    status: int | None = Field(default=None, ge=400, le=599)
    code: str
    title: str
    detail: str
    headers: dict[str, str] = {}


class GatewayCors(Part):
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


class Gateway(Part):
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
    def _flavour_fits(self) -> Self:
        for name, given in (_rest_only(self) if self.kind == "http" else _http_only(self)).items():
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


def _rest_only(gateway: Gateway) -> dict[str, bool]:
    return {
        "authorizer.type TOKEN": gateway.authorizer is not None and gateway.authorizer.type == "TOKEN",
        "binary_media_types": bool(gateway.binary_media_types),
        "responses": bool(gateway.responses),
    }


def _http_only(gateway: Gateway) -> dict[str, bool]:
    return {
        "a timeout above 29": (gateway.timeout or 0) > 29,
        "authorizer.simple": gateway.authorizer is not None and gateway.authorizer.simple,
        "cors": gateway.cors is not None,
        "the route $default": any(route.resource == "$default" for route in gateway.routes),
    }


class Parts(Part):
    """All that is described, each part right by itself. Without a gateway nothing answers HTTP."""

    name: Name = "stack"
    buckets: dict[Name, Bucket] = {}
    queues: dict[Name, Queue] = {}
    topics: dict[Name, Topic] = {}
    tables: dict[Name, Table] = {}
    functions: dict[Name, Function] = {}
    gateway: Gateway = Gateway()


class Stack(Parts):
    """The whole description; references from part to part are checked when it is made."""

    name: Name

    def queue_name(self, prefix: str, name: str) -> str:
        """Physical name of a queue, for example `shoebox-uploads`; a FIFO queue's ends as SQS demands."""
        return f"{prefix}-{name}{'.fifo' if self.queues[name].fifo else ''}"

    @property
    def invoked_by_s3(self) -> list[str]:
        """The functions that buckets notify without a queue, each once."""
        notified = (n.function for bucket in self.buckets.values() for n in bucket.notifications if n.function)
        return list(dict.fromkeys(notified))

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if problems := problems_of(self):
            raise ValueError("; ".join(problems))
        return self


_STAND_INS: dict[str, Part] = {  # for parts that are wrong, so that what names them is not
    "buckets": Bucket(),
    "queues": Queue(visibility_timeout=43_200),
    "topics": Topic(),
    "tables": Table(key=Key(hash="pk")),
    "functions": Function(handler="a.b", memory=128, timeout=1),
}


def load_stack(path: Path) -> Stack:
    """Read and validate a stack file.

    Raises:
        StackError: the file is missing, not YAML, or its content is wrong; every problem is listed.
    """
    import yaml  # here, because a function that only needs the models has no YAML

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StackError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise StackError(f"{path} is not YAML: {error}") from error
    lines = _mistakes(content)
    if lines:
        raise StackError(f"{path} is not a valid stack:\n" + "\n".join(f"  {line}" for line in lines))
    return Stack.model_validate(content)


def _mistakes(content: Any) -> list[str]:
    """All that is wrong: the parts themselves, how they fit together, and references and permissions in them."""
    from shoebox.stack.deployment import reference_problems  # here, because it needs the models

    lines: list[str] = []
    try:
        Parts.model_validate(content)
        if "name" not in content:
            lines.append("name: Field required")
    except ValidationError as error:
        lines += lines_of(Parts, error)
        if not isinstance(content, dict):
            return lines
    stack = Stack.model_construct(**dict(pruned(Parts, content, _STAND_INS)))
    return [*lines, *problems_of(stack), *shared_triggers(stack), *reference_problems(stack)]
