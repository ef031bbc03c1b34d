"""What a load run is told beside Locust's own options (the gateway's address is `--host`, or LOCUST_HOST)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from shoebox.config import Settings


class LoadSettings(Settings):
    """Whose photos are uploaded, what they are like, and how long a phone waits for them.

    `s3_url` is where presigned URLs are sent when their own address is out of reach from here, as inside a container;
    their signature holds, since the Host header stays. Seeds are the pictures' own: the same ones, the same pictures.
    """

    tenant: str = Field(default="demo", alias="SHOEBOX_TENANT")
    key: Path = Field(default=Path(".shoebox/keys/demo.pem"), alias="SHOEBOX_KEY")
    s3_url: str | None = Field(default=None, alias="SHOEBOX_LOAD_S3_URL", pattern=r"^https?://")
    photos: int = Field(default=3, alias="SHOEBOX_LOAD_PHOTOS", ge=1, le=100)  # in one upload
    photo_bytes: int = Field(default=400_000, alias="SHOEBOX_LOAD_PHOTO_BYTES", ge=20_000)
    width: int = Field(default=1600, alias="SHOEBOX_LOAD_WIDTH", ge=16, le=30_000)
    height: int = Field(default=1200, alias="SHOEBOX_LOAD_HEIGHT", ge=16, le=30_000)
    pictures: int = Field(default=8, alias="SHOEBOX_LOAD_PICTURES", ge=1)  # different ones, made before the run
    poll_seconds: float = Field(default=0.5, alias="SHOEBOX_LOAD_POLL_SECONDS", gt=0)
    patience_seconds: float = Field(default=60.0, alias="SHOEBOX_LOAD_PATIENCE_SECONDS", gt=0)
