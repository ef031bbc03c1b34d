"""Lines of charts, put together sample by sample. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from load_tests.results import Series


class Panels:
    """Lines by panel and name; those of one panel have a unit in common."""

    def __init__(self) -> None:
        self._units: dict[str, str] = {}
        self._lines: dict[tuple[str, str], tuple[list[float], list[float | None]]] = {}

    def add(self, panel: str, unit: str, t: float, values: Mapping[str, float | None]) -> None:
        """Add a moment of a panel; its lines that have no value there get a gap."""
        self._units[panel] = unit
        for name in values:
            self._lines.setdefault((panel, name), ([], []))
        for (of, name), (times, line) in self._lines.items():
            if of == panel:
                times.append(t)
                line.append(values.get(name))

    def gap(self, t: float, *, beside: Collection[str] = ()) -> None:
        """Leave a gap at this moment, but in the panels `beside`, which have another source."""
        for (panel, _), (times, line) in self._lines.items():
            if panel not in beside:
                times.append(t)
                line.append(None)

    def latest(self, panel: str) -> dict[str, float]:
        """Return the last values of a panel's lines, without those that are not known."""
        last = {name: line[-1] for (of, name), (_, line) in self._lines.items() if of == panel}
        return {name: value for name, value in last.items() if value is not None}

    def series(self) -> list[Series]:
        """Return all lines, in the order of their panels and then of their first values."""
        order = list(self._units)
        lines = sorted(self._lines.items(), key=lambda item: order.index(item[0][0]))
        return [
            Series(panel=panel, name=name, unit=self._units[panel], t=list(t), values=list(values))
            for (panel, name), (t, values) in lines
        ]
