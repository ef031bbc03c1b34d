"""Which file names are kept, and what a client makes of the others."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.files.documents import RefusedEntry
from api.files.entries import read_entry
from shoebox.config import Limits
from shoebox_client.names import MAX_NAME_BYTES, clean_name, is_plain_name

TABLE = json.loads((Path(__file__).parents[1] / "fixtures" / "names.json").read_text())
"""Names that stay as they are, and others with what becomes of them: for this module, the API's rule and the page's."""
PLAIN: list[str] = TABLE["plain"]
CLEANED: list[tuple[str, str]] = [(name, cleaned) for name, cleaned in TABLE["cleaned"]]


@pytest.mark.parametrize("name", PLAIN)
def test_people_name_photos_in_their_own_languages(name: str) -> None:
    """Joiners, flags and Arabic signs belong to names, and a plain name stays as it is."""
    assert is_plain_name(name)
    assert clean_name(name) == name


@pytest.mark.parametrize(("name", "cleaned"), CLEANED)
def test_what_hides_or_steers_is_refused_and_cleaned(name: str, cleaned: str) -> None:
    """Paths, controls, invisible characters and names that are too long; what stands decomposed is composed."""
    assert not is_plain_name(name) or unicodedata.normalize("NFC", name) == cleaned
    assert clean_name(name) == cleaned
    assert is_plain_name(cleaned)


@pytest.mark.parametrize("name", [*PLAIN, *(name for name, _ in CLEANED)])
def test_the_api_takes_what_clients_make_of_a_name(name: str) -> None:
    """Clients and the API have one rule: what the API would refuse is cleaned, and what is cleaned is registered."""
    asked = {"size": 1, "content_type": "image/jpeg", "sha256": "0" * 64}
    entry = read_entry({**asked, "name": name}, Limits())
    cleaned = read_entry({**asked, "name": clean_name(name)}, Limits())

    assert not isinstance(cleaned, RefusedEntry)
    assert isinstance(entry, RefusedEntry) is not is_plain_name(name)
    if isinstance(entry, RefusedEntry):
        assert entry.problem.code == "name_invalid"


@given(st.text(st.characters(categories=["Cf", "Cc", "Cs", "Lo", "So", "Mn", "Ll", "Zl"]), max_size=120))
def test_every_name_can_be_cleaned(name: str) -> None:
    """Whatever a file is called, its photo does not fail for it; cleaning twice changes nothing more."""
    cleaned = clean_name(name)

    assert is_plain_name(cleaned)
    assert clean_name(cleaned) == cleaned == unicodedata.normalize("NFC", cleaned)
    assert len(cleaned.encode()) <= MAX_NAME_BYTES
    assert not any(unicodedata.bidirectional(c) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI"} for c in cleaned)
