"""Validation of stack.yaml: how its parts fit together, and all errors of a file, reported at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from shoebox.stack.base import HANDLER_PATTERN, NAME_PATTERN, s3_queue

if TYPE_CHECKING:
    from shoebox.stack.model import Stack

P = TypeVar("P", bound=BaseModel)

_PATTERNS_IN_WORDS = {
    NAME_PATTERN: "a small letter, then 1 to 40 small letters, digits and hyphens",
    HANDLER_PATTERN: "package.module.attribute, such as orders.worker.handler",
}


# --- how the parts fit together ------------------------------------------------------------------------------------


def stack_problems(stack: Stack) -> list[str]:
    """Return a line for each thing that does not fit together, with its place in the file."""
    return [
        *_missing(stack),
        *_taken_names(stack),
        *_short_visibility(stack),
        *_unauthorized(stack),
        *_fifo_problems(stack),
    ]


def shared_triggers(stack: Stack) -> Iterator[str]:
    """Yield the queues with several functions: AWS and the fleet allow them, but it is nearly always a mistake."""
    for name in stack.queues:
        functions = [n for n, f in stack.functions.items() if f.queue and f.queue.name == name]
        if len(functions) > 1:
            yield (
                f"queues.{name} triggers {' and '.join(functions)}, and each message would go to one of them by "
                "chance; give each function a queue of its own, and let a topic send to all of them"
            )


def _missing(stack: Stack) -> Iterator[str]:
    authorizer = stack.gateway.authorizer
    wanted = [
        *((*n.destination, f"buckets.{b}") for b, x in stack.buckets.items() for n in x.notifications),
        *(("queue", q.dead_letter, f"queues.{n}") for n, q in stack.queues.items() if q.dead_letter),
        *(("queue", q, f"topics.{n}") for n, t in stack.topics.items() for q in t.queues),
        *(("queue", f.queue.name, f"functions.{n}.queue") for n, f in stack.functions.items() if f.queue),
        *(
            ("queue", f.asynchronous.on_failure, f"functions.{n}.asynchronous")
            for n, f in stack.functions.items()
            if f.asynchronous.on_failure
        ),
        *(("function", r.function, f"gateway route {r.path}") for r in stack.gateway.routes),
        *([("function", authorizer.function, "gateway.authorizer")] if authorizer else []),
    ]
    known: dict[str, Mapping[str, object]] = {"queue": stack.queues, "function": stack.functions}
    for kind, name, where in wanted:
        if name not in known[kind]:
            yield f"{where} names the {kind} {name!r}, which is not described"


def _taken_names(stack: Stack) -> Iterator[str]:
    # An emulator's S3 reaches a function through a queue that stack.yaml does not describe (`s3_queue`).
    for function in stack.invoked_by_s3:
        for kind, names in (("queues", stack.queues), ("functions", stack.functions)):
            if (name := s3_queue(function)) in names:
                yield f"{kind}.{name} has the name that belongs to the way from S3 to {function}"


def _short_visibility(stack: Stack) -> Iterator[str]:
    # AWS advises 6 × the function's timeout ("Configuring a queue for use with Lambda").
    for name, f in stack.functions.items():
        if f.queue and f.queue.name in stack.queues:
            queue = stack.queues[f.queue.name]
            if queue.visibility_timeout < 6 * f.timeout:
                minimum = f"6 × the timeout of {name} ({6 * f.timeout} s)"
                yield f"queues.{f.queue.name}.visibility_timeout must be at least {minimum}"


def _unauthorized(stack: Stack) -> Iterator[str]:
    # A route that anyone may call must say so: a forgotten authorizer would open all of them.
    for route in stack.gateway.routes:
        if route.authorize and stack.gateway.authorizer is None:
            yield (
                f"gateway route {route.path} needs an authorizer: describe one under gateway.authorizer, or let anyone "
                "call it with `authorize: false`"
            )


def _fifo_problems(stack: Stack) -> list[str]:
    """Return what FIFO queues cannot do.

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


# --- all errors of a file ------------------------------------------------------------------------------------------


def without_errors(model: type[P], content: dict[str, Any], placeholders: Mapping[str, BaseModel]) -> P:
    """Return `content` as the model, without its errors, so that the rest can be checked, too.

    Of a list the wrong entries are left out, of a part the wrong keys. What a part then lacks is taken from the
    placeholder of its section, and so is a part of which nothing can be used.
    """
    content = _with_text_keys(content)
    dumped = {section: placeholder.model_dump() for section, placeholder in placeholders.items()}
    named = {section: [*content[section]] for section in dumped if isinstance(content.get(section), dict)}
    while True:
        try:
            return model.model_validate(content)
        except ValidationError as error:
            removed: set[tuple[int, Any]] = set()
            for each in reversed(error.errors()):  # from the end: what is taken out of a list moves what is behind
                match each["type"], each["loc"]:
                    case "missing", (section, name, key) if section in dumped:
                        content.get(section, {}).get(name, {})[key] = dumped[section][key]
                    case _, (section, name, "[key]") if (
                        section in dumped
                    ):  # a name that is not allowed: no reference to it could be valid
                        named[section] = [each for each in named[section] if str(each) != str(name)]
                        kept = content.get(section, {})
                        content[section] = {key: part for key, part in kept.items() if str(key) != str(name)}
                    case "missing", loc:
                        _remove(content, loc[:-1], removed)
                    case _, loc:
                        _remove(content, loc, removed)
            for section, names in named.items():
                kept = content.get(section)
                content[section] = {name: dict(dumped[section]) for name in names} | (kept or {})


def _with_text_keys(value: Any) -> Any:
    """Return a copy whose keys are text, as pydantic's locations have them: YAML's `on`, `1` and nothing are none."""
    if isinstance(value, dict):
        return {str(key): _with_text_keys(inner) for key, inner in value.items()}
    return [_with_text_keys(inner) for inner in value] if isinstance(value, list) else value


def _remove(content: dict[str, Any], loc: tuple[Any, ...], removed: set[tuple[int, Any]]) -> None:
    """Delete what is at a location, or as near to it as there is anything."""
    parent: Any = None
    key: Any = None
    inner: Any = content
    for step in loc:
        if not (step in inner if isinstance(inner, dict) else isinstance(inner, list) and step in range(len(inner))):
            break  # a step of pydantic's own, or into what has just been taken out
        parent, key, inner = inner, step, inner[step]
    if parent is not None and (id(parent), key) not in removed:
        removed.add((id(parent), key))
        del parent[key]


def error_lines(model: type[BaseModel], error: ValidationError) -> list[str]:
    """Return each error with its place, and the key that was probably meant."""
    return [f"{'.'.join(map(str, each['loc'])) or 'stack'}: {_message(model, each)}" for each in error.errors()]


def _message(model: type[BaseModel], error: Any) -> str:
    if error["type"] == "extra_forbidden":
        keys = _keys(model, error["loc"][:-1])
        near = get_close_matches(str(error["loc"][-1]), keys, n=1)
        return "there is no such key; " + (f"did you mean {near[0]}?" if near else f"there are {', '.join(keys)}")
    words = _PATTERNS_IN_WORDS.get(error.get("ctx", {}).get("pattern", ""))
    return f"{error['msg']} ({words})" if words else str(error["msg"])


def _keys(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """Return the keys that are allowed at a location; pydantic only says which one is not."""
    types: list[Any] = [model]
    for step in loc:
        types = [inner for each in types for inner in _inner_types(each, step)]
    return [key for each in types if _is_model(each) for key in each.model_fields]


def _inner_types(annotation: Any, step: Any) -> list[Any]:
    """Return what a step into a type leads to: a field of a model, a value of a dict or a list."""
    if _is_model(annotation):
        return _plain_types(annotation.model_fields[step].annotation) if step in annotation.model_fields else []
    return _plain_types(get_args(annotation)[-1]) if get_origin(annotation) in (dict, list) else []


def _plain_types(annotation: Any) -> list[Any]:
    """Return the types behind unions and `Annotated`."""
    if get_origin(annotation) is Annotated:
        return _plain_types(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [plain for each in get_args(annotation) for plain in _plain_types(each)]
    return [annotation]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
