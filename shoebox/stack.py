"""The model of stack.yaml: functions, queues, tables, buckets, topics, routes and permissions, validated as one.

`load_stack` reads and checks the file; `shoebox.place.bind` names everything in it for one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

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
    """An S3 event notification to a queue, for keys that begin with `prefix`."""

    events: list[str]
    prefix: str = ""
    queue: Name


class Bucket(Part):
    """An S3 bucket; `public_prefixes` are readable by anyone."""

    cors: Cors | None = None
    notifications: list[Notification] = []
    public_prefixes: list[str] = []
    abort_incomplete_multipart_days: int | None = Field(default=None, ge=1)


class Queue(Part):
    """An SQS standard queue. Times in seconds and days ("Amazon SQS message quotas")."""

    visibility_timeout: int = Field(default=30, ge=0, le=43_200)
    retention_days: int = Field(default=4, ge=1, le=14)
    dead_letter: Name | None = None
    max_receive_count: int = Field(default=5, ge=1, le=1000)


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


class QueueTrigger(Part):
    """An event source mapping. Rules: AWS Lambda, "Using Lambda with Amazon SQS"."""

    name: Name
    batch_size: int = Field(default=10, ge=1, le=10_000)
    window: int = Field(default=0, ge=0, le=300)
    maximum_concurrency: int | None = Field(default=None, ge=2, le=1000)

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


class GatewayAuthorizer(Part):
    """A REQUEST authorizer: its function, the identity header and the cache's time to live in seconds."""

    function: Name
    identity: str
    ttl: int = Field(default=300, ge=0, le=3600)


class Route(Part):
    """A path pattern of the gateway and the function behind it; any method."""

    path: str = Field(pattern=r"^/")
    function: Name
    authorize: bool = True


class GatewayResponse(Part):
    """What the gateway answers by itself; `$context.authorizer.x` is filled from the authorizer's context."""

    status: int = Field(ge=400, le=599)
    code: str
    title: str
    detail: str


class Gateway(Part):
    """The REST API: routes in order of precedence, and shaped error answers."""

    authorizer: GatewayAuthorizer
    timeout: int = Field(default=29, ge=1, le=29)
    routes: list[Route]
    responses: dict[str, GatewayResponse]


class Stack(Part):
    """The whole description; cross-references are checked when it is made."""

    name: Name
    buckets: dict[Name, Bucket] = {}
    queues: dict[Name, Queue] = {}
    topics: dict[Name, Topic] = {}
    tables: dict[Name, Table] = {}
    functions: dict[Name, Function] = {}
    gateway: Gateway

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        problems = [*self._missing(), *self._short_visibility()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _missing(self) -> list[str]:
        wanted = [
            *(("queue", n.queue, f"buckets.{b}") for b, x in self.buckets.items() for n in x.notifications),
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

    def _short_visibility(self) -> list[str]:
        """AWS advises 6 × the function's timeout ("Configuring a queue for use with Lambda")."""
        return [
            f"queues.{f.queue.name}.visibility_timeout must be at least 6 × the timeout of {name} ({6 * f.timeout} s)"
            for name, f in self.functions.items()
            if f.queue and f.queue.name in self.queues and self.queues[f.queue.name].visibility_timeout < 6 * f.timeout
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
