"""Translation of AWS's errors into the domain's, so that routes and functions need not know AWS's."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from shoebox.aws.errors import AwsError
from shoebox.errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")


def retryable_as_unavailable(call: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Let `call` raise `Unavailable` for a retryable `AwsError`.

    Any other, such as a missing permission, is a fault of ours and is raised as it is.
    """

    @wraps(call)
    async def translated(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await call(*args, **kwargs)
        except AwsError as error:
            if not error.retryable:
                raise
            message = "A part behind the API is busy; try again shortly."
            raise Unavailable(message) from error

    return translated
