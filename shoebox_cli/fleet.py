"""`shoebox fleet`: the fleet in a container; hosts in other containers bring the functions' environments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from console.options import (
    DATA,
    Bind,
    ControlPort,
    Data,
    Endpoint,
    GatewayUrl,
    LimiterPort,
    LimiterUrl,
    Port,
    Quotas,
    RuntimePort,
    S3PublicUrl,
    StackFile,
)

if TYPE_CHECKING:
    from shoebox_cli.folder import DataFolder
    from standalone.stack import StandaloneSettings, StandaloneStack


def fleet(
    endpoint_url: Endpoint = None,
    port: Port = 8080,
    control_port: ControlPort = 9001,
    runtime_port: RuntimePort = 9002,
    limiter_port: LimiterPort = 9003,
    limiter_url: LimiterUrl = None,
    bind: Bind = "127.0.0.1",
    gateway_url: GatewayUrl = None,
    s3_public_url: S3PublicUrl = None,
    quotas: Quotas = "aws",
    stack: StackFile = None,
    data: Data = DATA,
) -> None:
    """Run gateway, Lambda service and event source mappings on an AWS emulator; `shoebox host` brings the functions.

    [bold]Examples[/bold]
      shoebox fleet --endpoint-url http://localstack:4566 --bind 0.0.0.0

    compose.yaml runs it; on one machine without containers there is `shoebox up`. Logs are JSON lines on stdout.
    Exit code 0: stopped as asked. 5: it could not start.
    """
    from console.exits import CliError, Exit
    from console.messages import user_facing_errors
    from console.run import run
    from fleet.limits.quotas import load_quotas
    from shoebox.stack.model import PROJECT, load_stack, stack_file
    from shoebox.telemetry import configure_logging
    from shoebox_cli.folder import DataFolder
    from standalone.stack import StandaloneSettings

    if endpoint_url is None:
        hint = "Name it with --endpoint-url or AWS_ENDPOINT_URL. `shoebox up` starts one by itself."
        raise CliError("There is no emulator to work on.", hint=hint, exit_code=Exit.USAGE)
    configure_logging()
    with user_facing_errors():
        described = stack or stack_file()
        settings = StandaloneSettings(
            stack_file=described,
            task_root=PROJECT,
            data_dir=None,
            gateway_port=port,
            control_port=control_port,
            runtime_port=runtime_port,
            limiter_port=limiter_port,
            limiter_url=limiter_url,
            endpoint_url=endpoint_url,
            gateway_url=gateway_url,
            s3_public_url=s3_public_url,
            host=bind,
            joined=frozenset(load_stack(described).functions),
            quotas=load_quotas(quotas),
        )
        try:
            run(_fleet(settings, DataFolder(data)))
        except KeyboardInterrupt:
            return


async def _fleet(settings: StandaloneSettings, folder: DataFolder) -> None:
    import asyncio

    from shoebox_cli.local import publish_demo_key
    from standalone.stack import StandaloneStack as Stack

    async def publish(local: StandaloneStack) -> None:
        await publish_demo_key(folder, local.resolved, local.clients)

    async with Stack.start(settings, publish):
        await asyncio.Event().wait()
