"""What fleet and host say to each other: a line of JSON each, on the answer to one POST that lasts as long as both.

`POST /.hosts/{function}` joins; the answer is a `Welcome`, then words. `POST /.hosts/{function}/{identity}/exit` tells
how the process ended. Whoever closes the connection has said that it is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

import orjson

from fleet.functions import FunctionSpec
from shoebox.aws.credentials import Credentials

PREFIX = "/.hosts/"


class Command(StrEnum):
    """What the fleet tells a host after the welcome."""

    READY = "ready"  # the process has asked for its first invocation
    STOP = "stop"  # end the process in good order


@dataclass(frozen=True, slots=True)
class JoinResponse:
    """All that a host needs to start the environment `identity`; `stop_seconds` is what its end may take."""

    identity: str
    function: FunctionSpec
    credentials: Credentials
    region: str
    endpoint_url: str | None
    environment: Mapping[str, str]
    stop_seconds: float

    def encode(self) -> bytes:
        """As a line."""
        return orjson.dumps(self) + b"\n"

    @classmethod
    def decode(cls, line: bytes) -> Self:
        """From a line.

        Raises:
            ValueError: it is no welcome.
        """
        try:
            content: dict[str, Any] = orjson.loads(line)
            content["function"] = FunctionSpec.of_json(content["function"])
            content["credentials"] = Credentials(**content["credentials"])
            return cls(**content)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a welcome of this version of Shoebox: {error}") from error
