"""Access to a service: tokens, minted as a shop's server would (`shoebox token`), and the API that options name."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from console.exits import CliError, Exit
from console.options import DATA, Data, Json, address, seconds
from console.output import Output, safe
from shoebox_cli.localstack import LocalStackWatch
from shoebox_cli.target import DataFolder, Target, find_target

if TYPE_CHECKING:
    from shoebox.aws.clients import Clients
    from shoebox.stack.deployment import ResolvedStack
    from shoebox.stack.model import Stack
    from shoebox_cli.compose import Engine
    from shoebox_client.api import Api

DEFAULT_URL = "http://127.0.0.1:8080"
TENANT, USER = "demo", "you"
TOKEN_SECONDS = 12 * 3600
_MINT_SECONDS = 60
_TOKEN = re.compile(r"[!-~]{1,8192}")
app = typer.Typer(help="Tokens for users of a tenant.", no_args_is_help=True)


@app.callback()
def tokens() -> None:
    """Tokens for users of a tenant."""


@app.command("mint")
def mint_(
    tenant: Annotated[str, typer.Option(envvar="SHOEBOX_TENANT", help="The shop.")] = TENANT,
    user: Annotated[str, typer.Option(envvar="SHOEBOX_USER", help="The shop's user.")] = USER,
    scope: Annotated[
        list[str] | None,
        typer.Option(envvar="SHOEBOX_SCOPE", help="A scope; give it several times for several. Else: all."),
    ] = None,
    ttl: Annotated[
        int, typer.Option(parser=seconds, metavar="TIME", envvar="SHOEBOX_TTL", help="How long it holds; 24h at most.")
    ] = "12h",  # type: ignore[assignment]  # typer parses it
    key: Annotated[
        Path | None,
        typer.Option(
            envvar="SHOEBOX_KEY",
            metavar="FILE",
            show_default=False,
            help="The tenant's private key (PEM). Else: the local stack's.",
        ),
    ] = None,
    gallery: Annotated[
        str | None,
        typer.Option(
            parser=address,
            envvar="SHOEBOX_GALLERY",
            metavar="URL",
            show_default=False,
            help="Print the gallery's link with the token in it, instead of the token alone.",
        ),
    ] = None,
    data: Data = DATA,
    json: Json = False,
) -> None:
    """Mint a token; stdout holds nothing else.

    [bold]Examples[/bold]

      export SHOEBOX_TOKEN=$(shoebox token mint)
      shoebox token mint --user anna --scope files:read --ttl 1h
      shoebox token mint --gallery http://127.0.0.1:8080
    """
    scopes = tuple(part for text in scope or () for part in text.replace(",", " ").split())
    target = None if key else find_target(data)
    if target and target.engine:
        scoped = [word for each in scopes for word in ("--scope", each)]
        named = ("--tenant", tenant, "--user", user, "--ttl", str(ttl), *scoped)
        text = mint_in_container(target.engine, *named)
    else:
        text = mint(key or DataFolder(data).key_file(tenant), tenant, user, scopes=scopes or None, lifetime=ttl)
    output = Output(json=json)
    if json:
        output.document({"token": text, "tenant": tenant, "user": user, "expires_at": int(time.time()) + ttl})
    else:
        output.line(gallery_link(gallery, text) if gallery else text)


@asynccontextmanager
async def open_service(
    url: str | None, token: str | None, data: Path, output: Output, *, connections: int = 20
) -> AsyncIterator[Api]:
    """Open the API that the options name. Calls are retried for a moment only; `Api.with_retry` changes that.

    Raises:
        CliError: there is no token, or one that no header can carry; at the end of the block: a LocalStack of ours
            lost meanwhile what was stored.
    """
    from shoebox_client.api import is_loopback, open_api
    from shoebox_client.retry import RetryPolicy

    found = None if url and (token or not is_loopback(url)) else find_target(data)
    target = found if found and (url is None or found.is_at(url)) else None
    url = url or (target.url if target else DEFAULT_URL)
    token = token or _local_token(url, target, data, output)
    if not _TOKEN.fullmatch(token):
        raise CliError(
            "What was given as a token is none: a token is one long word of ASCII characters.",
            hint="Set a good one with --token or SHOEBOX_TOKEN; for the local stack: shoebox token mint",
            exit_code=Exit.NOT_ALLOWED,
        )
    watch = LocalStackWatch(target.localstack if target else None)
    watch.before(output)
    async with open_api(url, token, retry=RetryPolicy(max_attempts=3), connections=connections) as api:
        try:
            yield api
        except BaseException:
            if loss := watch.after(output):
                output.error(loss)
            raise
    if loss := watch.after(output):
        raise CliError(loss)


def _local_token(url: str, target: Target | None, data: Path, output: Output) -> str:
    """Return a token for the demo tenant of the stack at `url`: its key is in the containers, or in the data folder.

    Raises:
        CliError: the service is elsewhere, or there is no key.
    """
    from shoebox_client.api import is_loopback

    if target and target.engine:
        output.say(f"[dim]No token given: using one for {USER} of {TENANT}, minted in the container `fleet`.[/dim]")
        return mint_in_container(target.engine, "--tenant", TENANT, "--user", USER)
    key = DataFolder(data).key_file(TENANT)
    if not is_loopback(url) or not key.exists():
        raise CliError(
            f"There is no token for {url}.",
            hint="Set one with --token or SHOEBOX_TOKEN. `shoebox up` makes a key that local tokens are minted with.",
            exit_code=Exit.NOT_ALLOWED,
        )
    output.say(f"[dim]No token given: using one for {USER} of {TENANT}, minted with {safe(str(key))}.[/dim]")
    return mint(key, TENANT, USER)


def mint(
    key: Path, tenant: str, user: str, *, scopes: tuple[str, ...] | None = None, lifetime: int = TOKEN_SECONDS
) -> str:
    """Return a token signed with a key file; with all scopes unless some are named.

    Raises:
        CliError: the key cannot be used, or a claim would be refused.
    """
    from shoebox.tenants.keys import KeyFileError, KeyPair
    from shoebox.tenants.tokens import SCOPES, mint_token

    try:
        pair = KeyPair.load(key)
        return mint_token(pair, tenant=tenant, user=user, scopes=scopes or SCOPES, lifetime=lifetime, now=time.time())
    except KeyFileError as error:
        hint = "`shoebox up` makes the demo tenant's key; name another with --key."
        raise CliError(f"No token without a key: {error}.", hint=hint, exit_code=Exit.LOCAL) from error
    except ValueError as error:
        raise CliError(f"Such a token would be refused: {error}.", exit_code=Exit.USAGE) from error


def mint_in_container(engine: Engine, *options: str) -> str:
    """Return a token, signed with the key that lies in the containers' volume; `options` are those of `token mint`.

    Raises:
        CliError: there is none.
    """
    command = ("compose", "exec", "-T", "fleet", "python", "-m", "shoebox_cli", "token", "mint", *options)
    try:
        minted = engine.run(*command, seconds=_MINT_SECONDS)
    except subprocess.TimeoutExpired as error:
        raise CliError(f"The fleet's container minted no token in {_MINT_SECONDS} s.", exit_code=Exit.LOCAL) from error
    if minted.returncode:
        why = minted.stderr.strip()
        raise CliError(f"The fleet's container minted no token: {why}", exit_code=Exit.LOCAL)
    return minted.stdout.strip()


def gallery_link(url: str, token: str) -> str:
    """Return the gallery's address at the service `url`; the token is in the fragment, which no request carries."""
    return f"{url.rstrip('/')}/#token={token}"


def has_tenants(stack: Stack) -> bool:
    """Tell whether it keeps the public keys of tenants, as Shoebox's own stack does; a stack of one's own need not."""
    return "public" in stack.buckets


def demo_key(folder: DataFolder) -> Path:
    """Return the demo tenant's key file; made when it is not there."""
    from shoebox.tenants.keys import KeyPair

    path = folder.key_file(TENANT)
    if not path.exists():
        KeyPair.generate().save(path.parent).rename(path)
    return path


async def publish_demo_key(folder: DataFolder, resolved: ResolvedStack, clients: Clients) -> None:
    """Put the demo tenant's public key where the authorizer looks for it; a stack without tenants needs none."""
    from shoebox.tenants.keys import KeyPair, jwks_document

    if not has_tenants(resolved.stack):
        return
    key = demo_key(folder)
    s3 = await clients.open("s3")
    await s3.put_object(
        Bucket=resolved.name_of("bucket", "public"),
        Key=f"keys/{TENANT}.json",
        Body=jwks_document([KeyPair.load(key)]),
        ContentType="application/json",
    )
