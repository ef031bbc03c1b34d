"""The model of stack.yaml: functions, queues, tables, buckets, topics, routes and permissions, validated as one.

`load_stack` reads and checks the file; `shoebox.stack.deployment.resolve` names everything in it for one deployment.
A new section needs a model here, a field of `StackSections`, its ARN in `shoebox.stack.deployment`, the words of its
permissions in `shoebox.stack.policies`, and a step of `emulator.provision` that creates it.
"""

# ruff: noqa: RUF012 - these classes are pydantic's, which copies defaults for each object

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from shoebox.stack.base import HANDLER_PATTERN, Name, StackModel
from shoebox.stack.gateway import Gateway
from shoebox.stack.validation import error_lines, shared_triggers, stack_problems, without_errors

PROJECT = Path(__file__).parents[2]  # the folder that holds the packages and Shoebox's own stack.yaml


def stack_file() -> Path:
    """Return `stack.yaml` of the working directory, or else Shoebox's own."""
    here = Path("stack.yaml")
    return here if here.exists() else PROJECT / "stack.yaml"


class StackError(ValueError):
    """stack.yaml cannot be used; the message lists every problem with its place in the file."""


class Cors(StackModel):
    """CORS rule of a bucket; origins may hold references."""

    origins: list[str]
    methods: list[Literal["GET", "PUT", "POST", "HEAD", "DELETE"]]
    headers: list[str] = []
    expose: list[str] = []


class Notification(StackModel):
    """An S3 event notification for keys that begin with `prefix`: to a queue, or to a function, which S3 then invokes.

    AWS Lambda, "Process Amazon S3 event notifications with Lambda": asynchronously, once for each event.
    """

    events: list[str]
    prefix: str = ""
    queue: Name | None = None
    function: Name | None = None

    @property
    def destination(self) -> tuple[Literal["queue", "function"], str]:
        """Kind and name of what is notified."""
        return ("function", self.function) if self.function else ("queue", self.queue or "")

    @model_validator(mode="after")
    def _one_destination(self) -> Self:
        if (self.queue is None) == (self.function is None):
            raise ValueError("a notification names one destination: a queue or a function")
        return self


class Bucket(StackModel):
    """An S3 bucket; `public_prefixes` are readable by anyone."""

    cors: Cors | None = None
    notifications: list[Notification] = []
    public_prefixes: list[str] = []
    abort_incomplete_multipart_days: int | None = Field(default=None, ge=1)


class Queue(StackModel):
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


class Topic(StackModel):
    """An SNS topic; each queue in `queues` is subscribed with raw delivery."""

    queues: list[Name] = []


class Key(StackModel):
    """A DynamoDB key: one hash attribute, perhaps a range attribute; all keys are strings."""

    hash: str
    range: str | None = None


class Table(StackModel):
    """A DynamoDB table with its global secondary indexes (projection ALL) and TTL attribute."""

    key: Key
    indexes: dict[Name, Key] = {}
    ttl: str | None = None


class ProvisionedPollers(StackModel):
    """Provisioned mode ("Configuring scaling behavior for SQS event source mappings"); AWS's defaults."""

    minimum: int = Field(default=2, ge=2, le=200)
    maximum: int = Field(default=200, ge=2, le=2000)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError("the minimum of pollers is above their maximum")
        return self


class QueueTrigger(StackModel):
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


class Asynchronous(StackModel):
    """Error handling of asynchronous invocations ("Configuring error handling settings").

    Retries after errors of the function; the age in seconds at which an event is discarded; the queue for records of
    discarded events, to which the function needs the permission `send`.
    """

    retries: int = Field(default=2, ge=0, le=2)
    max_age: int = Field(default=21_600, ge=60, le=21_600)
    on_failure: Name | None = None


class Function(StackModel):
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


class StackSections(StackModel):
    """All sections of a stack, each right by itself; `Stack` checks how they fit together.

    Without a gateway nothing answers HTTP.
    """

    name: Name = "stack"
    buckets: dict[Name, Bucket] = {}
    queues: dict[Name, Queue] = {}
    topics: dict[Name, Topic] = {}
    tables: dict[Name, Table] = {}
    functions: dict[Name, Function] = {}
    gateway: Gateway = Gateway()


class Stack(StackSections):
    """The whole description; references from part to part are checked when it is made."""

    name: Name

    def queue_name(self, prefix: str, name: str) -> str:
        """Return the physical name of a queue, for example `shoebox-uploads`; a FIFO queue's ends as SQS demands."""
        return f"{prefix}-{name}{'.fifo' if self.queues[name].fifo else ''}"

    @property
    def invoked_by_s3(self) -> list[str]:
        """The functions that buckets notify without a queue, each once."""
        notified = (n.function for bucket in self.buckets.values() for n in bucket.notifications if n.function)
        return list(dict.fromkeys(notified))

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Self:
        if problems := stack_problems(self):
            raise ValueError("; ".join(problems))
        return self


_PLACEHOLDERS: dict[
    str, StackModel
] = {  # stand in for parts with errors, so that references to them are not reported, too
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
    import yaml  # not at the top: a function that only needs the models has no YAML

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StackError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise StackError(f"{path} is not YAML: {error}") from error
    lines = _errors(content)
    if lines:
        raise StackError(f"{path} is not a valid stack:\n" + "\n".join(f"  {line}" for line in lines))
    return Stack.model_validate(content)


def _errors(content: Any) -> list[str]:
    """Return all that is wrong: the parts, how they fit together, and references and permissions in them."""
    from shoebox.stack.deployment import reference_problems  # not at the top: it needs the models

    lines: list[str] = []
    try:
        StackSections.model_validate(content)
        if "name" not in content:
            lines.append("name: Field required")
    except ValidationError as error:
        lines += error_lines(StackSections, error)
        if not isinstance(content, dict):
            return lines
    stack = Stack.model_construct(**dict(without_errors(StackSections, content, _PLACEHOLDERS)))
    return [*lines, *stack_problems(stack), *shared_triggers(stack), *reference_problems(stack)]
