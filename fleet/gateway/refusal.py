"""Why a request does not pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Refusal(Exception):
    """The request may not pass: a gateway response type, and the authorizer's context to fill it in.

    `fault` names what happened more closely than the type does, where AWS's own answers differ
    (`fleet.gateway.faults`).
    """

    def __init__(self, kind: str, context: Mapping[str, Any] | None = None, *, fault: str = "") -> None:
        super().__init__(kind)
        self.kind = kind
        self.context = context
        self.fault = fault or kind
