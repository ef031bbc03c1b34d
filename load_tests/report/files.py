"""The files of a run's folder beside the page: the results as they are, and tables for a spreadsheet or pandas."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from load_tests.report.verdict import use_of
from load_tests.results import PERCENTILES, Limit, RequestStats, Results

RESULTS = "results.json"
ALWAYS = (RESULTS, "series.csv", "requests.csv", "limits.csv")
ABOUT = {
    **dict(zip(ALWAYS, ("everything", "every point of the charts", "calls", "limits"), strict=True)),
    "photos.csv": "a row a photo",
    "config.json": "what was set",
    "stack.yaml": "the stack that ran",
    "stack.log": "what it said",
}
"""The files of a run's folder beside its page, and what they hold."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_REQUESTS = ("name", "count", "failures", "mean", *(f"p{p:g}" for p in PERCENTILES), "max", "reasons")
_LIMITS = ("limit", "subject", "unit", "peak", "most", "factor", "throttled", "first_at", "ask")


def write_files(results: Results, folder: Path) -> None:
    """Write results.json, series.csv, requests.csv and limits.csv; times in seconds, what is unknown empty."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RESULTS).write_text(results.model_dump_json() + "\n", "utf-8")
    points = (
        (series.panel, series.name, series.unit, t, value)
        for series in results.series
        for t, value in zip(series.t, series.values, strict=True)
    )
    _write(folder / "series.csv", ("panel", "name", "unit", "t", "value"), points)
    _write(folder / "requests.csv", _REQUESTS, map(_request_row, results.requests))
    _write(folder / "limits.csv", _LIMITS, map(_limit_row, results.limits))


def files_in(folder: Path) -> tuple[str, ...]:
    """Return those of `ABOUT` that a run's folder has."""
    return tuple(name for name in ABOUT if (folder / name).is_file())


def read_results(path: Path) -> Results:
    """Return the results of a run's folder, or of a results.json itself.

    Raises OSError where there is none, and pydantic.ValidationError where it is another file.
    """
    return Results.model_validate_json((path / RESULTS if path.is_dir() else path).read_bytes())


def _write(path: Path, columns: Iterable[str], rows: Iterable[tuple[Any, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> Any:
    """Mark a text that a spreadsheet would compute as text ("CSV Injection", OWASP)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _request_row(request: RequestStats) -> tuple[Any, ...]:
    reasons = json.dumps(request.reasons, ensure_ascii=False) if request.reasons else None
    times: tuple[float | None, ...] = (None,) * (len(PERCENTILES) + 2)
    if (seconds := request.seconds) is not None:
        times = (seconds.mean, *(seconds.percentile(f"{p:g}") for p in PERCENTILES), seconds.max)
    return request.name, request.count, request.failures, *times, reasons


def _limit_row(limit: Limit) -> tuple[Any, ...]:
    use = use_of(limit)
    factor = 1 / use if use else None
    return (
        limit.limit,
        limit.subject,
        limit.unit,
        limit.peak,
        limit.maximum,
        factor,
        limit.throttled,
        limit.first_at,
        limit.raise_to,
    )
