"""Pages from view models: templates, style, script and data in one document that asks for nothing from anywhere.

A Content-Security-Policy names the hashes of its own style and scripts: no other would run, whatever a name in the
results holds. Jinja2 escapes every text; the data is JSON in which no character can end its element.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from load_tests.report import tables, trend
from load_tests.report.charts import Chart, charts_of, document
from load_tests.report.comparison import comparison_of
from load_tests.report.files import ABOUT, ALWAYS
from load_tests.report.formats import number
from load_tests.report.histograms import HEIGHT, WIDTH, histograms_of
from load_tests.report.palette import DARK, LIGHT
from load_tests.report.thinning import MAX_POINTS
from load_tests.report.verdict import verdict_of
from load_tests.results import Results

_HERE = Path(__file__).parent
_STYLES = ("vendor/uplot/uPlot.min.css", "assets/report.css")
_SCRIPTS = ("vendor/uplot/uPlot.iife.min.js", "assets/report.js")
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[._/])(?=\w)")
_IN_SCRIPT = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


def report_page(results: Results, files: Sequence[str] = ALWAYS) -> str:
    """Return the report of one run, with links to these files beside it."""
    charts = charts_of(results)
    return _page(
        "report.html",
        charts,
        results=results,
        verdict=verdict_of(results),
        charts=charts,
        histograms=histograms_of(results),
        drawing=(WIDTH, HEIGHT),
        tables=tables,
        files=[(name, ABOUT[name]) for name in files],
    )


def trend_page(folder: Path) -> str:
    """Return the page of a folder's runs over time. Raises OSError where there is no such folder."""
    return _page(
        "trend.html",
        (),
        groups=trend.groups_of(trend.runs_in(folder)),
        columns=[title for title, _ in trend.COLUMNS],
        drawing=(trend.WIDTH, trend.HEIGHT),
        max_runs=trend.MAX_RUNS,
    )


def comparison_page(left: Results, right: Results) -> str:
    """Return the report of two runs beside each other."""
    comparison = comparison_of(left, right)
    return _page("comparison.html", comparison.charts, comparison=comparison, tables=tables)


def inline_json(data: Any) -> str:
    """Return JSON for a script element: nothing in it can end the element, or a line of an old script."""
    return orjson.dumps(data).decode().translate(_IN_SCRIPT)


def _page(template: str, drawn: Iterable[Chart], **views: Any) -> str:
    style = "\n".join((*((_HERE / name).read_text("utf-8").strip() for name in _STYLES), _palette()))
    scripts = [(_HERE / name).read_text("utf-8").strip() for name in _SCRIPTS]
    scripts_allowed = " ".join(map(_hash, scripts))
    drawn = list(drawn)
    # Markup is for our own files, and for JSON from `inline_json`: they need no escaping.
    return (
        _environment()
        .get_template(template)
        .render(
            style=Markup(style),  # noqa: S704
            scripts=[Markup(script) for script in scripts],  # noqa: S704
            policy=(
                f"default-src 'none'; style-src {_hash(style)}; script-src {scripts_allowed};"
                " base-uri 'none'; form-action 'none'"
            ),
            data=Markup(inline_json(document(drawn))),  # noqa: S704
            thinned=any(line.points.thinned for chart in drawn for line in chart.lines),
            most_points=number(MAX_POINTS),
            **views,
        )
    )


@cache  # the templates are compiled once: that takes longer than to render them
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment


def _breakable(text: str) -> Markup:
    """Let a long name of joined words break between them: ReservedFunction|Concurrent|…."""
    return Markup("<wbr>").join(_WORDS.split(text))


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _palette() -> str:
    """Return the lines' colours as custom properties, for light and for dark."""
    light, dark = ("".join(f"--c{n}:{colour};" for n, colour in enumerate(colours)) for colours in (LIGHT, DARK))
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root:not(.print){{{dark}}}}}"
