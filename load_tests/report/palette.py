"""Which colour a line has: the same thing has the same one in every chart.

There are seven, told apart also by colour-blind eyes (a test simulates protanopia, deuteranopia and tritanopia, after
Machado, Oliveira and Fernandes, 2009), and two sets of them, for light and dark. Where things of a chart have to
share one, they differ by their dashes.
"""

from __future__ import annotations

import re

LIGHT = ("#095ebc", "#e07815", "#1a4b22", "#700465", "#7b5803", "#1ea0ce", "#6b6f74")
DARK = ("#3686fd", "#e2644c", "#bdf5c5", "#b374c5", "#fcd446", "#69e8ff", "#a3a8ad")
_BLUE, _ORANGE, _GREEN, _PURPLE, _OCHRE, _SKY, _GREY = range(len(LIGHT))
_OTHERS = (_SKY, _OCHRE, _PURPLE, _GREEN, _GREY, _ORANGE, _BLUE)
"""For things that are not known here, those first that the known ones use least."""
_KNOWN = {
    "ingest": _BLUE,
    "uploads": _BLUE,
    "api": _ORANGE,
    "authorizer": _PURPLE,
    "cleanup": _OCHRE,
    "deletions": _OCHRE,
    "gateway": _SKY,
    "fleet": _SKY,
    "emulator": _GREEN,
    "generator": _GREY,
    "locust": _GREY,
    "account": _GREY,
    "offered": _GREY,
    "answers": _SKY,
    "failures": _ORANGE,
    "ready": _GREEN,
    "rejected": _OCHRE,
    "refused": _ORANGE,
    "lost": _PURPLE,
    "p50": _BLUE,
    "p90": _SKY,
    "p95": _OCHRE,
    "p99": _ORANGE,
    "max": _GREY,
    "busy": _BLUE,
    "steal": _ORANGE,
}


class Colours:
    """The colours of a page by what a line is about: a name it knows, or else the line's own."""

    def __init__(self) -> None:
        self._own: dict[str, int] = {}

    def of(self, name: str) -> int:
        """Return the colour's number, from 0. "api" and "api TooManyRequests" are about the same thing."""
        for word in re.findall(r"\w+", name.lower()):
            if word in _KNOWN:
                return _KNOWN[word]
        return self._own.setdefault(name, _OTHERS[len(self._own) % len(_OTHERS)])
