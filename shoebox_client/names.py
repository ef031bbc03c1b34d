"""File names: which ones are kept, and how a client makes one of them from any other.

Names are shown to people, stored in documents and suggested for downloads. Format characters (category Cf) are
refused, since they hide or reorder what stands there: U+202E shows photogpj.exe as photoexe.jpg. Some are needed:

- the joiners U+200C and U+200D directly after a letter, mark or symbol that is not ASCII: Persian, Indic scripts, and
  emoji that consist of several (UTS 51, emoji ZWJ sequences);
- U+200C between any letter or digit and a letter of a script that joins its letters: a Persian plural is put after a
  Latin word, too, and an ordinal's ending after digits (The Unicode Standard, "Cursive Connection and Ligatures");
- the flags of England, Scotland and Wales (UTS 51, emoji tag sequences);
- the visible signs of Arabic, Syriac and Kaithi (The Unicode Standard, "Prepended Concatenation Marks").

Letters and marks that show nothing are refused as well: U+034F, the fillers of Hangul, two vowels of Khmer. The page
has the same rule (api/static/picture-type.js).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import zip_longest

MAX_NAME_BYTES = 255
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, format characters, half surrogate pairs, line separators
_JOINERS = {"\u200c", "\u200d"}
_INVISIBLE = set("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
# Blocks of scripts with joining letters (Unicode Character Database, ArabicShaping.txt), without presentation forms.
_CURSIVE = re.compile(
    "[\u0620-\u077f\u07c0-\u07ff\u0840-\u08ff\u1820-\u18aa\ua840-\ua87f\U00010ac0-\U00010aff\U00010b80-\U00010baf"
    "\U00010d00-\U00010d3f\U00010f30-\U00010fdf\U0001e900-\U0001e95f]"
)
_REGIONS = "|".join("".join(chr(0xE0000 + ord(c)) for c in region) for region in ("gbeng", "gbsct", "gbwls"))
_UNITS = re.compile(f"\U0001f3f4(?:{_REGIONS})\U000e007f|.", re.DOTALL)  # a flag, or a character
_CONCATENATION_MARKS = set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
_HALF_PAIRS = re.compile("[\ud800-\udfff]")
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,8}$")


def is_plain_name(name: str) -> bool:
    """Tell whether `name` can be kept: 1 to 255 bytes of UTF-8, not blank, no path, nothing invisible or of control."""
    if not name.strip() or name in {".", ".."} or not all(safe for _, safe in _units(name)):
        return False
    return len(name.encode()) <= MAX_NAME_BYTES


def clean_name(name: str) -> str:
    """Return a plain name like `name`.

    Slashes and control characters become underscores, bytes that are no UTF-8 replacement characters; what is invisible
    goes; a long name is cut, but for its ending. Letters and their accents are composed (NFC), for macOS takes them
    apart, and the same photo should have the same name from everywhere.
    """
    cleaned = _cleaned(_cut(_cleaned(unicodedata.normalize("NFC", name))))  # a cut may leave half a flag
    composed = unicodedata.normalize("NFC", cleaned)  # what stood between a letter and its accent is gone
    return composed if is_plain_name(composed) else "photo"


def as_unicode(text: str) -> str:
    """Return `text` with a replacement character for each half surrogate pair: a byte of a path that is no UTF-8.

    Such text can be encoded: for JSON, for a terminal.
    """
    return _HALF_PAIRS.sub("\N{REPLACEMENT CHARACTER}", text)


def _cleaned(name: str) -> str:
    return "".join(unit if safe else _substitute(unit) for unit, safe in _units(name))


def _substitute(character: str) -> str:
    if character in _INVISIBLE:
        return ""
    return {"Cf": "", "Cs": "\N{REPLACEMENT CHARACTER}"}.get(unicodedata.category(character), "_")


def _cut(name: str) -> str:
    ending = match[0] if (match := _ENDING.search(name)) else ""
    stem = name.removesuffix(ending).encode()[: MAX_NAME_BYTES - len(ending)]
    return stem.decode(errors="ignore") + ending


def _units(name: str) -> Iterator[tuple[str, bool]]:
    """Yield the name's characters, flags as one, each with whether it may stand where it does."""
    units = _UNITS.findall(name)
    before = ""
    for unit, after in zip_longest(units, units[1:], fillvalue=""):
        safe = len(unit) > 1 or unit in _CONCATENATION_MARKS or _is_safe(before, unit, after)
        yield unit, safe
        before = unit[0] if safe else ""


def _is_safe(before: str, character: str, after: str) -> bool:
    if character in _JOINERS:
        kind = unicodedata.category(before)[0] if before else ""
        if before > "\x7f" and kind in "LMS":
            return True
        return character == "\u200c" and kind in {"L", "N"} and _is_cursive_letter(after)
    return character not in "/\\" and character not in _INVISIBLE and unicodedata.category(character) not in _UNSAFE


def _is_cursive_letter(character: str) -> bool:
    return _CURSIVE.fullmatch(character) is not None and unicodedata.category(character)[0] == "L"
