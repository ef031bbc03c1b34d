"""The report of a load run or a simulated day: one page that opens anywhere, and CSV.

results (`load_tests.results.Results`) → view models (`verdict`, `charts`, `histograms`, `tables`, `comparison`: pure
functions) → `page` (Jinja2 templates, a partial a section). Jinja2 comes with the extra `load`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from load_tests.results import Results

PAGE, TREND = "report.html", "trend.html"


class NoTemplates(Exception):
    """Jinja2 is not installed, so there are no pages; the other files are written without it."""

    def __init__(self) -> None:
        super().__init__("The report's page needs Jinja2: pip install 'shoebox[fleet]'")


def write(results: Results, folder: Path) -> Path:
    """Write a run's folder: results.json, series.csv, requests.csv, limits.csv and report.html; return the page's path.

    Raises:
        NoTemplates: Jinja2 is missing; the other files are written.
        OSError: the folder can't be written.
    """
    from load_tests.report.files import files_in, write_files

    write_files(results, folder)
    return _written(_pages().report_page(results, files_in(folder)), folder / PAGE)


def write_comparison(left: Results, right: Results, path: Path) -> Path:
    """Write the report of two runs beside each other to `path`, and return the path. Raises as `write`."""
    return _written(_pages().comparison_page(left, right), path)


def write_trend(folder: Path) -> Path:
    """Write trend.html, the runs of a folder over time, into it, and return its path. Raises as `write`."""
    return _written(_pages().trend_page(folder), folder / TREND)


def _pages() -> ModuleType:
    try:
        from load_tests.report import page
    except ModuleNotFoundError as error:
        if error.name not in {"jinja2", "markupsafe"}:
            raise
        raise NoTemplates from error
    return page


def _written(page: str, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, "utf-8", newline="\n")
    return path
