"""docs/reference/problems.md and warnings.md are true: their codes are those of the source, and their tests exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from workers.imaging.errors import Reason
from workers.imaging.warning_codes import MEANINGS, WarningCode

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/reference/problems.md").read_text()
SOURCES = [*(ROOT / "api").rglob("*.py"), *(ROOT / "shoebox").rglob("*.py")]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_named_test_exists(path: str, name: str) -> None:
    """Each proof that the page names can be run."""
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE)


def test_every_code_of_the_source_is_told() -> None:
    """What the API, the tokens and ingest can respond with stands on the page."""
    source = "\n".join(path.read_text() for path in SOURCES)
    codes = {
        *re.findall(r'code="([a-z_]+)"', source),
        *re.findall(r'_refuse\(\s*"(\w+)"', source),
        *re.findall(r'return "(\w+)", f?"', (ROOT / "api/files/entries.py").read_text()),
        *re.findall(r'^    code(?:: str)? = "(\w+)"', source, re.MULTILINE),
        *re.findall(r'problem\(\w+(?:\.scope)?, \d+, "(\w+)"', source),
        *get_args(Reason),
    }

    assert {"token_signature", "name_invalid", "scope_missing", "body_too_large", "truncated"} <= codes
    assert not {code for code in codes if f"`{code}`" not in TEXT}


def test_the_table_of_warnings_is_the_sources() -> None:
    """docs/reference/warnings.md has each code with its meaning, and no other."""
    page = (ROOT / "docs/reference/warnings.md").read_text()
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE)) == MEANINGS
    assert set(MEANINGS) == set(get_args(WarningCode))
