"""The settings of a load run: each an environment variable, so that Locust's own command, its workers and containers
take them in the same way. `./run load` sets them from its options.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BeforeValidator, Field

from console.options import count, seconds
from load_tests.photos import MIXES
from shoebox.config import Settings


def _known_mix(name: Any) -> Any:
    if name is not None and name not in MIXES:
        raise ValueError(f"{name!r} is no mix of photos; there are {', '.join(MIXES)}")
    return name


def _parsed(parse: Callable[[str], float]) -> Callable[[Any], Any]:
    """Return a validator that reads text as the command line does."""

    def value(text: Any) -> Any:
        try:
            return parse(text) if isinstance(text, str) else text
        except typer.BadParameter as error:
            raise ValueError(str(error)) from error

    return value


def _split(text: Any) -> Any:
    return text.split() if isinstance(text, str) else text


Count = Annotated[float, BeforeValidator(_parsed(count))]
Time = Annotated[float, BeforeValidator(_parsed(seconds))]


class LoadSettings(Settings):
    """Which scenario, how large, against what, and where its results go. None: the scenario's own.

    `scale` divides the load; 0: so that it fits into `max_rate`, the photos a second that the machine does. `quotas`
    only says what limits the stack keeps. `control_url` is the fleet's control port, without which only the phones are
    seen; `stack_pid` is the process whose children are measured. `stack_name` and `stack_note` say for the report which
    stack it is, and what was changed in it. `folder` is this run's; without it one is made in `results`. `s3_url` is
    where presigned URLs are sent when their own address is out of reach from here, as inside a container.
    """

    scenario: str = Field(default="smoke", alias="SHOEBOX_LOAD_SCENARIO")
    uploads_per_day: Count | None = Field(default=None, alias="SHOEBOX_UPLOADS_PER_DAY", gt=0)
    seconds: Time | None = Field(default=None, alias="SHOEBOX_LOAD_SECONDS", gt=0, le=7 * 86_400)
    scale: float = Field(default=0, alias="SHOEBOX_LOAD_SCALE", ge=0)
    max_rate: float | None = Field(default=None, alias="SHOEBOX_LOAD_MOST", gt=0)
    mix: Annotated[str | None, BeforeValidator(_known_mix)] = Field(default=None, alias="SHOEBOX_LOAD_PHOTOS")
    seed: int = Field(default=1, alias="SHOEBOX_LOAD_SEED", ge=0)
    thresholds: Annotated[list[str] | None, BeforeValidator(_split)] = Field(
        default=None, alias="SHOEBOX_LOAD_THRESHOLDS"
    )
    drain_seconds: Time = Field(default=120, alias="SHOEBOX_LOAD_DRAIN_SECONDS", ge=1)
    poll_seconds: float = Field(default=1.0, alias="SHOEBOX_LOAD_POLL_SECONDS", gt=0)
    tenant: str = Field(default="demo", alias="SHOEBOX_TENANT")
    key: Path = Field(default=Path(".shoebox/keys/demo.pem"), alias="SHOEBOX_KEY")
    s3_url: str | None = Field(default=None, alias="SHOEBOX_LOAD_S3_URL", pattern=r"^https?://")
    control_url: str | None = Field(default=None, alias="SHOEBOX_CONTROL_URL", pattern=r"^https?://")
    stack_pid: int | None = Field(default=None, alias="SHOEBOX_LOAD_STACK_PID", gt=1)
    stack_name: str = Field(default="", alias="SHOEBOX_LOAD_STACK_NAME")
    quotas: str = Field(default="aws", alias="SHOEBOX_QUOTAS")
    stack_note: str = Field(default="", alias="SHOEBOX_LOAD_STACK_NOTE")
    results: Path = Field(default=Path("load_results"), alias="SHOEBOX_LOAD_RESULTS")
    folder: Path | None = Field(default=None, alias="SHOEBOX_LOAD_FOLDER")

    def environment(self) -> dict[str, str]:
        """Return the environment variables that `from_environment` reads as these settings."""
        values = self.model_dump(by_alias=True, exclude_none=True)
        return {name: _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    """Return a setting as text: lists as words, whole numbers without a point, as the command line takes them."""
    if isinstance(value, list):
        return " ".join(value)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
