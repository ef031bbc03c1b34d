"""The pages use nothing that a supported browser lacks, but with a fall-back."""

from __future__ import annotations

from pathlib import Path

import pytest

from api.pages import FOLDER
from tests.browser_features import SUPPORTED, Use, names_defined_in, uses_in

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "browsers.md"
# (file, feature): what a browser without it does.
FALLBACKS = {
    ("gallery.js", "event beforeunload"): "iOS leaves the page without asking; unfinished parts are resumed",
    ("hashing.js", "Worker(type)"): "the page computes checksums itself",
    ("index.html", "<* autocapitalize>"): "a keyboard may begin with a capital letter; a token is mostly pasted",
    ("index.html", "<* autofocus>"): "showModal() focuses the first control",
    ("index.html", "<link rel=icon>"): "a tab without an icon",
    ("index.html", "<link rel=modulepreload>"): "modules are fetched when they are met",
    ("index.html", "<meta name=theme-color>"): "the browser's own colour around the page",
    ("index.html", "<meta name=viewport>"): "desktop browsers have no use for it",
    ("intake.js", ".webkitGetAsEntry"): "called where it is there; without it folders cannot be dropped",
    ("style.css", "-webkit-tap-highlight-color"): "a touched button flashes",
    ("style.css", "contain-intrinsic-size"): "belongs to content-visibility",
    ("style.css", "content-visibility"): "long lists are laid out and painted as a whole",
    ("style.css", "content-visibility: auto"): "as above",
    ("style.css", "cursor: default"): "a finger has no cursor",
    ("style.css", "cursor: pointer"): "a finger has no cursor",
    ("style.css", "html:has(dialog[open])"): "the page behind a dialog can be scrolled",
    ("style.css", "outline"): "before Safari 16.4 it has square corners",
    ("style.css", "progress::-moz-progress-bar"): "a rule for each browser",
    ("style.css", "progress::-webkit-progress-bar"): "a rule for each browser",
    ("style.css", "progress::-webkit-progress-value"): "a rule for each browser",
}


def uses() -> set[Use]:
    """Return what the pages use that a supported browser lacks."""
    own_names = frozenset[str]().union(*(names_defined_in(path.read_text()) for path in FOLDER.glob("*.js")))
    return {use for path in FOLDER.iterdir() for use in uses_in(path, own_names)}


def test_nothing_is_newer_than_the_supported_browsers() -> None:
    """Whatever one of them lacks has a fall-back, which is named here, and no fall-back is named for nothing."""
    assert {(use.file, use.feature) for use in uses() if not use.covered} == set(FALLBACKS)


@pytest.mark.parametrize(
    ("name", "text", "features"),
    [
        ("a.js", "const s = AbortSignal.any([a, b]);", {"AbortSignal.any"}),
        ("a.js", "await Promise.any([a]); list.at(-1); signal.throwIfAborted();", set()),
        ("a.js", "const last = list.findLast(Boolean), { checkVisibility } = tile;", {".findLast", ".checkVisibility"}),
        (
            "a.js",
            "requestIdleCallback(go); new CompressionStream('gzip');",
            {"requestIdleCallback", "CompressionStream"},
        ),
        ("a.js", "function requestIdleCallback() {} requestIdleCallback();", set()),
        ("a.js", "new Worker(url, { type: 'module' }); new Worker(url, { name: 'x' });", {"Worker(type)"}),
        ("a.js", "list.addEventListener('scrollend', go); list.addEventListener('scroll', go);", {"event scrollend"}),
        (
            "a.js",
            "class A { static { this.b = 1; } #c; d() { return this.#c?.e ?? 1; } }",
            {"classes.static.initialization_blocks"},
        ),
        ("a.js", "/(?<=a)b/.test(x); /(?<name>a)(?!b)/.test(x);", {"regular_expressions.lookbehind_assertion"}),
        ("a.js", "/(?<!a)b/v.test(x);", {"regular_expressions.lookbehind_assertion", "builtins.RegExp.unicodeSets"}),
        ("a.css", "a:has(b), i { color: red }", {"a:has(b), i"}),
        ("a.css", "i:is(a, b:focus-visible) { inset: 0; aspect-ratio: 1 }", set()),
        (
            "a.css",
            "@media print { a { height: 1dvh } } @container (width > 1px) { a { color: red } }",
            {"dvh", "@container"},
        ),
        (
            "a.css",
            "a { color: color-mix(in srgb, red, blue); text-wrap: balance }",
            {"color-mix()", "text-wrap", "text-wrap: balance"},
        ),
        ("a.html", "<div popover></div><img fetchpriority=high loading=lazy>", {"<* popover>", "<img fetchpriority>"}),
    ],
)
def test_newer_features_are_found(tmp_path: Path, name: str, text: str, features: set[str]) -> None:
    """Scripts: names, options, events, syntax. Styles: selectors, rules, values, units. Pages: elements, attributes."""
    (tmp_path / name).write_text(text)
    assert {use.feature for use in uses_in(tmp_path / name)} == features


@pytest.mark.parametrize(
    ("text", "covered"),
    [
        ("a { height: 1vh; height: 1dvh }", True),
        ("a { height: 1dvh; height: 1vh }", False),
        ("a { -webkit-user-select: none; user-select: none }", True),
    ],
)
def test_an_older_value_before_a_newer_one_is_its_fall_back(tmp_path: Path, text: str, covered: bool) -> None:
    """A browser takes the last value that it understands."""
    (tmp_path / "a.css").write_text(text)
    assert {use.covered for use in uses_in(tmp_path / "a.css")} == {covered}


def test_the_documentation_names_the_same_versions() -> None:
    """docs/reference/browsers.md says what the test checks."""
    text = DOCS.read_text()
    for browser, name in [("safari", "Safari"), ("chrome", "Chrome"), ("firefox", "Firefox")]:
        (row,) = [line for line in text.splitlines() if line.startswith(f"| {name}")]
        assert row.endswith(f"| {SUPPORTED[browser]} |")
