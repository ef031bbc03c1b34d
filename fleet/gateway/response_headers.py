"""Headers of functions' answers as API Gateway sends them on.

Source: API Gateway, "Amazon API Gateway important notes": some are renamed to `X-Amzn-Remapped-…`, some are dropped,
and every answer has a content type. The same table serves HTTP APIs, for which AWS has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from fleet.http.asgi import Headers

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_REMAPPED = frozenset(
    {
        "authorization",
        "content-length",
        "content-md5",
        "date",
        "max-forwards",
        "server",
        "user-agent",
        "www-authenticate",
    }
)
_DROPPED = frozenset(
    {
        "connection",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_JSON = (b"content-type", b"application/json")


class MalformedResponse(ValueError):
    """A function's answer is not what its integration sends on: 502 from a REST API, 500 from an HTTP API."""


def sent_headers(pairs: Iterable[tuple[str, object]]) -> Headers:
    """Headers on the wire, in lower case.

    Raises:
        MalformedResponse: a name or value that HTTP cannot carry.
    """
    headers: Headers = []
    typed = False
    for name, value in pairs:
        sent = _name(name)
        if sent is None:
            continue
        typed = typed or sent == b"content-type"
        headers.append((sent, header_value(value)))
    return headers if typed else [*headers, _JSON]


def header_value(value: object) -> bytes:
    """A string, number or boolean as a header's value.

    Raises:
        MalformedResponse: it is none of them, or HTTP cannot carry it.
    """
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, int | float):
        text = str(value)
    else:
        raise MalformedResponse("a header's value is not a string, number or boolean")
    if not _VALUE.fullmatch(text):
        raise MalformedResponse("a header's value cannot be sent")
    return text.encode()


@lru_cache(maxsize=512)
def _name(name: str) -> bytes | None:
    """A header's name as it is sent; None if it is dropped."""
    if not _NAME.fullmatch(name):
        raise MalformedResponse("a header's name cannot be sent")
    lower = name.lower()
    if lower in _DROPPED:
        return None
    return (f"x-amzn-remapped-{lower}" if lower in _REMAPPED else lower).encode()
