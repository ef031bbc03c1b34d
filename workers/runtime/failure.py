"""Lambda's error shape: the body that callers see, the header for its metrics, X-Ray's cause.

Body: `{"errorMessage", "errorType", "requestId", "stackTrace": [lines]}`, as AWS's Python runtime client posts it.
"""

from __future__ import annotations

import importlib
import itertools
import os
import re
import signal
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import FrameSummary
from typing import Any, Self

from workers.runtime.errors import FunctionFault
from workers.runtime.marshal import dumps_ascii

MAX_MESSAGE_CHARACTERS = 64 * 1024
MAX_FRAMES = 100
"""The innermost are kept. With the message's limit, a body stays far below Lambda's 1 MiB."""

EXIT_ERROR = "Runtime.ExitError"

_NOT_THE_USERS = (str(Path(__file__).parent) + os.sep, "<frozen importlib", *filter(None, [importlib.__file__]))


@dataclass(frozen=True, slots=True)
class Failure:
    """How an invocation, or the function's start, failed; `exit_code` if the process must end over it."""

    error_type: str
    message: str
    frames: tuple[FrameSummary, ...] = ()
    stack: tuple[str, ...] = ()
    exit_code: int | None = None

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """From what was raised: faults under AWS's names, exits as Runtime.ExitError, the rest by their class."""
        if isinstance(error, FunctionFault):
            cause = error.__cause__ if error.traces_cause else None
            return cls(error.error_type, str(error), _user_frames(cause) if cause else (), error.stack)
        frames = _user_frames(error) or _frames(error)
        if isinstance(error, (SystemExit, KeyboardInterrupt)):
            status = exit_status(error)
            # Lambda takes any exit inside an invocation for a failure, so even `sys.exit(0)` becomes 1.
            return cls(EXIT_ERROR, exit_reason(status), frames, exit_code=status or 1)
        return cls(type(error).__name__, _message(error), frames)

    @property
    def stack_trace(self) -> list[str]:
        """One string a frame, innermost last."""
        return list(self.stack) or traceback.format_list(list(self.frames))

    @property
    def header(self) -> str:
        """`Lambda-Runtime-Function-Error-Type`: `Runtime.Name` or `Function.Name`; Lambda takes no other form."""
        name = self.error_type if self.error_type.startswith("Runtime.") else f"Function.{self.error_type}"
        return re.sub(r"[^A-Za-z0-9_.]", "_", name)

    def body(self, request_id: str) -> bytes:
        """The JSON that the caller gets."""
        return dumps_ascii(self.fields() | {"requestId": request_id})

    def fields(self) -> dict[str, Any]:
        """What body and log line have in common."""
        return {"errorMessage": self.message, "errorType": self.error_type, "stackTrace": self.stack_trace}

    def cause(self) -> str:
        """X-Ray's cause as one line of ASCII JSON."""
        stack = [{"label": f.name, "path": f.filename, "line": f.lineno} for f in self.frames]
        cause = {
            "working_directory": str(Path.cwd()),
            "exceptions": [{"message": self.message, "type": self.error_type, "stack": stack}],
            "paths": sorted({f.filename for f in self.frames}),
        }
        return dumps_ascii(cause).decode("ascii")


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:  # noqa: BLE001  # the handler's class may raise whatever it likes
        text = f"<{type(error).__name__}, whose __str__ raised {type(broken).__name__}>"
    if isinstance(error, BaseExceptionGroup):
        members: Sequence[BaseException] = error.exceptions
        text += ": " + "; ".join(f"{type(member).__name__}: {_message(member)}" for member in members)
    return text[:MAX_MESSAGE_CHARACTERS]


def _frames(error: BaseException) -> tuple[FrameSummary, ...]:
    return tuple(traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:])


def _user_frames(error: BaseException) -> tuple[FrameSummary, ...]:
    """The traceback from where it leaves this runtime and the import machinery."""
    frames = traceback.extract_tb(error.__traceback__)
    user = itertools.dropwhile(lambda frame: frame.filename.startswith(_NOT_THE_USERS), frames)
    return tuple(user)[-MAX_FRAMES:]


def exit_reason(status: int) -> str:
    """A process's end in the words of Lambda's interface emulator."""
    if status < 0:
        return f"Runtime exited with error: signal: {signal.Signals(-status).name}"
    return f"Runtime exited with error: exit status {status}" if status else "Runtime exited without providing a reason"


def exit_status(error: BaseException) -> int:
    """The status with which the interpreter would end over this."""
    code = error.code if isinstance(error, SystemExit) else 1
    if isinstance(code, int):
        return code & 0xFF
    return int(code is not None)
