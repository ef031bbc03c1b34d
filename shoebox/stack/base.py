"""The base of all models of stack.yaml, which refuses unknown keys, and the patterns of names."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME_PATTERN = r"^[a-z][a-z0-9-]{1,40}$"
HANDLER_PATTERN = r"^[A-Za-z_][\w.]*\.[A-Za-z_]\w*$"

Name = Annotated[str, Field(pattern=NAME_PATTERN)]


class StackModel(BaseModel):
    """Base of the models of stack.yaml: frozen; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def s3_queue(function: str) -> str:
    """Return the name of the queue through which an emulator's S3 reaches a function that a bucket notifies directly.

    AWS needs none. It is created by `shoebox.stack.s3_queues` and consumed by `fleet.queues.s3_delivery`.
    """
    return f"s3-to-{function}"
