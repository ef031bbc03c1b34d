"""`shoebox token`: tokens as a shop's server would mint them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from console.options import DATA, Data, Json, address, seconds
from console.output import Output
from shoebox_cli.access import TENANT, USER, gallery_link, mint
from shoebox_cli.deployment import mint_in_container, running_deployment
from shoebox_cli.folder import DataFolder

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
    deployment = None if key else running_deployment(data)
    if deployment and deployment.engine:
        scoped = [word for each in scopes for word in ("--scope", each)]
        named = ("--tenant", tenant, "--user", user, "--ttl", str(ttl), *scoped)
        text = mint_in_container(deployment.engine, *named)
    else:
        text = mint(key or DataFolder(data).key_file(tenant), tenant, user, scopes=scopes or None, lifetime=ttl)
    output = Output(json=json)
    if json:
        output.document({"token": text, "tenant": tenant, "user": user, "expires_at": int(time.time()) + ttl})
    else:
        output.line(gallery_link(gallery, text) if gallery else text)
