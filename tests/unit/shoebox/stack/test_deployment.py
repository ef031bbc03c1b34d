"""A stack in a deployment: names, addresses, environments, policies."""

from pathlib import Path

import pytest

from shoebox.stack.deployment import Deployment, ResolvedStack, resolve
from shoebox.stack.model import Cors, Function, Queue, Stack, StackError, load_stack

STACK = load_stack(Path(__file__).parents[4] / "stack.yaml")
DEPLOYMENT = Deployment(
    prefix="family",
    account="123456789012",
    region="eu-central-1",
    s3_url="https://s3.eu-central-1.amazonaws.com",
    s3_public_url="https://photos.example",
    sqs_url="https://sqs.eu-central-1.amazonaws.com",
    gateway_url="https://api.photos.example",
)


@pytest.fixture
def resolved() -> ResolvedStack:
    """Return the project's stack in an imagined account."""
    return resolve(STACK, DEPLOYMENT)


def with_function(**parts: object) -> Stack:
    """Return the project's stack with other parts in the function `api`."""
    api = STACK.functions["api"].model_copy(update=parts)
    return STACK.model_copy(update={"functions": {**STACK.functions, "api": api}})


@pytest.mark.parametrize(
    ("kind", "name", "arn"),
    [
        ("bucket", "personal", "arn:aws:s3:::family-personal"),
        ("queue", "uploads", "arn:aws:sqs:eu-central-1:123456789012:family-uploads"),
        ("topic", "file-events", "arn:aws:sns:eu-central-1:123456789012:family-file-events"),
        ("table", "files", "arn:aws:dynamodb:eu-central-1:123456789012:table/family-files"),
        ("function", "api", "arn:aws:lambda:eu-central-1:123456789012:function:family-api"),
    ],
)
def test_arns_have_awss_forms(resolved: ResolvedStack, kind: str, name: str, arn: str):
    """Each service writes its ARN in its own way."""
    assert resolved.arn_of(kind, name) == arn


def test_roles_and_queues_have_addresses(resolved: ResolvedStack):
    """The role of a function, and a queue's URL."""
    assert resolved.role_arn_of("api") == "arn:aws:iam::123456789012:role/family-api"
    assert resolved.queue_url("uploads") == "https://sqs.eu-central-1.amazonaws.com/123456789012/family-uploads"


def test_a_fifo_queues_name_ends_as_sqs_demands():
    """In its name, URL and ARN ("Amazon SQS FIFO queues", naming); other queues have none of it."""
    queues = {**STACK.queues, "steps": Queue(fifo=True)}
    resolved = resolve(STACK.model_copy(update={"queues": queues}), DEPLOYMENT)
    assert resolved.name_of("queue", "steps") == "family-steps.fifo"
    assert resolved.queue_url("steps").endswith("/family-steps.fifo")
    assert resolved.arn_of("queue", "steps").endswith(":family-steps.fifo")
    assert resolved.name_of("queue", "deletions") == "family-deletions"


@pytest.mark.parametrize(("kind", "name"), [("queue", "nowhere"), ("bucket", "uploads"), ("planet", "mars")])
def test_what_is_not_described_has_no_name(resolved: ResolvedStack, kind: str, name: str):
    """A misspelt name is an error at once, not an ARN of nothing."""
    with pytest.raises(StackError, match=f"stack.yaml has no {kind} named '{name}'"):
        resolved.arn_of(kind, name)


def test_environments_are_filled_in(resolved: ResolvedStack):
    """Names, ARNs, URLs and the deployment's own addresses."""
    assert resolved.environment("api") == {
        "SHOEBOX_FILES_TABLE": "family-files",
        "SHOEBOX_PERSONAL_BUCKET": "family-personal",
        "SHOEBOX_DELETIONS_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/family-deletions",
        "SHOEBOX_S3_URL": "https://s3.eu-central-1.amazonaws.com",
        "SHOEBOX_S3_PUBLIC_URL": "https://photos.example",
        "SHOEBOX_UPLOADS_VISIBILITY": "360",
    }
    topic = resolved.environment("ingest")["SHOEBOX_FILE_EVENTS_TOPIC_ARN"]
    assert topic == "arn:aws:sns:eu-central-1:123456789012:family-file-events"
    keys_url = resolved.environment("authorizer")["SHOEBOX_KEYS_URL"]
    assert keys_url == "https://s3.eu-central-1.amazonaws.com/family-public/keys"


def test_a_queues_visibility_timeout_can_be_told_to_a_function(resolved: ResolvedStack):
    """How long clients wait follows from the one number in stack.yaml."""
    assert resolved.environment("api")["SHOEBOX_UPLOADS_VISIBILITY"] == "360"
    assert resolved.fill("${queue.deletions.visibility_timeout}") == "180"


def test_text_without_references_is_left_alone(resolved: ResolvedStack):
    """A dollar sign is no reference yet."""
    assert resolved.fill("costs $5 {or} more") == "costs $5 {or} more"


@pytest.mark.parametrize(
    "reference",
    [
        "${queue.nowhere.url}",
        "${place.weather}",
        "${bucket.personal}",
        "${bucket.personal.url}",
        "${queue.uploads.size}",
        "${queue.nowhere.visibility_timeout}",
    ],
)
def test_a_wrong_reference_is_an_error(reference: str):
    """An unknown thing, an unknown attribute, or one that this kind does not have."""
    with pytest.raises(StackError):
        resolve(with_function(environment={"X": reference}), DEPLOYMENT)


def test_a_policy_holds_exactly_the_permissions(resolved: ResolvedStack):
    """One statement a permission: its actions, its resource; a table with its indexes."""
    statements = {s["Resource"][0]: s for s in resolved.policy("cleanup")["Statement"]}
    assert set(statements) == {
        "arn:aws:dynamodb:eu-central-1:123456789012:table/family-files",
        "arn:aws:s3:::family-personal/originals/*",
        "arn:aws:s3:::family-personal",
        "arn:aws:s3:::family-personal/renditions/*",
        "arn:aws:sqs:eu-central-1:123456789012:family-deletions",
    }
    renditions = statements["arn:aws:s3:::family-personal/renditions/*"]
    assert renditions == {
        "Effect": "Allow",
        "Action": ["s3:DeleteObject"],
        "Resource": ["arn:aws:s3:::family-personal/renditions/*"],
    }


def test_a_function_without_permissions_has_an_empty_policy(resolved: ResolvedStack):
    """The authorizer needs nothing from AWS."""
    assert resolved.policy("authorizer")["Statement"] == []


@pytest.mark.parametrize(
    ("permissions", "message"),
    [
        ({"queue/uploads": ["steal"]}, "queue has no permission steal; it has send, consume"),
        ({"queue/nowhere": ["send"]}, "stack.yaml has no queue named 'nowhere'"),
        ({"planet/mars": ["visit"]}, "stack.yaml has no planet named 'mars'"),
        ({"bucket/personal": ["get"]}, "a bucket's permission needs a key pattern"),
        ({"queue/uploads/x": ["send"]}, "others have none"),
    ],
)
def test_a_wrong_permission_is_an_error(permissions: dict[str, list[str]], message: str):
    """The message names the permission and what would be right."""
    (target,) = permissions
    with pytest.raises(StackError, match="permission") as caught:
        resolve(with_function(permissions=permissions), DEPLOYMENT)
    assert target in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("account", ["1234", "12345678901a", ""])
def test_an_account_has_twelve_digits(account: str):
    """Anything else would make ARNs that no policy matches."""
    with pytest.raises(ValueError, match="account"):
        DEPLOYMENT.model_validate({**DEPLOYMENT.model_dump(), "account": account})


def test_two_prefixes_share_nothing():
    """Two copies of a stack can live in one account."""
    one, two = resolve(STACK, DEPLOYMENT), resolve(STACK, DEPLOYMENT.model_copy(update={"prefix": "other"}))
    functions: dict[str, Function] = STACK.functions
    names = [{b.name_of("function", f) for f in functions} | set(b.environment("api").values()) for b in (one, two)]
    shared = {"https://photos.example", "https://s3.eu-central-1.amazonaws.com", "360"}  # addresses, and a time
    assert names[0] & names[1] == shared


def test_every_problem_of_a_stack_is_in_one_message():
    """Unknown references, words that are no permission and bad origins are all listed, each with its place."""
    stack = STACK
    api = stack.functions["api"].model_copy(
        update={
            "environment": {"A": "${foo}", "B": "${place.nope}", "C": "${queue.nope.url}", "D": "${Table.x.name}"},
            "permissions": {"queue/uploads": ["eat"], "table/nope": ["read"]},
        }
    )
    cors = Cors(origins=["${place.nowhere}"], methods=["GET"])
    personal = stack.buckets["personal"].model_copy(update={"cors": cors})
    wrong = stack.model_copy(
        update={"functions": {**stack.functions, "api": api}, "buckets": {**stack.buckets, "personal": personal}}
    )

    with pytest.raises(StackError) as raised:
        resolve(wrong, DEPLOYMENT)

    message = str(raised.value)
    assert len(message.splitlines()) == 8
    for part in ("environment.A", "${place.nope}", "queue named", "Table", "eat", "table named", "personal.cors"):
        assert part in message
