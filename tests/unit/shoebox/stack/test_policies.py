"""The words of permissions and the IAM actions that they stand for."""

import pytest

from shoebox.stack.policies import Grant, statements

QUEUE = "arn:aws:sqs:us-east-1:000000000000:shoebox-uploads"
BUCKET = "arn:aws:s3:::shoebox-personal"
TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/shoebox-files"


def actions(grant: Grant) -> set[str]:
    """All actions of a grant's statements."""
    return {action for statement in statements(grant) for action in statement["Action"]}


def test_consuming_is_what_an_event_source_mapping_does():
    """Receive, delete, hide, and count; never send."""
    consume = actions(Grant("queue", QUEUE, "", ("consume",)))
    assert {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"} <= consume
    assert not any(action.startswith("sqs:SendMessage") for action in consume)


def test_reading_a_table_covers_its_indexes():
    """A query on an index is asked for on the index's own ARN."""
    (statement,) = statements(Grant("table", TABLE, "", ("read",)))
    assert statement["Resource"] == [TABLE, f"{TABLE}/index/*"]


def test_nobody_may_scan_a_table():
    """No word stands for it: a scan on a request's path reads everyone's files."""
    everything = actions(Grant("table", TABLE, "", ("read", "write")))
    assert "dynamodb:Scan" not in everything
    assert not any("*" in action for action in everything)


def test_a_buckets_grant_is_narrowed_to_its_keys():
    """Get on originals says nothing about renditions."""
    (statement,) = statements(Grant("bucket", BUCKET, "originals/*", ("get",)))
    assert statement == {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"{BUCKET}/originals/*"]}


def test_words_add_up():
    """Two words give the actions of both."""
    both = actions(Grant("bucket", BUCKET, "x/*", ("get", "delete")))
    assert both == {"s3:GetObject", "s3:DeleteObject"}


def test_listing_is_a_right_on_the_bucket_for_some_of_its_keys():
    """s3:ListBucket names no keys; a condition on the prefix does."""
    reading, listing = statements(Grant("bucket", BUCKET, "originals/*", ("get", "list")))
    assert reading == {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": [f"{BUCKET}/originals/*"]}
    assert listing == {
        "Effect": "Allow",
        "Action": ["s3:ListBucket"],
        "Resource": [BUCKET],
        "Condition": {"StringLike": {"s3:prefix": ["originals/*"]}},
    }


@pytest.mark.parametrize(
    ("grant", "message"),
    [
        (("queue", QUEUE, "", ("get",)), "queue has no permission get; it has send, consume"),
        (("topic", QUEUE, "", ("send", "shout")), "topic has no permission send, shout; it has publish"),
        (("planet", QUEUE, "", ("visit",)), "planet has no permission visit"),
        (("bucket", BUCKET, "", ("get",)), "a bucket's permission needs a key pattern"),
        (("table", TABLE, "x/*", ("read",)), "others have none"),
    ],
)
def test_a_wrong_grant_cannot_be_made(grant: tuple[str, str, str, tuple[str, ...]], message: str):
    """The message says which words there are."""
    with pytest.raises(ValueError, match=message):
        Grant(*grant)
