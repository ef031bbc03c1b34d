"""`shoebox provision`: creates what stack.yaml describes in an emulator, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from console.options import DATA, Data, Endpoint, GatewayUrl, Json, Quiet, S3PublicUrl, StackFile
from console.output import Output

if TYPE_CHECKING:
    from emulator.provision import Report
    from shoebox.stack.deployment import ResolvedStack
    from shoebox_cli.folder import DataFolder

DEFAULT_GATEWAY = "http://127.0.0.1:8080"


def provision(
    endpoint_url: Endpoint = None,
    gateway_url: GatewayUrl = DEFAULT_GATEWAY,
    s3_public_url: S3PublicUrl = None,
    wait: Annotated[
        int, typer.Option(min=0, envvar="SHOEBOX_WAIT", metavar="SECONDS", help="How long the emulator may take.")
    ] = 60,
    stack: StackFile = None,
    data: Data = DATA,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Create what stack.yaml describes in an AWS emulator that runs already, and publish the demo tenant's key.

    [bold]Examples[/bold]
      shoebox provision --endpoint-url http://127.0.0.1:4566

    Twice is no fault: what is there is brought up to date, and nothing is removed.
    Exit code 0: everything is as described. 5: it is not; the message names what.
    """
    from console.exits import CliError, Exit
    from console.messages import user_facing_errors
    from console.run import run
    from shoebox.stack.model import stack_file
    from shoebox_cli.folder import DataFolder

    if endpoint_url is None:
        hint = "Name it with --endpoint-url or AWS_ENDPOINT_URL. `shoebox up` starts one and provisions it by itself."
        raise CliError("There is no emulator to provision.", hint=hint, exit_code=Exit.USAGE)
    output = Output(json=json, quiet=quiet)
    with user_facing_errors():
        from shoebox.stack.deployment import resolve
        from shoebox.stack.model import load_stack
        from standalone.stack import emulated_deployment

        deployment = emulated_deployment(
            endpoint_url, gateway_url=gateway_url or DEFAULT_GATEWAY, s3_public_url=s3_public_url
        )
        report = run(_provision(resolve(load_stack(stack or stack_file()), deployment), DataFolder(data), wait))
    _show(report, output)


async def _provision(resolved: ResolvedStack, folder: DataFolder, wait: int) -> Report:
    from emulator import provision
    from emulator.embedded import ROOT_CREDENTIALS
    from emulator.watchdog import until_it_answers
    from shoebox.aws.clients import Clients
    from shoebox.config import AwsSettings
    from shoebox_cli.local import publish_demo_key

    url = str(resolved.deployment.endpoint_url)
    async with Clients(AwsSettings(region=resolved.deployment.region, endpoint_url=url), ROOT_CREDENTIALS) as clients:
        await until_it_answers(clients, url, wait)
        report = await provision.provision(resolved, clients)
        await publish_demo_key(folder, resolved, clients)
        return report


def _show(report: Report, output: Output) -> None:
    if output.json:
        outcomes = [
            {"kind": o.kind, "name": o.name, "change": o.change, "settings": list(o.settings)} for o in report.outcomes
        ]
        output.document({"resources": outcomes, "seconds": round(report.seconds, 3)})
    else:
        output.line(str(report))
