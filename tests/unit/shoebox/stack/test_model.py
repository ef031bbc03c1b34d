"""stack.yaml: what it may say, and what is said about errors in it."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from shoebox.stack.model import Function, ProvisionedPollers, Queue, QueueTrigger, Stack, StackError, load_stack

STACK_FILE = Path(__file__).parents[4] / "stack.yaml"
CONTENT: dict[str, Any] = yaml.safe_load(STACK_FILE.read_text(encoding="utf-8"))


@pytest.fixture
def broken(tmp_path: Path) -> Callable[[Callable[[dict[str, Any]], object]], str]:
    """Change a copy of stack.yaml, load it, and return the message."""

    def load(change: Callable[[dict[str, Any]], object]) -> str:
        content = copy.deepcopy(CONTENT)
        change(content)
        path = tmp_path / "stack.yaml"
        path.write_text(yaml.safe_dump(content, sort_keys=False))
        with pytest.raises(StackError) as caught:
            load_stack(path)
        assert str(path) in str(caught.value)
        return str(caught.value)

    return load


def put(*path: str | int, to: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change that sets one value."""

    def change(content: dict[str, Any]) -> None:
        place: Any = content
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to

    return change


def both(*changes: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """Several changes as one."""

    def change(content: dict[str, Any]) -> None:
        for each in changes:
            each(content)

    return change


def to_function(name: str) -> Callable[[dict[str, Any]], None]:
    """Return a change that lets the bucket notify a function."""
    return put("buckets", "personal", "notifications", 0, to={"events": ["s3:ObjectCreated:*"], "function": name})


def fifo_subscriber(content: dict[str, Any]) -> None:
    """Put a FIFO queue at a topic."""
    put("queues", "deletions-dead", "fifo", to=True)(content)
    put("topics", "file-events", to={"queues": ["deletions-dead"]})(content)


def fifo_trigger(**changes: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change that makes a function's queues FIFO, and its trigger differ."""

    def change(content: dict[str, Any]) -> None:
        for queue in ("deletions", "deletions-dead"):
            put("queues", queue, "fifo", to=True)(content)
        content["functions"]["cleanup"]["queue"].update(changes)

    return change


def test_the_projects_own_stack_is_valid():
    """Functions, queues and the rest are as the file says."""
    stack = load_stack(STACK_FILE)
    assert stack.functions.keys() >= {"authorizer", "api", "ingest", "cleanup"}
    assert stack.functions["ingest"].queue is not None
    assert stack.functions["ingest"].queue.name == "uploads"
    assert stack.queues["uploads"].dead_letter == "uploads-dead"


def test_a_stack_cannot_be_changed():
    """What was validated stays valid."""
    with pytest.raises(ValueError, match="frozen"):
        load_stack(STACK_FILE).functions["api"].memory = 1  # type: ignore[misc]


MISTAKES = [
    pytest.param(
        put("colour", to="red"),
        "colour: there is no such key; there are name, buckets, queues, topics, tables, functions, gateway",
        id="unknown key",
    ),
    pytest.param(
        put("queues", "uploads", "visibility", to=3),
        "queues.uploads.visibility: there is no such key; did you mean visibility_timeout?",
        id="unknown key of a queue",
    ),
    pytest.param(
        put("functions", "ingest", "queue", "batchsize", to=3),
        "functions.ingest.queue.batchsize: there is no such key; did you mean batch_size?",
        id="unknown key of a trigger",
    ),
    pytest.param(
        put("gateway", "routes", 0, "authorise", to=False),
        "gateway.routes.0.authorise: there is no such key; did you mean authorize?",
        id="unknown key of a route",
    ),
    pytest.param(
        put("functions", "cleanup", "queue", "name", to="uploads"),
        "queues.uploads triggers ingest and cleanup, and each message would go to one of them by chance; give each "
        "function a queue of its own",
        id="two functions on one queue",
    ),
    pytest.param(
        lambda content: content["gateway"].pop("authorizer"),
        "gateway route /v1/{proxy+} needs an authorizer: describe one under gateway.authorizer, or let anyone call it "
        "with `authorize: false`",
        id="no authorizer for a route",
    ),
    pytest.param(
        put("functions", "api", "environment", "X", to="${queue.nowhere.url}"),
        "functions.api.environment.X: stack.yaml has no queue named 'nowhere'",
        id="reference to nothing",
    ),
    pytest.param(
        put("functions", "api", "permissions", "queue/uploads", to=["eat"]),
        "functions.api.permissions: permission 'queue/uploads': queue has no permission eat; it has send, consume",
        id="unknown permission",
    ),
    pytest.param(put("name", to="My Stack"), "name: String should match pattern", id="name with a space"),
    pytest.param(
        put("functions", "api", "handler", to="api/app.py"),
        "functions.api.handler: String should match pattern",
        id="handler that is a path",
    ),
    pytest.param(
        put("functions", "api", "memory", to=64),
        "functions.api.memory: Input should be greater than or equal to 128",
        id="too little memory",
    ),
    pytest.param(
        put("functions", "api", "timeout", to=901),
        "functions.api.timeout: Input should be less than or equal to 900",
        id="too long a timeout",
    ),
    pytest.param(
        put("queues", "uploads", "visibility_timeout", to=359),
        "queues.uploads.visibility_timeout must be at least 6 × the timeout of ingest (360 s)",
        id="visibility shorter than six timeouts",
    ),
    pytest.param(
        put("functions", "ingest", "queue", "batch_size", to=11),
        "a batch_size above 10 needs a window of at least 1 second",
        id="large batch without a window",
    ),
    # AWS Lambda, "Configuring scaling behavior for SQS event source mappings" and "Control which events Lambda sends".
    pytest.param(
        put("functions", "ingest", "queue", "provisioned", to={}),
        "functions.ingest.queue: Value error, maximum_concurrency and provisioned exclude each other",
        id="two ways to scale",
    ),
    pytest.param(
        put("functions", "ingest", "queue", "maximum_concurrency", to=1),
        "functions.ingest.queue.maximum_concurrency: Input should be greater than or equal to 2",
        id="maximum concurrency of one",
    ),
    pytest.param(
        put("functions", "ingest", "queue", to={"name": "uploads", "provisioned": {"minimum": 1}}),
        "functions.ingest.queue.provisioned.minimum: Input should be greater than or equal to 2",
        id="one provisioned poller",
    ),
    pytest.param(
        put("functions", "ingest", "queue", to={"name": "uploads", "provisioned": {"minimum": 9, "maximum": 8}}),
        "the minimum of pollers is above their maximum",
        id="pollers out of order",
    ),
    pytest.param(
        put("functions", "ingest", "queue", "filters", to=[{"body": ["x"]}] * 6),
        "functions.ingest.queue.filters: List should have at most 5 items",
        id="six filters",
    ),
    # Amazon SQS, S3, SNS and AWS Lambda on FIFO queues; see shoebox.stack.model.
    pytest.param(
        put("queues", "uploads", "content_based_deduplication", to=True),
        "queues.uploads: Value error, content_based_deduplication is for FIFO queues",
        id="deduplication of a standard queue",
    ),
    pytest.param(
        put("queues", "deletions", "fifo", to=True),
        "queues.deletions and its dead-letter queue deletions-dead must both be FIFO, or both not",
        id="FIFO queue with another dead-letter queue",
    ),
    pytest.param(
        put("queues", "uploads", "fifo", to=True),
        "buckets.personal notifies uploads, but S3 has no notifications to FIFO queues",
        id="notification to a FIFO queue",
    ),
    pytest.param(
        fifo_subscriber,
        "topics.file-events has the subscriber deletions-dead, but a standard topic does not deliver to FIFO queues",
        id="subscription of a FIFO queue",
    ),
    pytest.param(
        fifo_trigger(batch_size=11, window=1),
        "functions.cleanup.queue: a FIFO queue has batches of at most 10",
        id="large batch of a FIFO queue",
    ),
    pytest.param(fifo_trigger(window=1), "functions.cleanup.queue: a FIFO queue has no window", id="window of a FIFO"),
    pytest.param(
        put("functions", "ingest", "queue", "name", to="nowhere"),
        "functions.ingest.queue names the queue 'nowhere', which is not described",
        id="trigger of an unknown queue",
    ),
    pytest.param(
        put("buckets", "personal", "notifications", 0, "queue", to="nowhere"),
        "buckets.personal names the queue 'nowhere', which is not described",
        id="notification to an unknown queue",
    ),
    # Amazon S3, "Event notification types and destinations": one destination for each configuration.
    pytest.param(
        put("buckets", "personal", "notifications", 0, "function", to="ingest"),
        "buckets.personal.notifications.0: Value error, a notification names one destination: a queue or a function",
        id="notification to a queue and a function",
    ),
    pytest.param(
        put("buckets", "personal", "notifications", 0, to={"events": ["s3:ObjectCreated:*"]}),
        "buckets.personal.notifications.0: Value error, a notification names one destination: a queue or a function",
        id="notification to nobody",
    ),
    pytest.param(
        to_function("nobody"),
        "buckets.personal names the function 'nobody', which is not described",
        id="notification to an unknown function",
    ),
    pytest.param(
        both(to_function("ingest"), put("queues", "s3-to-ingest", to={})),
        "queues.s3-to-ingest has the name that belongs to the way from S3 to ingest",
        id="queue with the name of S3's",
    ),
    pytest.param(
        both(
            to_function("ingest"),
            put("functions", "s3-to-ingest", to={"handler": "a.b", "memory": 128, "timeout": 3}),
        ),
        "functions.s3-to-ingest has the name that belongs to the way from S3 to ingest",
        id="function with the name of S3's",
    ),
    pytest.param(
        put("queues", "uploads", "dead_letter", to="nowhere"),
        "queues.uploads names the queue 'nowhere', which is not described",
        id="unknown dead-letter queue",
    ),
    pytest.param(
        put("topics", "file-events", to={"queues": ["nowhere"]}),
        "topics.file-events names the queue 'nowhere', which is not described",
        id="subscription of an unknown queue",
    ),
    pytest.param(
        put("gateway", "routes", 0, "function", to="nobody"),
        "gateway route /v1/limits names the function 'nobody', which is not described",
        id="route to an unknown function",
    ),
    pytest.param(
        put("gateway", "authorizer", "function", to="nobody"),
        "gateway.authorizer names the function 'nobody', which is not described",
        id="unknown authorizer",
    ),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_place(
    change: Callable[[dict[str, Any]], None], message: str, broken: Callable[..., str]
):
    """Each message says where in the file and what is wrong with it."""
    assert message in broken(change)


def test_all_errors_are_listed_at_once(broken: Callable[..., str]):
    """One message for all, so that nobody mends a file one error at a time."""

    def change(content: dict[str, Any]) -> None:
        put("colour", to="red")(content)
        put("functions", "api", "memory", to=64)(content)
        put("queues", "uploads", "retention_days", to=15)(content)

    message = broken(change)
    for part in ("colour:", "functions.api.memory:", "queues.uploads.retention_days:"):
        assert part in message


def test_errors_of_all_kinds_are_listed_at_once(broken: Callable[..., str]):
    """What is wrong with a part hides neither references to it nor the errors of others, and makes no false ones."""

    def change(content: dict[str, Any]) -> None:
        put("functions", "api", "memory", to=64)(content)  # is named by routes
        put("functions", "api", "environment", to={"X": "${table.nowhere.name}"})(content)
        put("queues", "uploads", "retention_days", to=15)(content)  # is named by a bucket and a function
        put("queues", "uploads", "visibility_timeout", to=10)(content)
        put("functions", "cleanup", "queue", "name", to="nothing")(content)
        put("functions", "Ingest 2", to={"handler": "a.b", "memory": 128, "timeout": 3})(content)
        put("gateway", "routes", 0, to={"path": "no path", "function": "api"})(content)
        put("gateway", "routes", 1, "function", to="nobody")(content)

    first, *lines = broken(change).splitlines()

    assert first.endswith("is not a valid stack:")
    assert [line.split(": ")[0].strip() for line in lines] == [
        "queues.uploads.retention_days",
        "functions.api.memory",
        "functions.Ingest 2.[key]",
        "gateway.routes.0.path",
        "functions.cleanup.queue names the queue 'nothing', which is not described",
        "gateway route /v1/{proxy+} names the function 'nobody', which is not described",
        "queues.uploads.visibility_timeout must be at least 6 × the timeout of ingest (360 s)",
        "functions.api.environment.X",
    ]


SMALL = {"functions": {"work": {"handler": "work.handler", "memory": 128, "timeout": 3}}}
OPEN = {"path": "/x", "function": "work", "authorize": False}


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(SMALL, id="a function alone"),
        pytest.param({**SMALL, "gateway": {"kind": "http", "routes": [OPEN]}}, id="an HTTP API without an authorizer"),
        pytest.param({"queues": {"steps": {"fifo": True}}}, id="a queue alone"),
        pytest.param({}, id="nothing"),
    ],
)
def test_a_stack_of_ones_own_has_what_it_needs(parts: dict[str, Any], tmp_path: Path):
    """No bucket, authorizer or gateway is asked for."""
    path = tmp_path / "stack.yaml"
    path.write_text(yaml.safe_dump({"name": "mine", **parts}))
    assert load_stack(path).name == "mine"


def test_a_stack_has_a_name(tmp_path: Path):
    """It is the one thing that has no default."""
    path = tmp_path / "stack.yaml"
    path.write_text("functions: {}")
    with pytest.raises(StackError, match="name: Field required"):
        load_stack(path)


@pytest.mark.parametrize("key", [None, True, 1, 1.5])
def test_a_key_that_is_no_text_is_a_mistake_like_others(broken: Callable[..., str], key: object):
    """YAML takes `on:` for true, and an empty key for null; the search for more errors ends all the same."""

    def change(content: dict[str, Any]) -> None:
        content[key] = content.pop("gateway")
        content["queues"][key] = {}
        content["queues"]["uploads"][key] = 1

    message = broken(change)
    assert message.count("Keys should be strings") == 2
    assert ".[key]: Input should be a valid string" in message


def test_all_wrong_references_are_listed_at_once(broken: Callable[..., str]):
    """References and times are checked together, across the parts."""

    def change(content: dict[str, Any]) -> None:
        put("queues", "uploads", "visibility_timeout", to=10)(content)
        put("gateway", "authorizer", "function", to="nobody")(content)
        put("topics", "file-events", to={"queues": ["nowhere"]})(content)

    message = broken(change)
    for part in ("queues.uploads.visibility_timeout", "'nobody'", "'nowhere'"):
        assert part in message


def test_a_missing_file_is_named(tmp_path: Path):
    """No traceback of the operating system."""
    with pytest.raises(StackError, match=r"cannot read .*nothing\.yaml: No such file"):
        load_stack(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not YAML"), ("", "is not a valid stack"), ("- a list", "is not a valid stack")]
)
def test_what_is_no_description_is_refused(text: str, message: str, tmp_path: Path):
    """Broken YAML, an empty file, and YAML of another shape."""
    path = tmp_path / "stack.yaml"
    path.write_text(text)
    with pytest.raises(StackError, match=message):
        load_stack(path)


def test_a_queue_defaults_to_awss_own_values():
    """What the file leaves out is what AWS would take."""
    assert (Queue().visibility_timeout, Queue().retention_days) == (30, 4)


def test_a_fifo_queue_may_trigger_a_function():
    """With batches of ten and no window, and a dead-letter queue of its kind."""
    content = copy.deepcopy(CONTENT)
    fifo_trigger()(content)
    assert Stack.model_validate(content).queues["deletions"].fifo


def test_s3_may_invoke_functions_itself():
    """Each function once, however many notifications name it; a queue of that name is nobody's business without one."""
    content = copy.deepcopy(CONTENT)
    put("queues", "s3-to-api", to={})(content)
    assert Stack.model_validate(content).invoked_by_s3 == []
    for bucket in ("personal", "public"):
        put("buckets", bucket, "notifications", to=[{"events": ["s3:ObjectCreated:*"], "function": "ingest"}])(content)
    stack = Stack.model_validate(content)
    assert stack.invoked_by_s3 == ["ingest"]
    assert stack.buckets["public"].notifications[0].destination == ("function", "ingest")


def test_a_trigger_defaults_to_what_awss_and_our_functions_do():
    """Ten messages at once, without a window; partial answers are read, which on AWS has to be asked for."""
    trigger = QueueTrigger(name="uploads")
    assert (trigger.batch_size, trigger.window, trigger.filters) == (10, 0, [])
    assert trigger.report_batch_item_failures
    assert (ProvisionedPollers().minimum, ProvisionedPollers().maximum) == (2, 200)


def test_a_function_needs_no_permissions():
    """Nothing is granted that is not written."""
    assert Function(handler="a.b", memory=128, timeout=3).permissions == {}


def test_the_model_takes_what_it_gives():
    """A stack can be written out and read again."""
    stack = load_stack(STACK_FILE)
    assert Stack.model_validate(stack.model_dump()) == stack
