"""The errors of calls to AWS, whichever client makes them.

AwsError                  base; knows its `code`, HTTP `status` and whether it is `retryable`
├── AwsRefused            the service returned an error; retryable for 5xx, throttling and its own time-outs
└── AwsUnreachable        there was no response, or none that can be used; retryable but where credentials are missing
    ├── ConnectionLost    the connection could not be made, or ended before the response was whole; retryable
    ├── ResponseTimeout   the response took too long; retryable
    └── InvalidResponse   the response is not HTTP, or not what the protocol promises; retryable
        └── BodyTooLarge  its headers announce more than is wanted; none of the body was read; not retryable

The small clients raise these by themselves. Whoever uses an aiobotocore client wraps its calls in
`shoebox.aws.botocore_errors.aws_errors`, so that botocore's errors never leave an adapter.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# botocore.retries.standard: ThrottledRetryableChecker and TransientRetryableChecker
_RETRYABLE_CODES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "RequestThrottled",
        "TooManyRequestsException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "LimitExceededException",
        "SlowDown",
        "PriorRequestNotComplete",
        "TransactionInProgressException",
        "RequestTimeout",
        "RequestTimeoutException",
    }
)


class AwsError(Exception):
    """A call failed: `code` is the service's error code, or names what failed on the way.

    `message` is what the service or the network says; `status` is None without a response. `retryable` tells whether
    the same call may succeed in a moment.
    """

    status: int | None = None

    def __init__(self, code: str, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retryable = retryable

    def has_code(self, *codes: str) -> bool:
        """Return whether the code is one of these, also with a namespace before a dot, as SQS's older ones have it."""
        return self.code.rpartition(".")[2] in {code.rpartition(".")[2] for code in codes}


class AwsRefused(AwsError):
    """The service returned an error: HTTP's `status`, and all members of its `content`.

    Retryable are 5xx, throttling and the service's own time-outs (`_RETRYABLE_CODES`).
    """

    status: int

    def __init__(
        self,
        code: str,
        message: str,
        status: int,
        content: Mapping[str, Any] | None = None,
        *,
        operation: str = "",
    ) -> None:
        retryable = status >= 500 or code in _RETRYABLE_CODES
        super().__init__(code, message, retryable=retryable)
        self.status = status
        self.content = content or {}
        self.operation = operation

    def __str__(self) -> str:
        failed = f"{self.operation} failed with {self.status} {self.code}".lstrip()
        return f"{failed}: {self.message}" if self.message else failed


class AwsUnreachable(AwsError):
    """There was no response, or none that can be used. The service may have done what was asked all the same."""

    def __init__(self, code: str, message: str, *, retryable: bool = True) -> None:
        super().__init__(code, message, retryable=retryable)


class ConnectionLost(AwsUnreachable):
    """The connection could not be made, or ended before the response was whole.

    `reused`: it had served before and gave no byte of a response, so that the server had probably closed it.
    """

    def __init__(self, message: str, *, reused: bool = False) -> None:
        super().__init__("ConnectionLost", message)
        self.reused = reused


class ResponseTimeout(AwsUnreachable):
    """The response took too long."""

    def __init__(self, message: str) -> None:
        super().__init__("Timeout", message)


class InvalidResponse(AwsUnreachable):
    """The response is not HTTP, larger than allowed, or not what the protocol promises."""

    def __init__(self, message: str, code: str = "InvalidResponse", *, retryable: bool = True) -> None:
        super().__init__(code, message, retryable=retryable)


class BodyTooLarge(InvalidResponse):
    """The response's `headers` announce a body of more than was allowed; none of it was read."""

    status: int

    def __init__(self, status: int, headers: dict[bytes, bytes]) -> None:
        length = headers.get(b"content-length", b"?").decode("latin-1")
        super().__init__(f"a body of {length} bytes", "BodyTooLarge", retryable=False)
        self.status = status
        self.headers = headers
