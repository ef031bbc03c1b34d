"""The errors that a stack may end with, each as one message with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from console.exits import CliError, Exit


class _Advice(NamedTuple):
    hint: str
    message: str = "{error}"
    exit_code: Exit = Exit.LOCAL


@contextmanager
def user_facing_errors() -> Iterator[None]:
    """Turn the errors that starting and running a stack may end with into the end of a command.

    Raises:
        CliError: instead, with the exit code for this machine's set-up, or for wrong usage.
    """
    try:
        yield
    except Exception as error:
        for kind, advice in _advice():
            if isinstance(error, kind):
                name = getattr(error, "name", "")
                message = advice.message.format(error=error, name=name)
                raise CliError(message, hint=advice.hint, exit_code=advice.exit_code) from error
        raise


def _advice() -> Iterator[tuple[type[Exception], _Advice]]:
    """Yield advice by kind of error, the more special ones first."""
    from emulator.data_folder import DataFolderError
    from emulator.embedded import EmulatorDied, EmulatorError, NoRoomToStart, StateNotSaved, StateUnreadable
    from emulator.provision import ProvisionError
    from emulator.watchdog import EmulatorUnreachable
    from fleet.http.ports import PortTaken
    from fleet.limits.quotas import QuotasError
    from shoebox.config import ConfigError
    from shoebox.stack.model import StackError
    from shoebox.tenants.keys import KeyFileError

    yield PortTaken, _Advice("Or let every port be a free one: shoebox up --free-ports")
    yield DataFolderError, _Advice("Another folder: --data OTHER --free-ports")
    yield (
        QuotasError,
        _Advice("Look at the numbers with: shoebox quotas --quotas aws/100", exit_code=Exit.USAGE),
    )
    yield EmulatorDied, _Advice("Start again: shoebox up. Should it die again, look with: shoebox doctor")
    yield (
        StateNotSaved,
        _Advice("Make room on the disk (shoebox doctor). What was saved before is kept; what came since then is lost."),
    )
    yield (
        StateUnreadable,
        _Advice("Nothing was changed. Copy the folder before any repair, or begin elsewhere: shoebox up --data OTHER"),
    )
    yield NoRoomToStart, _Advice("Nothing was changed. Make room on the disk (shoebox doctor), then start again.")
    yield EmulatorError, _Advice("Look what is missing: shoebox doctor. Or begin elsewhere: shoebox up --data OTHER")
    yield EmulatorUnreachable, _Advice("Start it, or name its address with --endpoint-url or AWS_ENDPOINT_URL.")
    yield (
        ProvisionError,
        _Advice(
            "Begin elsewhere: shoebox up --data OTHER; or, without the stored photos: shoebox up --fresh",
            "The stack could not be created: {error}",
        ),
    )
    yield StackError, _Advice("Correct it, then look with: shoebox doctor")
    yield ConfigError, _Advice("Correct it, then look with: shoebox doctor")
    yield KeyFileError, _Advice("Or move it away; a new one is made.")
    yield (
        PermissionError,
        _Advice("Choose ports from 1024 on, and a folder that you may write.", "Not permitted: {error}"),
    )
    yield ModuleNotFoundError, _Advice("Set the environment up: ./run setup", "A part is missing: {name}.")
