"""API Gateway's proxy events and responses ("Input format of a Lambda function for proxy integration").

Version 1.0 is sent by REST APIs, and by HTTP APIs that ask for it; 2.0 by HTTP APIs and function URLs.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlencode

Headers = list[tuple[bytes, bytes]]
"""Names in lower case, repeated ones as often as they came; ASGI's own form."""

TEXT_TYPES = frozenset(
    {
        "application/javascript",
        "application/json",
        "application/x-ndjson",
        "application/x-www-form-urlencoded",
        "application/xml",
        "application/yaml",
    }
)

_PATH_SAFE = "/:@!$&'()*+,;=~-._"


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """One HTTP request out of an event."""

    version: str
    """1.0 or 2.0."""
    method: str
    path: str
    """Percent-decoded."""
    raw_path: bytes
    query: bytes
    """Percent-encoded, without the question mark."""
    headers: Headers
    body: bytes
    source_ip: str

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> GatewayRequest:
        """Read an event of either version. Raises ValueError if it is neither."""
        # The context is asked first: some emulators put an `httpMethod` into version 2.0, too.
        if "http" in (event.get("requestContext") or {}):
            return _of_version_2(event)
        if "httpMethod" in event:
            return _of_version_1(event)
        raise ValueError("not an API Gateway proxy event: neither httpMethod nor requestContext.http")

    @property
    def scheme(self) -> str:
        """As the client used it; API Gateway itself speaks only https."""
        return self.header(b"x-forwarded-proto", "https")

    @property
    def server(self) -> tuple[str, int]:
        """Host and port that the client asked for."""
        port = self.header(b"x-forwarded-port", "443" if self.scheme == "https" else "80")
        host, _, explicit = self.header(b"host", "localhost").partition(":")
        number = explicit or port
        return host, int(number) if number.isdecimal() else 443

    def header(self, name: bytes, default: str) -> str:
        """Return the first value of a header."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), default)


@dataclass(frozen=True, slots=True)
class GatewayResponse:
    """One HTTP response, not yet in an event's form."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    def proxy_response(self, request: GatewayRequest) -> dict[str, Any]:
        """Return what the handler returns to API Gateway. The body of a response to HEAD is left out."""
        text, is_base64 = _body_text(b"" if request.method == "HEAD" else self.body, self.headers)
        return self.head(request) | {"body": text, "isBase64Encoded": is_base64}

    def head(self, request: GatewayRequest) -> dict[str, Any]:
        """Return status and headers alone, in the form of the request's version; also the prelude of a stream."""
        grouped = _grouped(self.headers)
        if request.version == "1.0":
            return {"statusCode": self.status, "multiValueHeaders": grouped}
        cookies = grouped.pop("set-cookie", [])
        joined = {name: ", ".join(values) for name, values in grouped.items()}
        return {"statusCode": self.status, "headers": joined} | ({"cookies": cookies} if cookies else {})


def _of_version_1(event: Mapping[str, Any]) -> GatewayRequest:
    # REST APIs send the path as it came; HTTP APIs, which name the version, have decoded it.
    decoded = "version" in event
    many = event.get("multiValueHeaders") or {n: [v] for n, v in (event.get("headers") or {}).items()}
    query = event.get("multiValueQueryStringParameters") or event.get("queryStringParameters") or {}
    identity = (event.get("requestContext") or {}).get("identity") or {}
    path = event.get("path") or "/"
    return GatewayRequest(
        version="1.0",
        method=event["httpMethod"].upper(),
        path=path if decoded else unquote(path),
        raw_path=quote(path, safe=_PATH_SAFE if decoded else _PATH_SAFE + "%").encode("ascii"),
        query=urlencode(query, doseq=True).encode("ascii"),  # this version sends it decoded
        headers=_headers((name, value) for name, values in many.items() for value in values),
        body=_body_bytes(event),
        source_ip=identity.get("sourceIp") or "",
    )


def _of_version_2(event: Mapping[str, Any]) -> GatewayRequest:
    http = event["requestContext"]["http"]
    # Function URLs send the path as it came; HTTP APIs have decoded it, and once more would make `%2541` an `A`.
    from_url = ".lambda-url." in event["requestContext"].get("domainName", "")
    path = event.get("rawPath") or "/"
    headers = _headers((event.get("headers") or {}).items())
    if cookies := event.get("cookies"):
        headers = [(name, value) for name, value in headers if name != b"cookie"]
        headers.append((b"cookie", "; ".join(cookies).encode("latin-1", "replace")))
    return GatewayRequest(
        version="2.0",
        method=http["method"].upper(),
        path=unquote(path) if from_url else path,
        raw_path=quote(path, safe=_PATH_SAFE + "%" if from_url else _PATH_SAFE).encode("ascii"),
        query=(event.get("rawQueryString") or "").encode("latin-1", "replace"),
        headers=headers,
        body=_body_bytes(event),
        source_ip=http.get("sourceIp") or "",
    )


def _headers(items: Iterable[tuple[str, str]]) -> Headers:
    return [(name.lower().encode("latin-1"), str(value).encode("latin-1", "replace")) for name, value in items]


def _body_bytes(event: Mapping[str, Any]) -> bytes:
    body = event.get("body") or ""
    return base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()


def _grouped(headers: Sequence[tuple[bytes, bytes]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for name, value in headers:
        grouped.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return grouped


def _body_text(body: bytes, headers: Sequence[tuple[bytes, bytes]]) -> tuple[str, bool]:
    """Return the body as a string, and whether that is base64: text only if its headers and bytes say UTF-8."""
    values = {name.lower(): value.decode("latin-1").lower() for name, value in headers}
    if b"content-encoding" not in values and _is_text(values.get(b"content-type", "")):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode("ascii"), bool(body)


def _is_text(content_type: str) -> bool:
    media_type, _, parameters = content_type.partition(";")
    media_type = media_type.strip()
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
    if charset not in ("", "utf-8", "utf8", "us-ascii"):
        return False
    return media_type.startswith("text/") or media_type in TEXT_TYPES or media_type.endswith(("+json", "+xml"))
