"""The errors of Shoebox's domain.

ShoeboxError                 knows its stable code, HTTP status, public text, and whether it is `retryable`
├── NotFound                 404: not there, or not yours; the two are never told apart
├── Forbidden                403: the token lacks a scope
├── Unauthorized             401: the token is missing, invalid or expired
├── Invalid                  422: the request is well-formed JSON but not acceptable
├── Conflict                 409: the file's state does not allow it
└── Unavailable              503: a dependency failed and may work in a moment; the only one to retry as it is
"""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar


class ShoeboxError(Exception):
    """Base of the tree.

    `detail` is public: it may be shown to any caller. `code` is stable: clients may branch on it. `retryable` says
    whether the same call may succeed in a moment.
    """

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: str = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        if code:
            self.code = code


class NotFound(ShoeboxError):
    """Not there, or not yours. Not retryable."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"


class Forbidden(ShoeboxError):
    """The token lacks a scope. Not retryable."""

    status = HTTPStatus.FORBIDDEN
    code = "scope_missing"


class Unauthorized(ShoeboxError):
    """The token is missing, invalid or expired. Not retryable with the same token."""

    status = HTTPStatus.UNAUTHORIZED
    code = "token_malformed"


class Invalid(ShoeboxError):
    """The request cannot be accepted as it is. Not retryable."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "validation"


class Conflict(ShoeboxError):
    """The file's state does not allow it. Not retryable until that changes."""

    status = HTTPStatus.CONFLICT
    code = "conflict"


class Unavailable(ShoeboxError):
    """A dependency failed and may work in a moment. Retryable; the write may have been done or not."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    retryable = True
