"""Starts the local stack for `up` and `demo`: shows each step, publishes the demo tenant's key, explains failures."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shoebox
from shoebox.cli.access import TENANT, USER, mint
from shoebox.cli.exits import CliError, Exit
from shoebox.cli.folder import DataFolder
from shoebox.cli.output import Output

if TYPE_CHECKING:
    from fleet.local import Local, LocalSettings
    from shoebox.cli.errorline import ErrorLine

ROOT = Path(shoebox.__file__).parents[1]


def stack_file() -> Path:
    """`stack.yaml` here, or else Shoebox's own."""
    here = Path("stack.yaml")
    return here if here.exists() else ROOT / "stack.yaml"


@asynccontextmanager
async def started(
    settings: LocalSettings, folder: DataFolder, output: Output, errors: ErrorLine
) -> AsyncIterator[Local]:
    """The stack, from its first step to the end of the block.

    Raises:
        CliError: it cannot start, or its emulator died: one message, with what to do.
    """
    from fleet.local import Local as Stack

    with explained(), Steps(output) as steps:
        key = _demo_key(folder)
        errors.log_to(folder.log)
        steps.begin("Starting the AWS emulator and creating what stack.yaml describes")
        async with Stack.start(settings, _publishing(key, steps), on_line=errors.line) as local:
            steps.done(f"{len(local.fleet.pools)} functions and the gateway")
            yield local


def addresses(local: Local, folder: DataFolder) -> dict[str, Any]:
    """What is where, with a token for the demo tenant's user."""
    import os

    token = mint(folder.key_file(TENANT), TENANT, USER)
    gateway, control = local.fleet.gateway_url, local.fleet.runtime_url
    return {
        "url": gateway,
        "gallery": f"{gateway}/#token={token}",
        "docs": f"{gateway}/docs",
        "metrics": f"{control}/metrics",
        "control": control,
        "emulator": local.emulator.url,
        "token": token,
        "data": str(local.folder),
        "logs": str(local.folder / "logs"),
        "pid": os.getpid(),
        "emulator_pid": local.emulator.pid,
        "seconds": local.seconds,
    }


class Steps:
    """Shows the steps of a start on stderr: the one that runs, and each one's time when it is done."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._open = ExitStack()
        self._began = 0.0

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._open.close()

    def begin(self, text: str) -> None:
        """A step begins."""
        self._open.close()
        self._began = time.monotonic()
        if not self._output.progress:
            return
        if self._output.talk.is_terminal:
            self._open.enter_context(self._output.talk.status(f"{text} …"))
        else:
            self._output.say(f"… {text}")

    def done(self, text: str, seconds: float | None = None) -> None:
        """It is done."""
        self._open.close()
        taken = time.monotonic() - self._began if seconds is None else seconds
        self._output.say(f"[green]✓[/green] {text} [dim]{taken:.1f} s[/dim]")


@contextmanager
def explained() -> Iterator[None]:
    """Turns what can go wrong with a local stack into one message with what to do.

    Raises:
        CliError: instead.
    """
    from fleet.data_folder import DataFolderError
    from fleet.emulator import EmulatorDied, EmulatorError
    from fleet.http.ports import PortTaken
    from fleet.provision import Problem
    from shoebox.config import ConfigError
    from shoebox.keys import KeyFileError
    from shoebox.stack import StackError

    try:
        yield
    except PortTaken as error:
        raise _local(str(error), "Or let every port be a free one: shoebox up --free-ports") from error
    except DataFolderError as error:
        raise _local(str(error), "Another folder: --data OTHER --free-ports") from error
    except EmulatorDied as error:
        raise _local(str(error), "Start again: shoebox up. Should it die again, look with: shoebox doctor") from error
    except EmulatorError as error:
        raise _local(str(error), "Look what is missing: shoebox doctor. Or begin empty: shoebox up --fresh") from error
    except Problem as error:
        raise _local(f"The stack could not be created: {error}", "Begin empty: shoebox up --fresh") from error
    except (StackError, ConfigError) as error:
        raise _local(str(error), "Correct it, then look with: shoebox doctor") from error
    except KeyFileError as error:
        raise _local(str(error), "Or move it away; a new one is made.") from error
    except PermissionError as error:
        raise _local(
            f"Not permitted: {error}", "Choose ports from 1024 on, and a folder that you may write."
        ) from error
    except ModuleNotFoundError as error:
        raise _local(f"A part is missing: {error.name}.", "Set the environment up: ./run setup") from error


def _local(message: str, hint: str) -> CliError:
    return CliError(message, hint=hint, exit_code=Exit.LOCAL)


def _demo_key(folder: DataFolder) -> Path:
    """The demo tenant's key file; made when it is not there."""
    from shoebox.keys import KeyPair

    path = folder.key_file(TENANT)
    if not path.exists():
        KeyPair.generate().save(path.parent).rename(path)
    return path


def _publishing(key: Path, steps: Steps) -> Callable[[Local], Awaitable[None]]:
    """Publishes the demo tenant's public key where the authorizer looks for it."""
    from shoebox.keys import KeyPair, jwks

    async def publish(local: Local) -> None:
        s3 = await local.clients.open("s3")
        await s3.put_object(
            Bucket=local.bound.name_of("bucket", "public"),
            Key=f"keys/{TENANT}.json",
            Body=jwks([KeyPair.load(key)]),
            ContentType="application/json",
        )
        steps.done("AWS emulator", local.seconds["emulator"])
        steps.done(str(local.report).partition("\n")[0], local.report.seconds)
        steps.begin("Starting the functions and the gateway")

    return publish
