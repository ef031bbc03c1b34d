"""What the documents point at exists: pages, sections, files of the repository, and functions to stop at."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(p for p in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if p.is_file())
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"(?m)^#+ (.+)$")
_FOLDERS = (
    "api|benchmarks|compose|console|docs|emulator|fleet|load_tests|localstack|requirements|"
    "shoebox|shoebox_cli|shoebox_client|standalone|tests|workers"
)
_PATH = re.compile(rf"`((?:{_FOLDERS})/[\w./-]*)(?:::\w+)?`")
_HISTORY = {"CHANGELOG.md", "decisions"}  # they name what was there at their time
_FENCED = re.compile(r"(?ms)^```.*?^```$")


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings: letters, digits, hyphens; blanks become hyphens."""
    headings = _HEADING.findall(_FENCED.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link names a file that is there, and a section that the page has."""
    for link in _LINK.findall(_FENCED.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_merge_is_left_half_done(page: Path) -> None:
    """No page holds the marks that git leaves where two changes meet."""
    assert not re.search(r"(?m)^(<{7}|>{7}|={7}$)", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_exist(page: Path) -> None:
    """Every file and folder of the repository that a page names is there; decisions and the changelog tell history."""
    if not _HISTORY & set(page.parts):
        missing = {path for path in _PATH.findall(page.read_text()) if not (ROOT / path).exists()}
        assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_lines_are_short_enough_to_read(page: Path) -> None:
    """Lines have at most 120 characters; rows of tables and code blocks are as long as they must be."""
    prose = [line for line in _FENCED.sub("", page.read_text()).splitlines() if not line.startswith("|")]
    assert [line for line in prose if len(line) > 120 and "](" not in line] == []


def test_a_debugger_finds_the_functions_that_are_named() -> None:
    """`b module.Class.method` names code that exists."""
    page = (ROOT / "docs" / "how-to" / "debug-a-function.md").read_text()
    stops = re.findall(r"\(Pdb\) b (workers\.\w+)\.([\w.]+)", page)
    assert stops
    for module, names in stops:
        found = importlib.import_module(module)
        for name in names.split("."):
            found = getattr(found, name)
        assert callable(found)
