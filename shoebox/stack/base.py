"""What all parts of the model of stack.yaml share: names, and a base that refuses unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME_PATTERN = r"^[a-z][a-z0-9-]{1,40}$"
HANDLER_PATTERN = r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]


class StackModel(BaseModel):
    """A part of the description: frozen, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def s3_queue(function: str) -> str:
    """Return the name of the queue through which an emulator's S3 reaches a function that a bucket notifies directly.

    AWS needs none. Who plays both: shoebox/stack/s3_queues.py and fleet/queues/s3_delivery.py.
    """
    return f"s3-to-{function}"
