"""`shoebox queues`: what waits in them, and back to work with dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from console.exits import CliError, Exit
from console.options import DATA, Data, Endpoint, Json, Quiet, StackFile
from console.output import DataTable, Output, plural, safe

if TYPE_CHECKING:
    from fleet.queues.operations import DeadLetters, QueueState
    from shoebox.stack.model import Stack

Result = TypeVar("Result")
app = typer.Typer(help="Queues: what waits in them, and their dead letters.", no_args_is_help=True)
Prefix = Annotated[str, typer.Option(envvar="SHOEBOX_PREFIX", help="What the queues' names begin with.")]
Aws = Annotated[
    bool, typer.Option("--aws", envvar="SHOEBOX_AWS", help="The queues in AWS itself, with AWS's own variables.")
]


@app.command("list")
def list_(
    endpoint_url: Endpoint = None,
    aws: Aws = False,
    prefix: Prefix = "shoebox",
    stack: StackFile = None,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """List the queues of the stack with what they hold.

    [bold]Examples[/bold]
      shoebox queues list
      shoebox queues list --endpoint-url http://127.0.0.1:4566 --json
    """
    output = Output(json=json)
    states = _run(_states, endpoint_url, data, stack, prefix, aws=aws)
    if json:
        output.document({"queues": [asdict(state) for state in states]})
        return
    table = DataTable(
        ("queue", "waiting", "in flight", "delayed", "dead letters go to"),
        right=("waiting", "in flight", "delayed"),
        whole=("queue", "waiting", "in flight", "delayed"),
        drop=("dead letters go to", "delayed"),
    )
    for state in states:
        target = (state.dead_letter or "").rpartition(":")[2]
        table.add_row(
            safe(state.name), f"{state.waiting:,}", f"{state.in_flight:,}", f"{state.delayed:,}", safe(target)
        )
    output.table(table)


@app.command()
def redrive(
    name: Annotated[str, typer.Argument(envvar="SHOEBOX_QUEUE", help="The dead-letter queue's name in stack.yaml.")],
    endpoint_url: Endpoint = None,
    aws: Aws = False,
    prefix: Prefix = "shoebox",
    stack: StackFile = None,
    data: Data = DATA,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Move the messages of a dead-letter queue back to the queue that they came from.

    [bold]Examples[/bold]
      shoebox queues redrive uploads-dead

    Do it when what made them fail is mended; a message that fails again comes back after its tries.
    Exit code 0: all were moved. 1: some were not; the message says why.
    """
    from fleet.queues.operations import RedriveError
    from fleet.queues.operations import redrive as move

    async def work(sqs: Any, described: Stack, prefix: str) -> int:
        return await move(sqs, await _dead_letters(sqs, described, prefix, name))

    try:
        moved = _run(work, endpoint_url, data, stack, prefix, aws=aws)
    except RedriveError as error:
        raise CliError(str(error), hint="Run it again; what was moved is not moved twice.") from error
    output = Output(json=json, quiet=quiet)
    if json:
        output.document({"queue": name, "moved": moved})
    else:
        output.say(
            f"[green]✓[/green] {plural(moved, 'message')} of {safe(name)} {'is' if moved == 1 else 'are'} back at work."
        )


async def _states(sqs: Any, described: Stack, prefix: str) -> list[QueueState]:
    from fleet.queues.operations import queue_state

    return [await queue_state(sqs, described.queue_name(prefix, name)) for name in described.queues]


async def _dead_letters(sqs: Any, described: Stack, prefix: str, name: str) -> DeadLetters:
    from fleet.queues.operations import dead_letters_of

    if name not in described.queues:
        known = ", ".join(described.queues)
        raise CliError(f"stack.yaml has no queue {name!r}.", hint=f"It has: {known}", exit_code=Exit.USAGE)
    found = dead_letters_of(await _states(sqs, described, prefix), described.queue_name(prefix, name))
    if found is None:
        served = ", ".join(queue.dead_letter for queue in described.queues.values() if queue.dead_letter)
        hint = f"Dead-letter queues are: {served}"
        raise CliError(f"{name} is no dead-letter queue.", hint=hint, exit_code=Exit.USAGE)
    return found


def _run(
    work: Callable[[Any, Stack, str], Coroutine[Any, Any, Result]],
    endpoint_url: str | None,
    data: Path,
    stack: Path | None,
    prefix: str,
    *,
    aws: bool,
) -> Result:
    """Run `work(sqs, stack, prefix)` where the options say.

    Raises:
        CliError: there is no such place, or SQS refuses.
    """
    from console.messages import user_facing_errors
    from console.run import run
    from shoebox.aws.botocore_errors import aws_errors
    from shoebox.aws.errors import AwsError
    from shoebox.stack.model import load_stack, stack_file

    async def connected() -> Result:
        async with _sqs(endpoint_url, data, aws=aws) as sqs:
            return await work(sqs, load_stack(stack or stack_file()), prefix)

    if aws and endpoint_url:
        hint = "Leave --endpoint-url out, or: unset AWS_ENDPOINT_URL"
        raise CliError(f"--aws means AWS itself, and {endpoint_url} an emulator.", hint=hint, exit_code=Exit.USAGE)
    with user_facing_errors():
        try:
            with aws_errors():
                return run(connected())
        except AwsError as error:
            hint = "Is it the right place? See --endpoint-url and --prefix."
            raise CliError(f"SQS refuses: {error}", hint=hint, exit_code=Exit.UNREACHABLE) from error


@asynccontextmanager
async def _sqs(endpoint_url: str | None, data: Path, *, aws: bool) -> AsyncIterator[Any]:
    """Open a client for AWS, or, as its administrator, for the emulator that is named or runs here."""
    from shoebox.aws.clients import Clients, client_config

    if aws:  # with the region and the credentials of AWS's own variables and profiles
        from aiobotocore.session import get_session

        async with get_session().create_client("sqs", config=client_config()) as client:
            yield client
        return

    from emulator.embedded import ROOT_CREDENTIALS
    from shoebox.config import AwsSettings
    from shoebox_cli.target import required_target

    hint = "Name an emulator with --endpoint-url, or say --aws. `shoebox up` starts a stack."
    url = endpoint_url or required_target(data, hint).emulator
    settings = AwsSettings(region=AwsSettings.from_environment().region, endpoint_url=url)
    async with Clients(settings, ROOT_CREDENTIALS) as clients:
        yield await clients.open("sqs")
