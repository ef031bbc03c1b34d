"""The words of a permission in stack.yaml, and the IAM actions behind each.

A function gets a role with exactly these actions (least privilege). A new word is a line of
`_ACTIONS`, and one of docs/reference/stack.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_ACTIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "table": {
        "read": ("dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query"),
        "write": (
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
            "dynamodb:ConditionCheckItem",
        ),
    },
    "bucket": {
        "get": ("s3:GetObject",),
        "put": ("s3:PutObject",),
        "delete": ("s3:DeleteObject",),
        "list": ("s3:ListBucket",),
        "multipart": ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
    },
    "queue": {
        "send": ("sqs:SendMessage",),
        "consume": (
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
            "sqs:GetQueueAttributes",
        ),
    },
    "topic": {"publish": ("sns:Publish",)},
}

# IAM knows these actions on a bucket, not on its keys; a condition on the prefix narrows them to the pattern.
_BUCKET_ACTIONS = frozenset({"s3:ListBucket"})


@dataclass(frozen=True, slots=True)
class Grant:
    """Some actions on one resource; `keys` narrows a bucket to a key pattern such as `originals/*`.

    Raises:
        ValueError: an action is not a word of this kind of resource, or a bucket lacks its key pattern.
    """

    kind: str
    arn: str
    keys: str
    actions: tuple[str, ...]

    def __post_init__(self) -> None:
        words = _ACTIONS.get(self.kind, {})
        unknown = [action for action in self.actions if action not in words]
        if unknown:
            raise ValueError(f"{self.kind} has no permission {', '.join(unknown)}; it has {', '.join(words)}")
        if (self.kind == "bucket") != bool(self.keys):
            raise ValueError(
                "a bucket's permission needs a key pattern, such as bucket/personal/originals/*; others have none"
            )


def statements(grant: Grant) -> list[dict[str, Any]]:
    """Return IAM policy statements for a grant; a table's cover its indexes too.

    With `list` a missing key of a bucket is 404, without it 403 ("GetObject", Amazon S3 API Reference): a reader that
    must tell the two apart needs it.
    """
    actions = [action for word in grant.actions for action in _ACTIONS[grant.kind][word]]
    on_resource = [action for action in actions if action not in _BUCKET_ACTIONS]
    on_bucket = [action for action in actions if action in _BUCKET_ACTIONS]
    resources = [f"{grant.arn}/{grant.keys}"] if grant.kind == "bucket" else [grant.arn]
    if grant.kind == "table":
        resources.append(f"{grant.arn}/index/*")
    found: list[dict[str, Any]] = []
    if on_resource:
        found.append({"Effect": "Allow", "Action": on_resource, "Resource": resources})
    if on_bucket:
        condition = {"StringLike": {"s3:prefix": [grant.keys]}}
        found.append({"Effect": "Allow", "Action": on_bucket, "Resource": [grant.arn], "Condition": condition})
    return found
