"""Which bodies travel in events as Base64.

REST APIs ("Content type conversions in API Gateway"): a request's if its Content-Type is one of the API's binary media
types, a response's if the first type of the request's Accept is; everything else is text. HTTP APIs have no such list:
text are text/* and three application types, and a response says itself what it is (AWS names no types; these are
observed, and those that "Lambda functions as targets" names for load balancers).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class Bodies(Protocol):
    """How bodies pass: in, as an event's body; and out, as bytes."""

    def encoded(self, content_type: str, content_encoding: str) -> bool:
        """Tell whether a request's body becomes Base64."""

    def decoded(self, accept: str) -> bool:
        """Tell whether a response that is Base64 becomes bytes."""


class MediaTypes:
    """A REST API's binary media types, such as `image/png`, `image/*` or `*/*`."""

    def __init__(self, types: Iterable[str]) -> None:
        self._types = [(main, sub) for main, _, sub in (kind.lower().partition("/") for kind in types)]

    def encoded(self, content_type: str, content_encoding: str) -> bool:
        """Decide by the Content-Type; without one a body is JSON ("Important notes")."""
        return self._includes(content_type or "application/json")

    def decoded(self, accept: str) -> bool:
        """Decide by the first media type of Accept; without one it is any type."""
        return self._includes(accept.partition(",")[0] or "*/*")

    def _includes(self, media_type: str) -> bool:
        main, _, sub = media_type.partition(";")[0].strip().lower().partition("/")
        return any(m in ("*", main) and s in ("*", sub) for m, s in self._types)


@dataclass(frozen=True, slots=True)
class ByContent:
    """By what a body is: `text` are beginnings of text types."""

    text: tuple[str, ...]

    def encoded(self, content_type: str, content_encoding: str) -> bool:
        """Encode what is not a text type, or is compressed."""
        if content_encoding and content_encoding != "identity":
            return True
        return not content_type.lower().startswith(self.text)

    def decoded(self, accept: str) -> bool:
        """Decode always: the response says itself that it is Base64."""
        return True


HTTP_BODIES = ByContent(("text/", "application/json", "application/javascript", "application/xml"))
"""HTTP APIs; forms, and bodies without a type, are Base64."""


def event_body(bodies: Bodies, content_type: str, content_encoding: str, body: bytes) -> tuple[str | None, bool]:
    """Return a request's body as an event has it, and whether it is Base64."""
    if not body:
        return None, False
    if not bodies.encoded(content_type, content_encoding):
        if isinstance(bodies, MediaTypes):
            return body.decode("utf-8", "replace"), False  # as REST APIs do: what is no UTF-8 is lost
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True
