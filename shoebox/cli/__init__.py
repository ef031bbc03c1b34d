"""The command line, `shoebox up | upload | files | …`. Reference: docs/reference/cli.md.

Commands live in one module each and import what they need when they run, so that help and errors come at once.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of `shoebox`."""
    from shoebox.cli.app import app
    from shoebox.cli.exits import CliError, Exit
    from shoebox.cli.output import Output

    try:
        app()
    except CliError as error:
        Output().error(error.message, error.hint)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(Exit.INTERRUPTED)
