"""Settings: read from the environment once, at a program's entry, into frozen models; one for each function.

A wrong or missing variable is reported with all the others, by name.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

VISIBILITY_SECONDS = 20
"""How long a function hides its messages at their first receive, unless its settings say otherwise."""


class ConfigError(ValueError):
    """Settings are missing or wrong; the message lists every variable with what it needs."""


class Settings(BaseModel):
    """Base of the settings models; each field's alias is its environment variable."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, extra="ignore")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the model from environment variables.

        Raises:
            ConfigError: with a line for each variable that is missing or malformed.
        """
        values = os.environ if environ is None else environ
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            lines = [f"  {e['loc'][0]}: {e['msg']}" for e in error.errors()]
            raise ConfigError("These settings are missing or wrong:\n" + "\n".join(lines)) from error


class AwsSettings(Settings):
    """Where AWS is; credentials come from the environment in AWS's own variables."""

    region: str = Field(default="us-east-1", alias="AWS_REGION")
    endpoint_url: str | None = Field(default=None, alias="AWS_ENDPOINT_URL")


def environment_without_aws() -> dict[str, str]:
    """Return this process's environment for one that must not reach AWS: no keys, no Runtime API."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "_"))}


# Decoders of these hold so much a pixel that more would not fit into the function's memory (docs/reference/limits.md).
_MAX_PIXELS_BY_TYPE = {
    "image/webp": 60_000_000,
    "image/heic": 85_000_000,
    "image/heif": 85_000_000,
    "image/avif": 70_000_000,
}


class Limits(Settings):
    """What a picture may be. Compared with others in docs/reference/limits.md."""

    max_bytes: int = Field(default=100 * 1024 * 1024, alias="SHOEBOX_MAX_BYTES", gt=0)
    max_pixels: int = Field(default=100_000_000, alias="SHOEBOX_MAX_PIXELS", gt=0)
    max_side: int = Field(default=30_000, alias="SHOEBOX_MAX_SIDE", gt=0)
    max_batch: int = Field(default=100, alias="SHOEBOX_MAX_BATCH", ge=1, le=100)
    multipart_from: int = Field(default=16 * 1024 * 1024, alias="SHOEBOX_MULTIPART_FROM", ge=5 * 1024 * 1024)
    part_bytes: int = Field(default=8 * 1024 * 1024, alias="SHOEBOX_PART_BYTES", ge=5 * 1024 * 1024)

    @property
    def max_pixels_by_type(self) -> dict[str, int]:
        """The media types that may have fewer pixels than `max_pixels`."""
        return {kind: pixels for kind, pixels in _MAX_PIXELS_BY_TYPE.items() if pixels < self.max_pixels}


class FilesSettings(Settings):
    """What each function of the files service needs; stack.yaml sets it. Times in seconds, here and below."""

    files_table: str = Field(alias="SHOEBOX_FILES_TABLE")
    personal_bucket: str = Field(alias="SHOEBOX_PERSONAL_BUCKET")
    s3_url: str = Field(alias="SHOEBOX_S3_URL", pattern=r"^https?://")


class ApiSettings(FilesSettings):
    """What the function `api` needs. `uploads_visibility` is the visibility timeout of the queue of uploads."""

    deletions_queue_url: str = Field(alias="SHOEBOX_DELETIONS_QUEUE_URL")
    s3_public_url: str = Field(alias="SHOEBOX_S3_PUBLIC_URL", pattern=r"^https?://")
    upload_seconds: int = Field(default=3600, alias="SHOEBOX_UPLOAD_SECONDS", ge=60, le=43_200)
    download_seconds: int = Field(default=3600, alias="SHOEBOX_DOWNLOAD_SECONDS", ge=60, le=43_200)
    registration_seconds: int = Field(default=86_400, alias="SHOEBOX_REGISTRATION_SECONDS", ge=60)
    uploads_visibility: int = Field(default=360, alias="SHOEBOX_UPLOADS_VISIBILITY", ge=1, le=43_200)

    @property
    def ingest_seconds(self) -> int:
        """How long ingest may work on a photo.

        A queue's visibility timeout is at least six times its function's timeout: `./run check` holds stack.yaml to
        that ("Using Lambda with Amazon SQS").
        """
        return self.uploads_visibility // 6

    @property
    def wait_seconds(self) -> int:
        """How long a client waits for news of stored files before it gives up.

        A photo whose worker died comes back within its queue's visibility timeout; its turn and its work, which have
        a sixth of that at most, may take as long again.
        """
        return 2 * self.uploads_visibility


class ConsumerSettings(Settings):
    """What any function behind a queue may be told.

    `visibility_seconds` is how long it hides its messages at their first receive, 0 for their queue's own timeout
    (`workers.heartbeat`).
    """

    visibility_seconds: int = Field(default=VISIBILITY_SECONDS, alias="SHOEBOX_VISIBILITY_SECONDS", ge=0, le=43_200)


class IngestSettings(FilesSettings):
    """What the function `ingest` needs. `render_memory` is in bytes, for all photos that are rendered at one time."""

    deletions_queue_url: str = Field(alias="SHOEBOX_DELETIONS_QUEUE_URL")
    file_events_topic_arn: str = Field(alias="SHOEBOX_FILE_EVENTS_TOPIC_ARN")
    pictures_at_once: int = Field(default=10, alias="SHOEBOX_PICTURES_AT_ONCE", ge=1)
    render_memory: int = Field(default=1_350_000_000, alias="SHOEBOX_RENDER_MEMORY", gt=0)


class CleanupSettings(FilesSettings):
    """What the function `cleanup` needs."""


class AuthorizerSettings(Settings):
    """What the function `authorizer` needs: the tenants' public keys are at `{keys_url}/{tenant}.json`.

    Each is a JWKS (RFC 7517), held for `keys_ttl` seconds.
    """

    keys_url: str = Field(alias="SHOEBOX_KEYS_URL", pattern=r"^https?://")
    keys_ttl: int = Field(default=300, alias="SHOEBOX_KEYS_TTL", ge=0)
