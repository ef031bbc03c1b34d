"""The client's errors; each class says what to do.

ClientError
├── TransientError    may go away by itself: try again, after `retry_after` seconds where the other side said so
│   └── Unreachable   no connection, or no response in time
├── UrlExpired        an upload URL no longer holds: register again; the third in a row becomes `upload_refused`
├── Refused           the service said no, with a stable `code` and a `detail` for people (RFC 9457)
│   ├── NotAllowed    401, 403: the token
│   └── NotFound      404: not there, or not yours
├── NotShoebox        something else responds at this address
└── FileError         a local file: `file_changed` while it was sent, or `unreadable`
"""

from __future__ import annotations


class ClientError(Exception):
    """Base of the tree; `code` is stable, `detail` is for people.

    `exhausted`: the work was tried again as often as the policy allows, so no caller should try it once more.
    """

    exhausted = False

    def __init__(self, detail: str, *, code: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code


class TransientError(ClientError):
    """An error that may go away by itself; `retry_after` in seconds."""

    def __init__(self, detail: str, *, code: str = "unavailable", retry_after: float | None = None) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after


class Unreachable(TransientError):
    """There is no connection, or no response in time."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, code="unreachable")


class UrlExpired(ClientError):
    """An upload URL no longer holds."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, code="upload_expired")


class Refused(ClientError):
    """The service refused the request; `status` is HTTP's."""

    def __init__(self, detail: str, *, code: str, status: int) -> None:
        super().__init__(detail, code=code)
        self.status = status


class NotAllowed(Refused):
    """The token is missing, wrong, expired, or lacks a scope."""


class NotFound(Refused):
    """Not there, or not yours."""


class NotShoebox(ClientError):
    """Something responds, but it is not Shoebox."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, code="not_shoebox")


class FileError(ClientError):
    """A local file cannot be sent."""
