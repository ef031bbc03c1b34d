"""Whatever the arguments, the streams and the terminal are: no traceback, and an exit code of the table."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from command import shoebox
from hypothesis import given
from hypothesis import strategies as st
from upload_service import Service

from console.exits import Exit
from console.options import address, count, finite, seconds
from shoebox_cli.app import app

SECRET = "eyJhbGciOi.c2VjcmV0.c2VjcmV0"
NUMBERS = ["-1", "nan", "inf"]
TEXTS = ["http://[::1\udcff[/red]", "/dev/null/" + "x" * 5000]
WORKING: dict[tuple[str, ...], list[str]] = {
    ("upload",): ["photos", "--dry-run"],
    ("files", "list"): [],
    ("files", "show"): ["f"],
    ("files", "delete"): ["f", "--yes"],
    ("token", "mint"): [],
    ("queues", "list"): [],
    ("queues", "redrive"): ["uploads-dead"],
    ("quotas",): [],
    ("quotas", "plan"): ["--uploads-per-day", "1k"],
    ("simulate",): ["--uploads-per-day", "1", "--stack", "missing.yaml"],
    ("up",): ["--stack", "missing.yaml"],
    ("fleet",): [],
    ("provision",): [],
}
"""Arguments with which each command ends at once, without a service; the others start containers, a stack or a host."""


def options() -> Iterator[Any]:
    """Each option of each command that takes a value, with wrong values of its kind."""
    for path, arguments in WORKING.items():
        command: Any = typer.main.get_command(app)
        for name in path:
            command = command.commands[name]
        for option in command.params:
            if option.param_type_name == "option" and not option.is_flag:
                values = NUMBERS if option.type_descriptor.annotation in {int, float} else TEXTS
                yield pytest.param([*path, *arguments, option.opts[0]], values, id=" ".join([*path, option.opts[0]]))


@pytest.mark.parametrize(("command", "values"), [*options()])
async def test_no_value_of_an_option_ends_in_a_traceback(
    command: list[str], values: list[str], service: Service, tmp_path: Path
) -> None:
    """Numbers that are none or too large, broken addresses, paths and text: a sentence, and a code of the table."""
    (tmp_path / "photos").mkdir()
    for value in values:
        env = {"SHOEBOX_URL": service.url, "SHOEBOX_TOKEN": SECRET}
        ended = await shoebox(*command, value, folder=tmp_path, env=env)

        assert ended.code in set(Exit), (value, ended.stderr)
        assert "Traceback" not in ended.stderr
        assert SECRET not in ended.stdout + ended.stderr
        assert ended.code == 0 or ended.stderr.strip(), value
        assert ended.code == Exit.USAGE or value not in NUMBERS, value


@pytest.mark.parametrize("parse", [address, count, seconds])
@given(
    text=st.text(max_size=30) | st.builds("{}://{}".format, st.sampled_from(["http", "https"]), st.text(max_size=20))
)
def test_parsers_refuse_or_return(parse: Any, text: str) -> None:
    """Every text is a value or wrong usage."""
    with contextlib.suppress(typer.BadParameter):
        assert parse(text) is not None


@given(st.floats())
def test_numbers_are_finite(value: float) -> None:
    """What is taken can be counted with; nan, infinity and what is beyond the bound are refused."""
    if abs(value) <= 1_000_000:
        assert finite(value) == value
    else:
        with pytest.raises(typer.BadParameter, match="at most 1,000,000"):
            finite(value)


@pytest.mark.parametrize("text", ["http://anna:hunter2@127.0.0.1:1", "https://hunter2@x"])
async def test_a_password_in_an_address_is_refused_and_not_shown(text: str, tmp_path: Path) -> None:
    """Addresses are told in messages."""
    ended = await shoebox("files", "list", "--url", text, folder=tmp_path)

    assert (ended.code, "no user and password" in ended.stderr) == (2, True)
    assert "hunter2" not in ended.stderr


@pytest.mark.parametrize("token", ["a\nb", "\udcff", "é", "[/red]", "", "x" * 20_000])
async def test_a_token_that_is_none_is_refused_and_not_shown(service: Service, token: str, tmp_path: Path) -> None:
    """What no header can carry is no token; nothing of it is repeated."""
    ended = await shoebox("files", "list", "--token", token, folder=tmp_path, env={"SHOEBOX_URL": service.url})

    assert ended.code == Exit.NOT_ALLOWED, ended.stderr
    assert len(token) < 2 or token not in ended.stderr
