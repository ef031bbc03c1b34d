"""The messages between fleet and host: lines of JSON in the response to one POST that lasts as long as both.

`POST /.hosts/{function}` joins; the response is a `JoinResponse`, then commands.
`POST /.hosts/{function}/{identity}/exit` reports how the process ended. Either side ends the environment by closing
the connection.
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
    """What the fleet sends a host after the join response."""

    READY = "ready"  # the process has polled for its first invocation
    STOP = "stop"  # end the process with SIGTERM

    def to_line(self) -> bytes:
        """Return it as a line."""
        return orjson.dumps({"command": self}) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """Read it from a line."""
        return cls(orjson.loads(line)["command"])


@dataclass(frozen=True, slots=True)
class JoinResponse:
    """All that a host needs to start the environment `identity`; its process has `stop_seconds` to end."""

    identity: str
    function: FunctionSpec
    credentials: Credentials
    region: str
    endpoint_url: str | None
    environment: Mapping[str, str]
    stop_seconds: float

    def to_line(self) -> bytes:
        """Return it as a line."""
        return orjson.dumps(self) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        """Read it from a line.

        Raises:
            ValueError: the line is none of this version of Shoebox.
        """
        try:
            content: dict[str, Any] = orjson.loads(line)
            content["function"] = FunctionSpec.of_json(content["function"])
            content["credentials"] = Credentials(**content["credentials"])
            return cls(**content)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a join response of this version of Shoebox: {error}") from error
