"""The page's files: few bytes, and nothing from elsewhere."""

import gzip
import re
from pathlib import Path

from workers.imaging.warning_codes import MEANINGS

PAGES = Path(__file__).parents[2] / "api" / "static"
SCRIPT_BUDGET = 40_000  # bytes, compressed
NAMESPACE = "http://www.w3.org/2000/svg"


def test_the_scripts_are_small() -> None:
    """All scripts together stay below their budget."""
    scripts = b"".join(path.read_bytes() for path in sorted(PAGES.glob("*.js")))
    assert len(gzip.compress(scripts)) < SCRIPT_BUDGET


def test_nothing_comes_from_elsewhere() -> None:
    """No file of the page names another host: no fonts, no scripts, no pictures from elsewhere."""
    for path in PAGES.iterdir():
        text = path.read_text().replace(NAMESPACE, "")
        assert "http://" not in text, path.name
        assert "https://" not in text, path.name


def test_every_module_is_fetched_at_once() -> None:
    """The page names each module that it needs in its head, so that none waits until another has arrived."""
    needed, found = ["main.js"], set()
    while needed:
        name = needed.pop()
        found.add(name)
        needed += set(re.findall(r'from "\./([\w-]+\.js)"', (PAGES / name).read_text())) - found
    named = re.findall(r'<link rel="modulepreload" href="pages/([\w-]+\.js)">', (PAGES / "index.html").read_text())
    assert set(named) == found - {"main.js"}


def test_every_warning_has_words() -> None:
    """The page has a sentence for each code of what was tolerated in a picture, and for no other."""
    (table,) = re.findall(r"^const WARNINGS = \{(.*?)^\};", (PAGES / "words.js").read_text(), re.DOTALL | re.MULTILINE)
    assert re.findall(r"^  (\w+): ", table, re.MULTILINE) == sorted(MEANINGS)
