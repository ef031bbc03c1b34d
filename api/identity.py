"""Who calls: what the authorizer told the gateway, and nothing that the caller can write.

The gateway keeps an authorizer's answer for minutes, so a token's end is looked at again here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from api.services import Services
from shoebox.errors import Forbidden, Unauthorized
from shoebox.files.model import Owner
from shoebox.identifiers import TENANT, USER


@dataclass(frozen=True, slots=True)
class Caller:
    """The user that a request speaks for, with what its token allows."""

    owner: Owner
    scopes: frozenset[str]

    @property
    def may_read(self) -> bool:
        """Whether answers to this caller may show files: what was found out about them, and links to their bytes."""
        return "files:read" in self.scopes


class Needs(SecurityBase):
    """A route's dependency: a caller whose token has `scope`.

    Raises:
        Unauthorized: token_missing without an authorizer's word, token_expired when the token's time has run out.
        Forbidden: scope_missing.
    """

    def __init__(self, scope: str) -> None:
        self._scope = scope
        self.scheme_name = "token"
        self.model = HTTPBearer(
            bearerFormat="JWT", description="Signed by the shop with its own key: docs/reference/tokens.md."
        )

    async def __call__(self, request: Request) -> Caller:
        """The caller of `request`."""
        services: Services = request.state.services
        caller = read_caller(_authorizer(request), now=services.now().timestamp())
        if self._scope not in caller.scopes:
            raise Forbidden(f"The token lacks the scope {self._scope}.")
        return caller


def read_caller(authorizer: Mapping[str, Any], *, now: float) -> Caller:
    """The caller that an authorizer's context describes, at `now` in epoch seconds.

    Raises:
        Unauthorized: it describes none, or one whose token has ended.
    """
    tenant, user, ends, scope = (_text(authorizer, name) for name in ("tenant", "user", "expires_at", "scope"))
    if not TENANT.fullmatch(tenant) or not USER.fullmatch(user) or not ends.isdecimal():
        raise Unauthorized("Send a token: Authorization: Bearer <JWT>.", code="token_missing")
    if int(ends) <= now:
        raise Unauthorized("The token has expired; ask the shop for a new one.", code="token_expired")
    return Caller(Owner(tenant, user), frozenset(scope.split()))


def _text(authorizer: Mapping[str, Any], name: str) -> str:
    value = authorizer.get(name)
    return value if isinstance(value, str) else ""


def _authorizer(request: Request) -> Mapping[str, Any]:
    context = (request.scope.get("aws.event") or {}).get("requestContext") or {}
    return context.get("authorizer") or {}
