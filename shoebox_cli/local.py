"""Starts the local stack for `up` and `demo`: shows each step, and publishes the demo tenant's key."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from console.messages import user_facing_errors
from console.output import Output, plural, safe
from shoebox_cli.access import TENANT, USER, gallery_link, mint
from shoebox_cli.folder import DataFolder

if TYPE_CHECKING:
    from console.errorline import ErrorLine
    from emulator.embedded import Recovery
    from shoebox.aws.clients import Clients
    from shoebox.stack.deployment import ResolvedStack
    from shoebox.stack.model import Stack
    from standalone.stack import StandaloneSettings, StandaloneStack


@asynccontextmanager
async def started(
    settings: StandaloneSettings, folder: DataFolder, output: Output, errors: ErrorLine
) -> AsyncIterator[StandaloneStack]:
    """The stack, from its first step to the end of the block.

    Raises:
        CliError: it cannot start, or its emulator died: one message, with what to do.
    """
    from standalone.stack import StandaloneStack as Starting

    with user_facing_errors(), Steps(output) as steps:
        errors.log_to(folder.log)
        where = f"Waiting for {settings.endpoint_url}" if settings.endpoint_url else "Starting the AWS emulator"
        steps.begin(f"{where} and creating what stack.yaml describes")
        starting = Starting.start(settings, _publishing(folder, steps), on_line=errors.line, on_wait=_waiting(steps))
        async with starting as local:
            functions = len(local.fleet.pools)
            steps.done(f"{plural(functions, 'function')} and the gateway")
            if local.emulator and local.emulator.recovery.cut_off:
                output.say(f"[yellow]![/yellow] {recovered(local.emulator.recovery)}")
            yield local


def recovered(recovery: Recovery) -> str:
    """What a kill of the last run's emulator cost."""
    since = f" (after {datetime.fromtimestamp(recovery.saved_at):%H:%M:%S})" if recovery.saved_at else ""
    again = recovery.uploads_again
    uploads = f" {plural(again, 'upload')} of that time will be processed again." if again else ""
    others = recovery.other_objects
    left = f" {plural(others, 'rendition')} of that time may belong to no photo, and only take room."
    lost = f"The last run was killed before it could stop. Changes of its last second{since} may be lost."
    return lost + uploads + (left if others else "")


def _waiting(steps: Steps) -> Callable[[], None]:
    """Tells once that the last Shoebox's emulator is waited for."""
    told = False

    def tell() -> None:
        nonlocal told
        if not told:
            steps.begin("The last Shoebox was killed; waiting until its emulator has saved")
        told = True

    return tell


def has_tenants(stack: Stack) -> bool:
    """Whether it keeps the public keys of tenants, as Shoebox's own stack does; a stack of one's own need not."""
    return "public" in stack.buckets


def addresses(local: StandaloneStack, folder: DataFolder) -> dict[str, Any]:
    """What is where, with a token for the demo tenant's user; a stack without tenants has no gallery either."""
    import os

    token = mint(folder.key_file(TENANT), TENANT, USER) if has_tenants(local.resolved.stack) else None
    gateway, control = local.fleet.gateway_url, local.fleet.runtime_url
    return {
        "url": gateway,
        "gallery": gallery_link(gateway, token) if token else None,
        "docs": f"{gateway}/docs" if token else None,
        "metrics": f"{control}/metrics",
        "control": control,
        "hosts": local.fleet.hosts_url,
        "emulator": local.endpoint_url,
        "token": token,
        "data": str(local.folder),
        "logs": str(local.folder / "logs"),
        "pid": os.getpid(),
        "emulator_pid": local.emulator.pid if local.emulator else None,
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
            self._open.enter_context(self._output.talk.status(f"{safe(text)} …"))
        else:
            self._output.say(f"… {safe(text)}")

    def done(self, text: str, seconds: float | None = None) -> None:
        """It is done."""
        self._open.close()
        taken = time.monotonic() - self._began if seconds is None else seconds
        self._output.say(f"[green]✓[/green] {safe(text)} [dim]{taken:.1f} s[/dim]")


def demo_key(folder: DataFolder) -> Path:
    """The demo tenant's key file; made when it is not there."""
    from shoebox.tenants.keys import KeyPair

    path = folder.key_file(TENANT)
    if not path.exists():
        KeyPair.generate().save(path.parent).rename(path)
    return path


async def publish_demo_key(folder: DataFolder, resolved: ResolvedStack, clients: Clients) -> None:
    """Put the demo tenant's public key where the authorizer looks for it; a stack without tenants needs none."""
    from shoebox.tenants.keys import KeyPair, jwks

    if not has_tenants(resolved.stack):
        return
    key = demo_key(folder)
    s3 = await clients.open("s3")
    await s3.put_object(
        Bucket=resolved.name_of("bucket", "public"),
        Key=f"keys/{TENANT}.json",
        Body=jwks([KeyPair.load(key)]),
        ContentType="application/json",
    )


def _publishing(folder: DataFolder, steps: Steps) -> Callable[[StandaloneStack], Awaitable[None]]:
    """Publishes the key, at the start and whenever the emulator had to be restored, and tells of it."""
    started = False

    async def publish(local: StandaloneStack) -> None:
        nonlocal started
        await publish_demo_key(folder, local.resolved, local.clients)
        summary = str(local.report).partition("\n")[0]
        if started:
            steps.done(f"The AWS emulator is back. {summary}", local.report.seconds)
            return
        started = True
        steps.done("AWS emulator", local.seconds["emulator"])
        steps.done(summary, local.report.seconds)
        steps.begin("Starting the functions and the gateway")

    return publish
