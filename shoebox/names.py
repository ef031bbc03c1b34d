"""File names: which ones are kept, and how a client makes one of them from any other.

Names are shown to people, stored in documents and suggested for downloads. Format characters (category Cf) are
refused, since they hide or reorder what stands there: U+202E shows photogpj.exe as photoexe.jpg. Some are needed:

- the joiners U+200C and U+200D directly after a letter, mark or symbol that is not ASCII: Persian, Indic scripts, and
  emoji that consist of several (UTS 51, emoji ZWJ sequences);
- the flags of regions (UTS 51, emoji tag sequences);
- the visible signs of Arabic, Syriac and Kaithi (The Unicode Standard, "Prepended Concatenation Marks").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

MAX_NAME_BYTES = 255
_UNSAFE = {"Cc", "Cf", "Cs", "Zl", "Zp"}  # controls, format characters, half surrogate pairs, line separators
_JOINERS = {"\u200c", "\u200d"}
_UNITS = re.compile("\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f|.", re.DOTALL)  # a flag, or a single character
_CONCATENATION_MARKS = set("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,8}$")


def is_plain_name(name: str) -> bool:
    """Whether `name` can be kept: 1 to 255 bytes of UTF-8, not blank, no path, no control or invisible characters."""
    if not name.strip() or name in {".", ".."} or not all(safe for _, safe in _units(name)):
        return False
    return len(name.encode()) <= MAX_NAME_BYTES


def clean_name(name: str) -> str:
    """Return a plain name like `name`.

    Slashes and control characters become underscores, bytes that are no UTF-8 replacement characters; what is invisible
    goes; a long name is cut, but for its ending.
    """
    cleaned = _cleaned(_cut(_cleaned(name)))  # a cut may leave half a flag
    return cleaned if is_plain_name(cleaned) else "photo"


def _cleaned(name: str) -> str:
    return "".join(unit if safe else _substitute(unit) for unit, safe in _units(name))


def _substitute(character: str) -> str:
    return {"Cf": "", "Cs": "\N{REPLACEMENT CHARACTER}"}.get(unicodedata.category(character), "_")


def _cut(name: str) -> str:
    ending = match[0] if (match := _ENDING.search(name)) else ""
    stem = name.removesuffix(ending).encode()[: MAX_NAME_BYTES - len(ending)]
    return stem.decode(errors="ignore") + ending


def _units(name: str) -> Iterator[tuple[str, bool]]:
    """The name's characters, flags as one, each with whether it may stand where it does."""
    before = ""
    for unit in _UNITS.findall(name):
        safe = len(unit) > 1 or unit in _CONCATENATION_MARKS or _is_safe(before, unit)
        yield unit, safe
        before = unit[0]


def _is_safe(before: str, character: str) -> bool:
    if character in _JOINERS:
        return before > "\x7f" and unicodedata.category(before)[0] in "LMS"
    return character not in "/\\" and unicodedata.category(character) not in _UNSAFE
