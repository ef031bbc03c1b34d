"""The model of stack.yaml: functions, queues, tables, buckets, topics, routes and permissions, validated as one.

`load_stack` reads and checks the file; `shoebox.place.bind` names everything in it for one place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,40}$")]


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

    handler: str = Field(pattern=r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$")
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
    `variables` are the stage's. Bodies that are none of `binary_media_types` are text to a REST API.
    """

    kind: Literal["rest", "http"] = "rest"
    payload: Literal["1.0", "2.0"] = "2.0"
    authorizer: GatewayAuthorizer
    timeout: int | None = Field(default=None, ge=1, le=30)
    throttle: Throttle | None = None
    variables: dict[str, str] = {}
    binary_media_types: list[str] = []
    cors: GatewayCors | None = None
    routes: list[Route]
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
        "authorizer.type TOKEN": gateway.authorizer.type == "TOKEN",
        "binary_media_types": bool(gateway.binary_media_types),
        "responses": bool(gateway.responses),
    }


def _http_only(gateway: Gateway) -> dict[str, bool]:
    return {
        "a timeout above 29": (gateway.timeout or 0) > 29,
        "authorizer.simple": gateway.authorizer.simple,
        "cors": gateway.cors is not None,
        "the route $default": any(route.resource == "$default" for route in gateway.routes),
    }


class Stack(Part):
    """The whole description; cross-references are checked when it is made."""

    name: Name
    buckets: dict[Name, Bucket] = {}
    queues: dict[Name, Queue] = {}
    topics: dict[Name, Topic] = {}
    tables: dict[Name, Table] = {}
    functions: dict[Name, Function] = {}
    gateway: Gateway

    def queue_name(self, prefix: str, name: str) -> str:
        """Physical name of a queue, for example `shoebox-uploads`; a FIFO queue's ends as SQS demands."""
        return f"{prefix}-{name}{'.fifo' if self.queues[name].fifo else ''}"

    @property
    def invoked_by_s3(self) -> list[str]:
        """The functions that buckets notify without a queue, each once."""
        notified = (n.function for bucket in self.buckets.values() for n in bucket.notifications if n.function)
        return list(dict.fromkeys(notified))

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        problems = [*self._missing(), *self._taken_names(), *self._short_visibility(), *_fifo_problems(self)]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _missing(self) -> list[str]:
        wanted = [
            *((*n.destination, f"buckets.{b}") for b, x in self.buckets.items() for n in x.notifications),
            *(("queue", q.dead_letter, f"queues.{n}") for n, q in self.queues.items() if q.dead_letter),
            *(("queue", q, f"topics.{n}") for n, t in self.topics.items() for q in t.queues),
            *(("queue", f.queue.name, f"functions.{n}.queue") for n, f in self.functions.items() if f.queue),
            *(
                ("queue", f.asynchronous.on_failure, f"functions.{n}.asynchronous")
                for n, f in self.functions.items()
                if f.asynchronous.on_failure
            ),
            *(("function", r.function, f"gateway route {r.path}") for r in self.gateway.routes),
            ("function", self.gateway.authorizer.function, "gateway.authorizer"),
        ]
        known: dict[str, Mapping[str, object]] = {"queue": self.queues, "function": self.functions}
        return [
            f"{where} names the {kind} {name!r}, which is not described"
            for kind, name, where in wanted
            if name not in known[kind]
        ]

    def _taken_names(self) -> list[str]:
        """An emulator's S3 reaches a function through a queue that is not described (`s3_queue`)."""
        return [
            f"{kind}.{name} has the name that belongs to the way from S3 to {function}"
            for function in self.invoked_by_s3
            for kind, names in (("queues", self.queues), ("functions", self.functions))
            if (name := s3_queue(function)) in names
        ]

    def _short_visibility(self) -> list[str]:
        """AWS advises 6 × the function's timeout ("Configuring a queue for use with Lambda")."""
        return [
            f"queues.{f.queue.name}.visibility_timeout must be at least 6 × the timeout of {name} ({6 * f.timeout} s)"
            for name, f in self.functions.items()
            if f.queue and f.queue.name in self.queues and self.queues[f.queue.name].visibility_timeout < 6 * f.timeout
        ]


def s3_queue(function: str) -> str:
    """The name of the queue through which an emulator's S3 reaches a function that a bucket notifies by itself.

    AWS needs none. Who plays both: fleet/s3_queues.py and fleet/queues/s3_delivery.py.
    """
    return f"s3-to-{function}"


def _fifo_problems(stack: Stack) -> list[str]:
    """What FIFO queues cannot do.

    AWS Lambda, "Creating and configuring an Amazon SQS event source mapping"; Amazon SQS, "Using dead-letter queues";
    Amazon S3, "Event notification types and destinations"; Amazon SNS, "FIFO topics": only those deliver to them.
    """
    fifo = {name for name, queue in stack.queues.items() if queue.fifo}
    triggers = [(n, f.queue) for n, f in stack.functions.items() if f.queue and f.queue.name in fifo]
    return [
        *(f"functions.{n}.queue: a FIFO queue has batches of at most 10" for n, t in triggers if t.batch_size > 10),
        *(f"functions.{n}.queue: a FIFO queue has no window" for n, t in triggers if t.window),
        *(
            f"queues.{name} and its dead-letter queue {queue.dead_letter} must both be FIFO, or both not"
            for name, queue in stack.queues.items()
            if queue.dead_letter in stack.queues and queue.fifo != stack.queues[queue.dead_letter].fifo
        ),
        *(
            f"buckets.{b} notifies {n.queue}, but S3 has no notifications to FIFO queues"
            for b, bucket in stack.buckets.items()
            for n in bucket.notifications
            if n.queue in fifo
        ),
        *(
            f"topics.{t} has the subscriber {q}, but a standard topic does not deliver to FIFO queues"
            for t, topic in stack.topics.items()
            for q in topic.queues
            if q in fifo
        ),
    ]


def load_stack(path: Path) -> Stack:
    """Read and validate a stack file.

    Raises:
        StackError: the file is missing, not YAML, or its content is wrong; every problem is listed.
    """
    import yaml  # here, because a function that only needs the models has no YAML

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Stack.model_validate(content)
    except OSError as error:
        raise StackError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise StackError(f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc'])) or 'stack'}: {e['msg']}" for e in error.errors()]
        raise StackError(f"{path} is not a valid stack:\n" + "\n".join(lines)) from error
