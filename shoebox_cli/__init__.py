"""The command line, `shoebox up | upload | files | …`. Reference: docs/reference/cli.md.

Commands live in one module each and import what they need when they run, so that help and errors come at once.
"""

from __future__ import annotations

import errno
import sys


def main() -> None:
    """Entry point of `shoebox`."""
    from console.exits import CliError, Exit
    from console.output import Output, prepare_streams
    from shoebox_cli.app import app

    prepare_streams()
    try:
        app()
    except CliError as error:
        Output().error(error.message, error.hint)
        sys.exit(error.exit_code)
    except OSError as error:  # what the machine refuses: a path that is too long, a full disk, a folder that is a file
        if not error.filename and error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}:
            raise
        what = f"{error.filename}: " if error.filename else ""
        Output().error(
            f"{what}{error.strerror or error}", "Look at the paths that were given, and with: shoebox doctor"
        )
        sys.exit(Exit.LOCAL)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
