"""S3's rule that ministack does not keep: a signed request leaves no header unsigned that matters.

Sources: "Create a signed AWS API request" (the Host header and every `x-amz-*` header must be signed); "Authenticating
Requests: Using Query Parameters (AWS Signature Version 4)"; "Error responses" (S3). Without it, whoever has a URL for
one PUT can copy any object that the URL's signer may read, by a header of his own: `x-amz-copy-source`.
"""

from __future__ import annotations

import re
from collections import Counter
from urllib.parse import parse_qsl

from emulator.limiter.error_responses import s3_error, s3_refusal_headers
from fleet.http.asgi import App, Headers, Receive, Response, Scope, Send, respond

_SIGNED_HEADERS = re.compile(rb"SignedHeaders=([^,\s]+)")
_SIGNING = frozenset(
    f"x-amz-{name}" for name in ("algorithm", "credential", "date", "expires", "security-token", "signature")
) | {"x-amz-signedheaders"}
_MAY_BE_UNSIGNED = frozenset({"x-amz-content-sha256"})  # in a header signature: the signature covers its value


class SigningGuard:
    """Refuses S3 requests that AWS refuses before it looks at the signature; all others pass."""

    def __init__(self, application: App) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http" and (refused := refusal(scope)):
            await respond(send, refused)
            return
        await self._application(scope, receive, send)


def refusal(scope: Scope) -> Response | None:
    """Return S3's response to a request whose signature leaves something out; None where it may pass."""
    headers = dict(scope["headers"])
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    signing = Counter(name.lower() for name, _ in query if name.lower() in _SIGNING)
    authorizations = [value for name, value in scope["headers"] if name == b"authorization"]
    if not _is_of_s3(query, authorizations):
        return None
    old = any(name in ("AWSAccessKeyId", "Signature") for name, _ in query)
    more = s3_refusal_headers(headers)
    if bool(signing) + old + len(authorizations) > 1:
        message = (
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string"
            " parameter or the Authorization header should be specified"
        )
        return s3_error(400, "InvalidArgument", message, more)
    if old or (authorizations and authorizations[0].startswith(b"AWS ")):
        message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
        return s3_error(400, "InvalidRequest", message, more)
    if repeated := [name for name, count in signing.items() if count > 1]:
        message = f"Error parsing the {repeated[0]} parameter: it is there more than once."
        return s3_error(400, "AuthorizationQueryParametersError", message, more)
    if signing:
        signed = next((value for name, value in query if name.lower() == "x-amz-signedheaders"), "")
        return _unsigned(headers, {*signed.lower().split(";")}, more)
    if authorizations and (found := _SIGNED_HEADERS.findall(authorizations[0])):
        in_all = set.intersection(*({*each.decode("latin-1").lower().split(";")} for each in found))
        return _unsigned(headers, in_all | _MAY_BE_UNSIGNED, more)
    return None


def _is_of_s3(query: list[tuple[str, str]], authorizations: list[bytes]) -> bool:
    """Tell whether anything that is signed is signed for S3: the credential's scope names the service."""
    scopes = [value.encode() for name, value in query if name.lower() == "x-amz-credential"]
    old = any(name == "AWSAccessKeyId" for name, _ in query) and not any(name == "Action" for name, _ in query)
    return old or any(b"/s3/" in each or each.startswith(b"AWS ") for each in scopes + authorizations)


def _unsigned(headers: dict[bytes, bytes], signed: set[str], more: Headers) -> Response | None:
    present = {name.decode("latin-1").lower() for name in headers}
    required = {"host"} | {name for name in present if name.startswith("x-amz-")}
    missing = sorted(required - signed)
    if not missing:
        return None
    message = "There were headers present in the request which were not signed"
    return s3_error(403, "AccessDenied", message, more, {"HeadersNotSigned": ", ".join(missing)})
