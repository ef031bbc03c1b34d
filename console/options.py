"""Options that several commands share. Each is an environment variable, too."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

_OUTPUT = "Output"
_SERVICE = "Service"
_MAX_NUMBER = 1_000_000
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def address(text: str) -> str:
    """Return an address that a client accepts, for an option's `parser`."""
    if "@" in text:  # it would be shown in messages, and kept in shells' histories
        raise typer.BadParameter("An address here has no user and password; name a token with --token.")
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # brackets without an IPv6 address, a port that is none
        good = False
    if not good or " " in text or not text.isprintable():
        raise typer.BadParameter(f"{text!r} is no address; write it like http://127.0.0.1:8080.")
    return text


def finite(value: float) -> float:
    """Return a finite number, for an option's `callback`: Python takes nan and inf for numbers, too."""
    if not math.isfinite(value) or abs(value) > _MAX_NUMBER:
        raise typer.BadParameter(f"Write a number of at most {_MAX_NUMBER:,}.")
    return value


Json = Annotated[
    bool,
    typer.Option("--json", envvar="SHOEBOX_JSON", help="Write one JSON document to stdout.", rich_help_panel=_OUTPUT),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", envvar="SHOEBOX_QUIET", help="Say nothing but errors and data.", rich_help_panel=_OUTPUT
    ),
]
NoProgress = Annotated[
    bool,
    typer.Option("--no-progress", envvar="SHOEBOX_NO_PROGRESS", help="Show no progress.", rich_help_panel=_OUTPUT),
]
Url = Annotated[
    str | None,
    typer.Option(
        parser=address,
        envvar="SHOEBOX_URL",
        metavar="URL",
        help="Address of the service. Else: the running local stack, or http://127.0.0.1:8080.",
        rich_help_panel=_SERVICE,
        show_default=False,
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        envvar="SHOEBOX_TOKEN",
        metavar="JWT",
        help="Token of a user. Else, on this machine: one for the demo tenant's user `you`.",
        rich_help_panel=_SERVICE,
        show_default=False,
    ),
]
Data = Annotated[
    Path,
    typer.Option(
        envvar="SHOEBOX_DATA",
        metavar="FOLDER",
        help="Folder of the local stack: its data, keys and logs.",
        rich_help_panel="Local stack",
    ),
]
Port = Annotated[
    int,
    typer.Option(
        min=0,
        max=65_535,
        envvar="SHOEBOX_PORT",
        help="Port of the gateway; 0: any free one.",
        rich_help_panel="Local stack",
    ),
]
EmulatorPort = Annotated[
    int,
    typer.Option(
        min=0,
        max=65_535,
        envvar="SHOEBOX_EMULATOR_PORT",
        help="Port of the AWS emulator; 0: any free one.",
        rich_help_panel="Local stack",
    ),
]
ControlPort = Annotated[
    int,
    typer.Option(
        min=0,
        max=65_535,
        envvar="SHOEBOX_CONTROL_PORT",
        help="Port of Invoke and /metrics; 0: any free one.",
        rich_help_panel="Local stack",
    ),
]
RuntimePort = Annotated[
    int,
    typer.Option(
        min=0,
        max=65_535,
        envvar="SHOEBOX_RUNTIME_PORT",
        help="Port where hosts join with environments of their own; 0: any free one.",
        rich_help_panel="Local stack",
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint-url",
        parser=address,
        envvar="AWS_ENDPOINT_URL",
        metavar="URL",
        help="An AWS emulator that runs already, such as LocalStack.",
        rich_help_panel="Local stack",
        show_default=False,
    ),
]
GatewayUrl = Annotated[
    str | None,
    typer.Option(
        parser=address,
        envvar="SHOEBOX_GATEWAY_URL",
        metavar="URL",
        help="Address of the gateway as browsers see it; S3 lets its pages upload.",
        rich_help_panel="Local stack",
        show_default=False,
    ),
]
S3PublicUrl = Annotated[
    str | None,
    typer.Option(
        "--s3-public-url",
        parser=address,
        envvar="SHOEBOX_S3_PUBLIC_URL",
        metavar="URL",
        help="Address of S3 as clients see it, where it is not the endpoint's.",
        rich_help_panel="Local stack",
        show_default=False,
    ),
]
Bind = Annotated[
    str,
    typer.Option(
        envvar="SHOEBOX_BIND",
        metavar="ADDRESS",
        help="Address to open ports on; in a container 0.0.0.0.",
        rich_help_panel="Local stack",
    ),
]
StackFile = Annotated[
    Path | None,
    typer.Option(
        "--stack",
        envvar="SHOEBOX_STACK",
        metavar="FILE",
        show_default=False,
        help="Description of the stack. Else: stack.yaml here, or Shoebox's own.",
        rich_help_panel="Local stack",
    ),
]
Quotas = Annotated[
    str,
    typer.Option(
        "--quotas",
        envvar="SHOEBOX_QUOTAS",
        metavar="aws|aws/N|off|FILE",
        help="AWS's limits to keep: as they are, divided by N, none, or changed by a YAML file.",
        rich_help_panel="Local stack",
    ),
]
LimiterPort = Annotated[
    int,
    typer.Option(
        min=0,
        max=65_535,
        envvar="SHOEBOX_LIMITER_PORT",
        help="Port where DynamoDB's and S3's quotas are kept for functions; 0: any free one.",
        rich_help_panel="Local stack",
    ),
]
LimiterUrl = Annotated[
    str | None,
    typer.Option(
        parser=address,
        envvar="SHOEBOX_LIMITER_URL",
        metavar="URL",
        help="Address of that port as functions on other machines see it; else they go to the emulator itself.",
        rich_help_panel="Local stack",
        show_default=False,
    ),
]
DATA = Path(".shoebox")


def seconds(text: str) -> int:
    """Return the seconds that a time like 90, 30s, 15m, 12h or 1d says, for an option's `parser`."""
    found = re.fullmatch(r"(\d{1,9})([smhd]?)", text.strip().lower())
    if not found:
        raise typer.BadParameter(f"{text!r} is no time; write it like 90, 30s, 15m, 12h or 1d.")
    return int(found[1]) * _UNITS[found[2]]


def count(text: str) -> float:
    """Return the number that 500, 500k, 2.5M or 10M says, for an option's `parser`; 1 or more."""
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([kM]?)", text.strip())
    number = float(found[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[found[2]] if found else 0
    if number < 1:
        raise typer.BadParameter(f"{text!r} is no count; write it like 500, 500k, 2.5M or 10M.")
    return number
