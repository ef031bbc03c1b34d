"""The files of a run's folder, and the page as a document: escaped, self-contained, small."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
import subprocess
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from load_tests import report
from load_tests.report.__main__ import main
from load_tests.report.files import read_results
from load_tests.report.page import comparison_page, inline_json, report_page
from load_tests.report.trend import HEIGHT, WIDTH, groups_of, runs_in
from load_tests.results import Distribution, Limit, RequestStats, Results, Series
from tests.unit.load_tests.report_runs import christmas, naive, simulated_day

ROOT = Path(__file__).parents[3]
RUN_BYTES, COMPARISON_BYTES = 250_000, 420_000
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&\u2028{{ 7*7 }}"
VENDORED = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}


class _Document(HTMLParser):
    """A page's elements with their attributes, and the text of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] in {"script", "style"} and data.strip():
            self.texts.append((*self.elements[-1], data))


@cache
def christmas_page() -> str:
    """Return the report of the christmas run; it is made once."""
    return report_page(christmas())


@cache
def comparison() -> str:
    """Return the comparison of naive with christmas; it is made once."""
    return comparison_page(naive(), christmas())


@cache
def _hostile() -> Results:
    limit = Limit(limit=HOSTILE, subject=HOSTILE, unit=HOSTILE, peak=1, maximum=1, throttled=1, first_at=1)
    return christmas(
        scenario=HOSTILE,
        title=HOSTILE,
        about=HOSTILE,
        invalid=[HOSTILE],
        notes=[HOSTILE],
        config={HOSTILE: HOSTILE},
        versions={HOSTILE: HOSTILE},
        limits=[limit],
        stages={HOSTILE: christmas().stages["registered → ready"]},
        requests=[RequestStats(name=HOSTILE, count=1, failures=1, seconds=None, reasons={HOSTILE: 1})],
        series=[Series(panel=HOSTILE, name=HOSTILE, unit=HOSTILE, t=[0.0, 1.0], values=[1.0, 2.0])],
    )


def test_published_keys_of_a_limit_stay() -> None:
    """A limit's `maximum` and `raise_to` are `most` and `ask` in results.json, so that earlier runs can be read."""
    document = json.loads(christmas().model_dump_json())
    assert {limit["ask"] for limit in document["limits"] if limit["ask"]} == {12, 75, 150}
    assert {"maximum", "raise_to"}.isdisjoint(document["limits"][0])
    assert Results.model_validate(document) == christmas()


@pytest.mark.parametrize(
    "page",
    [
        lambda: report_page(_hostile()),
        lambda: comparison_page(_hostile(), christmas()),
        lambda: comparison_page(christmas(), _hostile()),
    ],
    ids=["report", "left", "right"],
)
def test_names_cannot_break_out(page: Any) -> None:
    """A name with markup is text wherever it stands: the page has the elements of a harmless one, and no other."""
    text = page()
    document = _Document(text)
    assert sum(tag == "script" for tag, _ in document.elements) == 3
    assert not [tag for tag, _ in document.elements if tag == "img"]
    assert not [attributes for _, attributes in document.elements if any(name.startswith("on") for name in attributes)]
    assert "{{ 7*7 }}" in text
    [data] = [text for _, attributes, text in document.texts if attributes.get("id") == "data"]
    assert HOSTILE in [line["name"] for chart in json.loads(data)["charts"].values() for line in chart["lines"]]


def test_inlined_json_is_still_json() -> None:
    """What could end a script element is escaped, and reads back as it was; what is not a number is null."""
    text = inline_json({"name": HOSTILE, "value": float("inf")})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"name": HOSTILE, "value": None}


@pytest.mark.parametrize(
    "page",
    [christmas_page, comparison],
    ids=["report", "comparison"],
)
def test_the_policy_allows_exactly_what_is_there(page: Any) -> None:
    """The Content-Security-Policy has the hash of each script and of the style, and allows nothing else."""
    document = _Document(page())
    [policy] = [a["content"] for _, a in document.elements if a.get("http-equiv") == "Content-Security-Policy"]
    run = [(tag, text) for tag, attributes, text in document.texts if attributes.get("id") != "data"]
    hashes = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for _, text in run}
    assert set(re.findall(r"'sha256-[^']+'", policy or "")) == hashes
    assert len(run) == len(hashes) == 3
    assert (policy or "").startswith("default-src 'none';")
    assert "unsafe" not in (policy or "")
    assert not [a for tag, a in document.elements if tag in {"link", "img", "iframe"} or "src" in a or "style" in a]


@pytest.mark.parametrize(
    ("page", "maximum"),
    [
        (christmas_page, RUN_BYTES),
        (lambda: report_page(simulated_day()), RUN_BYTES),
        (lambda: _long_page(), RUN_BYTES),
        (comparison, RUN_BYTES),
        (lambda: comparison_page(*[christmas(series=_long_lines())] * 2), COMPARISON_BYTES),
    ],
    ids=["christmas", "day", "long", "comparison", "long comparison"],
)
def test_pages_are_small(page: Any, maximum: int) -> None:
    """A page can be sent by mail, however long the run was."""
    assert len(page().encode()) <= maximum


def test_a_page_says_that_its_lines_were_thinned() -> None:
    """A reader knows that a line is drawn from buckets; where it is not, nothing is said."""
    assert "drawn from buckets" in _long_page()
    assert "drawn from buckets" not in christmas_page()


def test_without_a_script_the_page_still_tells() -> None:
    """Means and peaks of each line, and the sections, are plain HTML in the order of the reader's questions."""
    page = christmas_page()
    sections = re.findall(r'<section id="(\w+)"', page)
    assert " ".join(sections) == "thresholds photos stages charts limits requests queues processes cost run reading"
    cells = ("", "25.2", "64.2", "4:03")
    offered = page[page.index("</svg>offered</th>") :]
    assert tuple(re.findall(r"<td[^>]*>(.*?)</td>", offered)[:4]) == cells
    anchors = set(re.findall(r'href="#([\w-]+)"', page))
    assert anchors <= set(re.findall(r'id="([\w-]+)"', page))


def test_the_chart_library_is_the_released_one() -> None:
    """The vendored files are those of uplot 1.6.32 at the npm registry, with their licence."""
    folder = ROOT / "load_tests" / "report" / "vendor" / "uplot"
    assert {path.name for path in folder.iterdir()} == {*VENDORED, "README.md"}
    assert {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in VENDORED} == VENDORED
    assert b"uPlot (v1.6.32)" in (folder / "uPlot.iife.min.js").read_bytes()[:200]


def test_a_folder_holds_results_page_and_tables(tmp_path: Path) -> None:
    """`write` gives the page's path, and what it wrote reads back as the same results."""
    results = christmas()
    page = report.write(results, tmp_path / "runs" / "christmas")
    assert page == tmp_path / "runs" / "christmas" / "report.html"
    names = {path.name for path in page.parent.iterdir()}
    assert names == {"results.json", "report.html", "series.csv", "requests.csv", "limits.csv"}
    assert read_results(page.parent) == read_results(page.parent / "results.json") == results


def test_the_page_links_to_the_files_beside_it(tmp_path: Path) -> None:
    """Relative, so that they open wherever the folder lies; only those that are there."""
    (tmp_path / "photos.csv").write_text("visit\n", "utf-8")
    page = report.write(christmas(), tmp_path).read_text("utf-8")
    links = [a["href"] for tag, a in _Document(page).elements if tag == "a" and not (a["href"] or "").startswith("#")]
    files = [link for link in links if link and "://" not in link]
    assert files == ["results.json", "series.csv", "requests.csv", "limits.csv", "photos.csv"]
    assert all((tmp_path / name).is_file() for name in files)


def test_percentiles_of_few_are_empty_in_the_csv(tmp_path: Path) -> None:
    """Unknown is empty; the slowest has its own column."""
    few = RequestStats(name="GET", count=20, failures=0, seconds=Distribution.of(range(1, 21)), reasons={})
    report.write(christmas(requests=[few]), tmp_path)
    [row] = _rows(tmp_path / "requests.csv")
    assert (row["p90"], row["p95"], row["p99"], row["p99.9"], row["max"]) == ("18.0", "19.0", "", "", "20.0")


def runs(folder: Path, *found: Results) -> None:
    """Write a folder of runs, the oldest first."""
    for n, results in enumerate(found):
        run = folder / f"2026112{n}T000000Z-christmas"
        run.mkdir(parents=True)
        (run / "results.json").write_text(results.model_dump_json(), "utf-8")


def _run(day: int, **changed: object) -> Results:
    return christmas(started_at=f"2026-11-2{day}T00:00:00Z", ready_seconds=518.8, **changed)


def test_only_runs_of_the_same_load_and_machine_are_compared(tmp_path: Path) -> None:
    """Another scale, photos, seed, length or machine is another group; another kernel or version is not."""
    machine = christmas().machine
    runs(
        tmp_path,
        _run(0),
        _run(1, ready_per_second=40.0, machine=machine | {"system": "Linux-7"}, versions={"commit": "abc"}),
        _run(2, scale=10, quotas="aws/10"),
        _run(3, machine=machine | {"cores": 64}),
        _run(4, seed=1),
        _run(5, seconds=60.0),
        _run(6, config=christmas().config | {"photo bytes": 1}),
        _run(7, invalid=["saturated"]),
    )
    (tmp_path / "no run").mkdir()
    (tmp_path / "20261129T000000Z-broken").mkdir()
    (tmp_path / "20261129T000000Z-broken" / "results.json").write_text("{}", "utf-8")

    groups = groups_of(runs_in(tmp_path))

    assert [[run.results.started_at[8:10] for run, *_ in group.rows] for group in groups] == [
        *(["27", "21", "20"], ["26"], ["25"], ["24"], ["23"], ["22"])
    ]
    assert [state for _, state, _ in groups[0].rows] == ["invalid", "passed", "passed"]
    line = groups[0].lines[0]
    assert (line.title, line.top.replace("\u00a0", " ")) == ("READY", "40 photos/s")
    assert [dot.about.split(": ")[1].replace("\u00a0", " ") for dot in line.dots] == ["31.2 photos/s", "40 photos/s"]
    assert all(0 <= dot.x <= WIDTH and 0 <= dot.y <= HEIGHT for one in groups[0].lines for dot in one.dots)
    assert [group.lines for group in groups[1:]] == [()] * 5


def test_rates_of_documents_of_before_are_no_rates_of_the_trend(tmp_path: Path) -> None:
    """They are over another time."""
    runs(tmp_path, christmas(started_at="2026-11-20T00:00:00Z"), _run(1))
    [group] = groups_of(runs_in(tmp_path))
    assert [cells[1] for *_, cells in group.rows] == ["31.2", "–"]
    assert "READY" not in [line.title for line in group.lines]


def test_the_trend_links_to_each_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both sides of a comparison, too; a name with markup or a colon stays a name of a file."""
    runs(tmp_path, _run(0))
    for side in ("queue", 'nai"ve<b>'):
        (tmp_path / "20261128T000000Z-naive" / side).mkdir(parents=True)
        document = naive(title=HOSTILE, started_at=HOSTILE).model_dump_json()
        (tmp_path / "20261128T000000Z-naive" / side / "results.json").write_text(document, "utf-8")
    assert main(["--trend", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'trend.html'}\n"
    document = _Document((tmp_path / "trend.html").read_text("utf-8"))
    links = {a["href"] for tag, a in document.elements if tag == "a"}
    assert links == {
        "20261120T000000Z-christmas/report.html",
        "20261128T000000Z-naive/queue/report.html",
        "20261128T000000Z-naive/nai%22ve%3Cb%3E/report.html",
    }
    assert sum(tag == "script" for tag, _ in document.elements) == 3
    assert not [tag for tag, _ in document.elements if tag in {"img", "b"}]


def test_a_folder_without_runs_says_so(tmp_path: Path) -> None:
    """An empty one has a page; one that is not there is an error."""
    assert "There is no run yet." in report.write_trend(tmp_path).read_text("utf-8")
    with pytest.raises(SystemExit):
        main(["--trend", str(tmp_path / "nowhere")])


def test_series_csv_is_long(tmp_path: Path) -> None:
    """A row a point, with every point, and gaps empty."""
    results = christmas()
    report.write(results, tmp_path)
    rows = _rows(tmp_path / "series.csv")
    assert len(rows) == sum(len(series.t) for series in results.series)
    ingest = [row for row in rows if (row["panel"], row["name"]) == ("concurrency", "ingest")]
    assert (ingest[240]["t"], ingest[240]["value"], ingest[240]["unit"]) == ("240.0", "4.0", "invocations")
    assert ingest[305]["value"] == ""


def test_requests_and_limits_csv(tmp_path: Path) -> None:
    """Seconds as they are, reasons as JSON, what is unknown empty."""
    report.write(christmas(), tmp_path)
    first, *_ = _rows(tmp_path / "requests.csv")
    known = christmas().requests[0].seconds
    assert known is not None
    assert float(first["p99.9"]) == known.percentiles["99.9"]
    assert json.loads(first["reasons"]) == {"429 TooManyRequests": 9, "503 Service Unavailable": 2}
    limits = {row["limit"]: row for row in _rows(tmp_path / "limits.csv")}
    assert limits["lambda.reserved_concurrency"]["ask"] == "12.0"
    assert (limits["lambda.async_queue"]["most"], limits["lambda.async_queue"]["factor"]) == ("", "")
    assert float(limits["dynamodb.partition_writes"]["factor"]) == pytest.approx(10 / 6.5)


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(1)", "\tx"])
def test_spreadsheets_compute_no_names(tmp_path: Path, name: str) -> None:
    """A name that begins like a formula is marked as text."""
    report.write(christmas(requests=[RequestStats(name=name, count=1, failures=0, seconds=None, reasons={})]), tmp_path)
    assert _rows(tmp_path / "requests.csv")[0]["name"] == f"'{name}"


def test_pages_are_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`python -m load_tests.report` takes a folder or its results.json, and compares two."""
    left, right = tmp_path / "naive", tmp_path / "christmas"
    report.write(naive(), left).unlink()
    report.write(christmas(), right)
    assert main([str(left / "results.json")]) == 0
    assert capsys.readouterr().out == f"{left / 'report.html'}\n"
    assert (left / "report.html").read_text("utf-8") == report_page(naive())
    assert main([str(left), str(right)]) == 0
    assert (left / "comparison.html").read_text("utf-8") == comparison()
    assert main([str(left), str(right), "--output", str(tmp_path / "both.html")]) == 0
    assert (tmp_path / "both.html").exists()


@pytest.mark.parametrize("content", [None, "{}", "no JSON"], ids=["missing", "another", "broken"])
def test_what_is_no_run_is_refused(tmp_path: Path, content: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    """A path that holds no results ends with usage and exit code 2, without a traceback."""
    if content is not None:
        (tmp_path / "results.json").write_text(content, "utf-8")
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path)])
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_without_jinja2_the_files_are_written_and_the_extra_is_named(tmp_path: Path) -> None:
    """A simulation on the functions' packages alone leaves its results, and says what the page needs."""
    (tmp_path / "results.json").write_text(simulated_day().model_dump_json(), "utf-8")
    program = "import sys; sys.modules['jinja2'] = None; from load_tests.report.__main__ import main; main()"
    command = [sys.executable, "-c", program, str(tmp_path), "--output", str(tmp_path / "again")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "pip install 'shoebox[fleet]'" in ended.stderr
    assert {path.name for path in (tmp_path / "again").iterdir()} == {
        "results.json", "series.csv", "requests.csv", "limits.csv",
    }  # fmt: skip


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def _long_page() -> str:
    return report_page(christmas(series=_long_lines()))


@cache
def _long_lines() -> list[Series]:
    at = [float(t) for t in range(20_000)]
    return [
        Series(panel=f"panel {n % 9}", name=f"line {n}", unit="", t=at, values=[(t * (n + 7)) % 9973 / 7 for t in at])
        for n in range(40)
    ]
