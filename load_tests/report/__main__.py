"""`python -m load_tests.report RUN [OTHER]`: make a run's report again, or compare two runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from load_tests.report import TREND, NoTemplates, write, write_comparison, write_trend
from load_tests.report.files import read_results

COMPARISON = "comparison.html"
_EXAMPLES = f"""examples:
  python -m load_tests.report runs/christmas               writes runs/christmas/report.html and its CSV again
  python -m load_tests.report runs/naive runs/christmas    writes runs/naive/{COMPARISON}
  python -m load_tests.report --trend runs                 writes runs/{TREND}: all runs of that folder over time
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page and print its path; 2 where a run cannot be read."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m load_tests.report", epilog=_EXAMPLES, formatter_class=raw)
    parser.add_argument("run", type=Path, metavar="RUN", help="a run's folder, or its results.json")
    parser.add_argument("other", type=Path, nargs="?", metavar="OTHER", help="another run, to compare them")
    parser.add_argument("--trend", action="store_true", help="RUN is the folder of all runs: show them over time")
    parser.add_argument("--output", type=Path, metavar="PATH", help="the folder, or the comparison's file")
    options = parser.parse_args(arguments)
    try:
        page = write_trend(options.run) if options.trend else _write(options.run, options.other, options.output)
    except (OSError, ValidationError, NoTemplates) as error:
        parser.error(str(error))
    sys.stdout.write(f"{page}\n")
    return 0


def _write(run: Path, other: Path | None, output: Path | None) -> Path:
    folder = run if run.is_dir() else run.parent
    if other is None:
        return write(read_results(run), output or folder)
    return write_comparison(read_results(run), read_results(other), output or folder / COMPARISON)


if __name__ == "__main__":
    sys.exit(main())
