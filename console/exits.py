"""Exit codes, and the error that ends a command with one clear message. The codes are stable: docs/reference/cli.md."""

from __future__ import annotations

from enum import IntEnum

from shoebox_client.errors import ClientError, NotAllowed, NotShoebox, TransientError, Unreachable


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    FAILED = 1  # some files were rejected, failed or are unfinished; something is not there
    USAGE = 2
    UNREACHABLE = 3  # no service, or something else, at the address
    NOT_ALLOWED = 4  # the token
    LOCAL = 5  # the set-up of this machine: ports, keys, missing parts
    INVALID = 6  # a load run that says nothing: stopped, or its generator could not keep up
    INTERRUPTED = 130


class CliError(Exception):
    """Ends a command: what happened, what to do about it, and the exit code."""

    def __init__(self, message: str, *, hint: str = "", exit_code: Exit = Exit.FAILED) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code


def from_client_error(error: ClientError) -> CliError:
    """Turn a client's error into the end of a command, with what to do about it."""
    match error:
        case NotAllowed(code="scope_missing"):
            hint = "Take a token with the scope it needs: shoebox token mint --scope files:read --scope files:write"
            return CliError(f"Not allowed: {error.detail}", hint=hint, exit_code=Exit.NOT_ALLOWED)
        case NotAllowed():
            hint = "Set a good one with --token or SHOEBOX_TOKEN; for the local stack: shoebox token mint"
            return CliError(
                f"The token does not do ({error.code}): {error.detail}", hint=hint, exit_code=Exit.NOT_ALLOWED
            )
        case Unreachable():
            hint = "Is it running? Start it with `shoebox up`, or name its address with --url or SHOEBOX_URL."
            return CliError(error.detail, hint=hint, exit_code=Exit.UNREACHABLE)
        case TransientError():
            hint = "Run the same command again later: it goes on where it was."
            return CliError(error.detail, hint=hint, exit_code=Exit.UNREACHABLE)
        case NotShoebox():
            hint = "Check the address: --url or SHOEBOX_URL."
            return CliError(error.detail, hint=hint, exit_code=Exit.UNREACHABLE)
    return CliError(f"{error.detail} ({error.code})")
