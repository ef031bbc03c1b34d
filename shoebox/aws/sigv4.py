"""AWS Signature Version 4 in headers, for small requests to one service. Pure; the caller passes the time.

Source: AWS Identity and Access Management, "Create a signed AWS API request". The signing key is good for a day and
kept so long: what is left of a signature is two hashes and one HMAC. `shoebox.aws.presign` signs URLs.
"""

from __future__ import annotations

import hashlib
import hmac
import time

from shoebox.aws.credentials import Credentials

CONTENT_TYPE = "application/x-amz-json-1.0"


class Signer:
    """Makes the heads of POST requests to `/` at one host, signed with one set of credentials."""

    def __init__(
        self, credentials: Credentials, *, region: str, service: str, host: str, content_type: str = CONTENT_TYPE
    ) -> None:
        self._credentials = credentials
        self._region = region
        self._service = service
        self._host = host
        token = credentials.session_token
        self._type = content_type
        self._names = "content-type;host;x-amz-date" + (";x-amz-security-token" if token else "")
        self._token = f"x-amz-security-token:{token}\n" if token else ""
        self._token_line = f"X-Amz-Security-Token: {token}\r\n" if token else ""
        self._day = ""
        self._key = b""

    def head(self, target: str, body: bytes, now: float) -> bytes:
        """Request line and headers for `body`; `target` as in X-Amz-Target, or empty, `now` in seconds since 1970."""
        names = f"{self._names};x-amz-target" if target else self._names
        signed_target = f"x-amz-target:{target}\n" if target else ""
        target_line = f"X-Amz-Target: {target}\r\n" if target else ""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        scope = f"{stamp[:8]}/{self._region}/{self._service}/aws4_request"
        canonical = (
            f"POST\n/\n\ncontent-type:{self._type}\nhost:{self._host}\nx-amz-date:{stamp}\n"
            f"{self._token}{signed_target}\n{names}\n{hashlib.sha256(body).hexdigest()}"
        )
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}".encode()
        signature = hmac.digest(self._signing_key(stamp[:8]), text, "sha256").hex()
        return (
            f"POST / HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: {self._type}\r\n{target_line}"
            f"X-Amz-Date: {stamp}\r\n{self._token_line}Authorization: AWS4-HMAC-SHA256 "
            f"Credential={self._credentials.access_key_id}/{scope}, SignedHeaders={names}, "
            f"Signature={signature}\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode("latin-1")

    def _signing_key(self, day: str) -> bytes:
        if day != self._day:
            key = f"AWS4{self._credentials.secret_access_key}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day, self._key = day, key
        return self._key
