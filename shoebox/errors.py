"""The errors of Shoebox's domain.

ShoeboxError                 knows its stable code, HTTP status and public text
├── NotFound                 404: not there, or not yours; the two are never told apart
├── Forbidden                403: the token lacks a scope
├── Unauthorized             401: the token is missing, wrong or used up
├── Invalid                  422: the request is well-formed JSON but not acceptable
├── Conflict                 409: the state of the thing does not allow it
└── Unavailable              503: a passing fault behind us; try again
"""

from __future__ import annotations

from http import HTTPStatus
from typing import ClassVar


class ShoeboxError(Exception):
    """Base of the tree.

    `detail` is public: it may be shown to any caller. `code` is stable: clients may branch on it.
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
    """Not there, or not yours."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"


class Forbidden(ShoeboxError):
    """The token lacks a scope."""

    status = HTTPStatus.FORBIDDEN
    code = "scope_missing"


class Unauthorized(ShoeboxError):
    """The token is missing, wrong or used up."""

    status = HTTPStatus.UNAUTHORIZED
    code = "token_malformed"


class Invalid(ShoeboxError):
    """The request cannot be accepted as it is."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "validation"


class Conflict(ShoeboxError):
    """The state of the thing does not allow it."""

    status = HTTPStatus.CONFLICT
    code = "conflict"


class Unavailable(ShoeboxError):
    """A passing fault behind us."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    retryable = True
