"""What the documents point at exists: pages, sections, files of the repository, and functions to stop at."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(p for p in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if p.is_file())
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"(?m)^#+ (.+)$")
_FENCED = re.compile(r"(?ms)^```.*?^```$")


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings: letters, digits, hyphens; blanks become hyphens."""
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
