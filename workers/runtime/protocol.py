"""The Runtime API's messages: exact paths and headers ("Using the Lambda runtime API for custom runtimes").

The interface is `2018-06-01`. `Lambda-Runtime-Invocation-Id` is a nonce that AWS has sent with `next` since July 2026
and wants back, so that the late response of a timed-out attempt is not taken for the retry's.
"""

from __future__ import annotations

import base64
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from workers.runtime.errors import MalformedResponse
from workers.runtime.http1 import Response

API_VERSION = "2018-06-01"
USER_AGENT = f"shoebox-lambda-runtime/{platform.python_version()}"
MAX_CAUSE_BYTES = 1024 * 1024
"""AWS's clients leave out a longer X-Ray cause."""

RESPONSE_MODE = "Lambda-Runtime-Function-Response-Mode"
ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
ERROR_BODY = "Lambda-Runtime-Function-Error-Body"
"""Base64; only in the trailers of a stream."""
LAST_CHUNK = b"0\r\n\r\n"

_UNSAFE = re.compile(r"[^\t\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the Runtime API is: `host:port`, and for some emulators a path before AWS's own."""

    host: str
    port: int
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `AWS_LAMBDA_RUNTIME_API`: `127.0.0.1:9001`, or `127.0.0.1:9001/.rt/ingest/abc`. Raises ValueError."""
        authority, _, path = text.removeprefix("http://").partition("/")
        host, colon, port = authority.rpartition(":")
        if not colon:
            host, port = authority, "80"
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536 or _UNSAFE.search(text) or " " in text:
            raise ValueError(f"not host:port[/path]: {text!r}")
        return cls(host, int(port), f"/{path.strip('/')}" if path.strip("/") else "")

    @property
    def authority(self) -> str:
        """The `Host` header."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Invocation(NamedTuple):
    """What `next` returned. Empty headers, which AWS's LMI sends for what it does not know, count as missing."""

    request_id: str
    deadline_ms: int
    """Epoch milliseconds; 0 if missing."""
    function_arn: str
    trace_id: str | None
    tenant_id: str | None
    client_context: str | None
    """JSON."""
    cognito_identity: str | None
    """JSON."""
    invocation_id: str | None
    content_type: str
    body: bytes

    @classmethod
    def parse(cls, response: Response) -> Self:
        """Parse a 200 response. Raises MalformedResponse without a request id."""
        get = response.headers.get
        request_id = get("lambda-runtime-aws-request-id")
        if not request_id:
            raise MalformedResponse("next: no Lambda-Runtime-Aws-Request-Id")
        deadline = get("lambda-runtime-deadline-ms", "")
        return cls(
            request_id=request_id,
            deadline_ms=int(deadline) if deadline.isdecimal() else 0,
            function_arn=get("lambda-runtime-invoked-function-arn", ""),
            trace_id=get("lambda-runtime-trace-id") or None,
            tenant_id=get("lambda-runtime-aws-tenant-id") or None,
            client_context=get("lambda-runtime-client-context") or None,
            cognito_identity=get("lambda-runtime-cognito-identity") or None,
            invocation_id=get("lambda-runtime-invocation-id") or None,
            content_type=get("content-type", ""),
            body=response.body,
        )


class InFlightInvocation(NamedTuple):
    """An invocation that has no response yet; enough of it to post an error."""

    request_id: str
    invocation_id: str | None = None


class Messages:
    """Requests to one endpoint, as bytes ready to send."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._base = f"{endpoint.prefix}/{API_VERSION}/runtime"
        self._common = f" HTTP/1.1\r\nHost: {endpoint.authority}\r\nUser-Agent: {USER_AGENT}\r\n"
        self.next = f"GET {self._base}/invocation/next{self._common}\r\n".encode("latin-1")

    def response(self, invocation: Invocation, body: bytes, content_type: str) -> bytes:
        """Write the post of the handler's response."""
        return self._post(
            f"/invocation/{invocation.request_id}/response",
            {"Content-Type": content_type, "Lambda-Runtime-Invocation-Id": invocation.invocation_id},
            body,
        )

    def streaming_response(self, invocation: Invocation, content_type: str) -> bytes:
        """Write the head of a response that follows in chunks."""
        headers = {
            "Content-Type": content_type,
            RESPONSE_MODE: "streaming",
            "Transfer-Encoding": "chunked",
            "Trailer": f"{ERROR_TYPE}, {ERROR_BODY}",
            "Lambda-Runtime-Invocation-Id": invocation.invocation_id,
        }
        return self._head(f"/invocation/{invocation.request_id}/response", headers)

    def error(self, invocation: Invocation | InFlightInvocation, body: bytes, error_type: str, cause: str) -> bytes:
        """Write the post of the handler's failure.

        `cause` is the X-Ray cause as JSON. It and `error_type` must be ASCII without line ends.
        """
        return self._post(
            f"/invocation/{invocation.request_id}/error",
            {
                "Content-Type": "application/json",
                ERROR_TYPE: error_type,
                "Lambda-Runtime-Function-XRay-Error-Cause": cause if len(cause) < MAX_CAUSE_BYTES else None,
                "Lambda-Runtime-Invocation-Id": invocation.invocation_id,
            },
            body,
        )

    def init_error(self, body: bytes, error_type: str) -> bytes:
        """Write the post that tells that the function cannot start."""
        headers = {"Content-Type": "application/json", ERROR_TYPE: error_type}
        return self._post("/init/error", headers, body)

    def _post(self, path: str, headers: Mapping[str, str | None], body: bytes) -> bytes:
        return self._head(path, {**headers, "Content-Length": str(len(body))}) + body

    def _head(self, path: str, headers: Mapping[str, str | None]) -> bytes:
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items() if value])
        return f"POST {self._base}{path}{self._common}{lines}\r\n".encode("latin-1")


def chunk(part: bytes) -> bytes:
    """Write a part, which must not be empty, as a chunk (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(part), part)


def error_trailers(error_type: str, body: bytes) -> bytes:
    """Write the end of a stream that fails: the last chunk, and trailers that say why."""
    encoded = base64.b64encode(body).decode("ascii")
    return f"0\r\n{ERROR_TYPE}: {error_type}\r\n{ERROR_BODY}: {encoded}\r\n\r\n".encode("latin-1")
