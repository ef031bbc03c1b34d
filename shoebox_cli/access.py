"""Which service a command talks to, and with which token."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from console.exits import CliError, Exit
from console.output import Output, safe
from shoebox_cli.deployment import Deployment, Watch, is_here, mint_in_container, running_deployment
from shoebox_cli.folder import DataFolder

if TYPE_CHECKING:
    from shoebox_client.api import Api

DEFAULT_URL = "http://127.0.0.1:8080"
TENANT, USER = "demo", "you"
TOKEN_SECONDS = 12 * 3600
_TOKEN = re.compile(r"[!-~]{1,8192}")


@asynccontextmanager
async def open_service(
    url: str | None, token: str | None, data: Path, output: Output, *, connections: int = 20
) -> AsyncIterator[Api]:
    """The API that the options name. The first answers are waited for briefly; ask `Api.with_retry` for patience.

    Raises:
        CliError: there is no token, or one that no header can carry; at the end of the block: a LocalStack of ours
            lost meanwhile what was stored.
    """
    from shoebox_client.api import open_api
    from shoebox_client.retry import RetryPolicy

    found = None if url and (token or not is_here(url)) else running_deployment(data)
    deployment = found if found and (url is None or found.is_at(url)) else None
    url = url or (deployment.url if deployment else DEFAULT_URL)
    token = token or local_token(url, deployment, data, output)
    if not _TOKEN.fullmatch(token):
        raise CliError(
            "What was given as a token is none: a token is one long word of ASCII characters.",
            hint="Set a good one with --token or SHOEBOX_TOKEN; for the local stack: shoebox token mint",
            exit_code=Exit.NOT_ALLOWED,
        )
    watch = Watch(deployment)
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


def local_token(url: str, deployment: Deployment | None, data: Path, output: Output) -> str:
    """A token for the demo tenant of the stack at `url`: its key is in the containers' volume, or in the data folder.

    Raises:
        CliError: the service is elsewhere, or there is no key.
    """
    if deployment and deployment.engine:
        output.say(f"[dim]No token given: using one for {USER} of {TENANT}, minted in the container `fleet`.[/dim]")
        return mint_in_container(deployment.engine, "--tenant", TENANT, "--user", USER)
    key = DataFolder(data).key_file(TENANT)
    if not is_here(url) or not key.exists():
        raise CliError(
            f"There is no token for {url}.",
            hint="Set one with --token or SHOEBOX_TOKEN. `shoebox up` makes a key that local tokens are minted with.",
            exit_code=Exit.NOT_ALLOWED,
        )
    output.say(f"[dim]No token given: using one for {USER} of {TENANT}, minted with {safe(str(key))}.[/dim]")
    return mint(key, TENANT, USER)


def gallery_link(url: str, token: str) -> str:
    """The gallery of the service at `url`; the token is in the fragment, which no request carries."""
    return f"{url.rstrip('/')}/#token={token}"


def mint(
    key: Path, tenant: str, user: str, *, scopes: tuple[str, ...] | None = None, lifetime: int = TOKEN_SECONDS
) -> str:
    """A token signed with a key file; all scopes unless some are named.

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
