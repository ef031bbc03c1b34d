"""Which file names are kept, and what a client makes of the others."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoebox.names import MAX_NAME_BYTES, clean_name, is_plain_name

ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"
WALES = "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"
HIDDEN = "".join(chr(0xE0000 + ord(c)) for c in "evil.exe")
PLAIN = [
    "a", "...", ".hidden", "a b.jpg", "é" * 127, "写真.jpg", "a" * 255, "con", "%2F", "\ufffd.jpg",
    "Screenshot 10.00.00\u202fAM.png",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467.png",
    "\U0001f469\U0001f3fd\u200d\U0001f680.png",
    "\u2764\ufe0f\u200d\U0001f525.png",
    "\U0001f642\u200d\u2194\ufe0f.png",
    f"{ENGLAND}.jpg",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645.jpg",
    "\u0d05\u0d35\u0d28\u0d4d\u200d.jpg",
    "\u0dc1\u0dca\u200d\u0dbb\u0dd3.jpg",
    "\u0600\u0661.jpg",
    "PDF\u200c\u0647\u0627.jpg",
    "\u06f2\u06f5\u200c\u0627\u0645.jpg",
    "2025\u200c\u0645.jpg",
    f"{SCOTLAND}{WALES}.jpg",
]  # fmt: skip
CLEANED = [
    ("", "photo"), (" ", "photo"), ("\u00a0", "photo"), (".", "photo"), ("..", "photo"), ("\u200b", "photo"),
    ("a/b", "a_b"), ("..\\..\\x.jpg", ".._.._x.jpg"), ("a\0b", "a_b"), ("a\nb\t.jpg", "a_b_.jpg"), ("a\x85b", "a_b"),
    ("a\u2028b", "a_b"), ("\udce9.jpg", "\ufffd.jpg"), ("\ud800", "\ufffd"),
    ("photo\u202egpj.exe", "photogpj.exe"), ("a\u2066b\u2069", "ab"), ("a\u200eb\u200f", "ab"), ("a\u061cb", "ab"),
    ("\ufeffa.jpg", "a.jpg"), ("a\u200bb", "ab"), ("a\u2060b", "ab"), ("so\u00adft", "soft"), ("a\U000e0041b", "ab"),
    ("a\u200db", "ab"), ("\u200da", "a"), ("é\u200d\u200d", "é\u200d"), ("é\u202e\u200d", "é"),
    ("PDF\u200c.jpg", "PDF.jpg"), ("PDF\u200cx", "PDFx"), ("PDF\u200d\u0647", "PDF\u0647"),
    ("-\u200c\u0647", "-\u0647"), ("PDF\u200c\u0661", "PDF\u0661"), ("PDF\u200c\u200c\u0647", "PDF\u0647"),
    ("a\u034fb", "ab"), ("a\u034f\u200c\u0647", "a\u0647"),
    ("\u115f\u1160", "photo"), ("\u17b4a\u17b5", "a"), ("\u3164", "photo"), ("a\uffa0.jpg", "a.jpg"),
    (f"\U0001f3f4{HIDDEN}\U000e007f.jpg", "\U0001f3f4.jpg"),
    (ENGLAND.replace("\U000e0067", "\U000e0068"), "\U0001f3f4"),
    ("a" * 300 + ".jpeg", "a" * 250 + ".jpeg"),
    ("é" * 200 + ".jpg", "é" * 125 + ".jpg"),
    ("a" * 240 + ENGLAND, "a" * 240 + "\U0001f3f4"),
    ("\udce9" * 124 + ".jpg", "\ufffd" * 83 + ".jpg"),
]  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_people_name_photos_in_their_own_languages(name: str) -> None:
    """Joiners, flags and Arabic signs belong to names, and a plain name stays as it is."""
    assert is_plain_name(name)
    assert clean_name(name) == name


@pytest.mark.parametrize(("name", "cleaned"), CLEANED)
def test_what_hides_or_steers_is_refused_and_cleaned(name: str, cleaned: str) -> None:
    """Paths, controls, invisible characters and names that are too long."""
    assert not is_plain_name(name)
    assert clean_name(name) == cleaned


@given(st.text(st.characters(categories=["Cf", "Cc", "Cs", "Lo", "So", "Mn", "Ll", "Zl"]), max_size=120))
def test_every_name_can_be_cleaned(name: str) -> None:
    """Whatever a file is called, its photo does not fail for it; cleaning twice changes nothing more."""
    cleaned = clean_name(name)

    assert is_plain_name(cleaned)
    assert clean_name(cleaned) == cleaned
    assert len(cleaned.encode()) <= MAX_NAME_BYTES
    assert not any(unicodedata.bidirectional(c) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI"} for c in cleaned)
