"""Why an invocation was not run, in the words of Lambda's Invoke (AWS Lambda API reference, "Invoke", Errors).

InvokeError                 knows its HTTP status and error code
├── FunctionNotFound        404
├── RequestTooLarge         413
├── InvalidRequestContent   400: the payload is not JSON
└── Throttled               429, with its reason; try again later
    └── NoCapacity          it is this machine that has no environment free, and no limit of AWS
"""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar


class InvokeError(Exception):
    """Base of the tree; `code` is the AWS error code, `message` its text."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: ClassVar[str] = "ServiceException"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class FunctionNotFound(InvokeError):
    """There is no function of that name."""

    status = HTTPStatus.NOT_FOUND
    code = "ResourceNotFoundException"

    def __init__(self, name: str) -> None:
        super().__init__(f"Function not found: {name}")


class RequestTooLarge(InvokeError):
    """The payload is above the limit of the invocation type."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "RequestTooLargeException"

    def __init__(self, limit: int) -> None:
        super().__init__(f"Request must be smaller than {limit} bytes for the InvokeFunction operation")
        self.limit = limit


class InvalidRequestContent(InvokeError):
    """The payload is not JSON."""

    status = HTTPStatus.BAD_REQUEST
    code = "InvalidRequestContentException"


class Throttled(InvokeError):
    """A limit refuses the invocation; `reason` is one of AWS's throttle reasons."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "TooManyRequestsException"

    def __init__(self, reason: str, message: str = "Rate Exceeded.") -> None:
        super().__init__(message)
        self.reason = reason


class NoCapacity(Throttled):
    """No environment came free in time; AWS responds so where all slots of managed instances are busy."""

    def __init__(self, function: str, seconds: float) -> None:
        message = f"No environment of {function} came free in {seconds:g} s: this machine runs no more of them."
        super().__init__("ConcurrentInvocationLimitExceeded", message)
