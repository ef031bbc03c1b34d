"""The processes of a stack that runs on this machine: their roles, CPU and memory.

Memory is the proportional set size where the system tells it (Linux): pages that processes share are divided among
them, so a sum over processes is what they really take; elsewhere it is the resident set size. Reading it means walking
a process's mappings, some 2 ms each, so it is read every few seconds only.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import psutil

from load_tests.observe.increases import Increases
from load_tests.observe.panels import Panels
from load_tests.observe.scrape import Scrape
from load_tests.results import Process

FLEET = "fleet and gateway"
MEMORY_SECONDS = 5.0
AT_ONCE = 2
"""How often each process's memory is read, and of how many in one sample: reading it is expensive."""

SHORTEST_SECONDS = 0.5
"""Shorter intervals are added to the next one: the system counts CPU in hundredths of a second."""

LOOK_FOR_NEW_SECONDS = 2.0
"""New processes are looked for so often; what they used before they were found counts."""

_MB = 2**20
_EMULATOR = "emulator/server/main.py"  # the program that emulator.embedded starts
Measured = TypeVar("Measured")


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """What one process used: CPU seconds so far, and memory in MB now."""

    name: str
    cpu_seconds: float
    memory_mb: float


def processes_of(pid: int) -> list[psutil.Process]:
    """Return the process and all that it started; raises `psutil.NoSuchProcess` when it has ended."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def usage_of(process: psutil.Process) -> ProcessUsage:
    """Return what a process of a stack used, by its role."""
    return ProcessUsage(role_of(process), cpu_seconds(process), memory_mb(process))


def role_of(process: psutil.Process) -> str:
    """Return the role of a process of a stack: `fleet and gateway`, `emulator`, or `function …`."""
    arguments = process.cmdline()
    if "workers.runtime" in arguments:
        return f"function {process.environ().get('AWS_LAMBDA_FUNCTION_NAME', '?').removeprefix('shoebox-')}"
    parent = process.parent()
    if "workers.imaging.child" in arguments and parent is not None:
        return role_of(parent)
    # The whole end of the path: a checkout, or a data folder, may have "emulator" in its name.
    return "emulator" if any(each.endswith(_EMULATOR) for each in arguments) else FLEET


def cpu_seconds(process: psutil.Process) -> float:
    """Return the user and system time so far."""
    times = process.cpu_times()
    return times.user + times.system


def memory_mb(process: psutil.Process) -> float:
    """Return the proportional set size, or the resident set size where there is none."""
    info = process.memory_full_info()
    return float(getattr(info, "pss", info.rss)) / _MB


class ProcessesOfRun:
    """CPU and memory by role, from the first sample on: of `pid` and its children, else from /metrics."""

    def __init__(self, pid: int | None) -> None:
        self._pid = pid
        self._known: dict[psutil.Process, str] = {}
        self._cpu: Increases[tuple[str, psutil.Process | None]] = Increases()
        self._unsure: set[psutil.Process] = set()
        self._count: Counter[str] = Counter()
        self._memory: dict[str, float] = {}
        self._weights: dict[psutil.Process, tuple[float, float]] = {}
        self._at = self._scanned_at = -1.0
        self._spent: defaultdict[str, float] = defaultdict(float)

    @property
    def panels(self) -> frozenset[str]:
        """Those whose values do not come from /metrics."""
        return frozenset() if self._pid is None else frozenset({"CPU", "memory"})

    def note(self, t: float, scrape: Scrape | None, panels: Panels, *, last: bool = False) -> None:
        """Record the processes at this sample; at the last one the memory of all of them is read."""
        if self._pid is not None:
            self._note_own(t, panels, last=last)
        elif scrape:
            self._note_told(t, scrape, panels)

    def results(self) -> list[Process]:
        """Return every role: its highest number of processes, its CPU over the run, and its highest memory."""
        cpu: defaultdict[str, float] = defaultdict(float)
        for (role, _), seconds in self._cpu.totals.items():
            cpu[role] += seconds
        return [
            Process(role=role, count=count, cpu_seconds=cpu[role], memory_mb=self._memory.get(role, 0.0))
            for role, count in self._count.items()
        ]

    def _note_own(self, t: float, panels: Panels, *, last: bool) -> None:
        if last or self._scanned_at < 0 or t - self._scanned_at >= LOOK_FOR_NEW_SECONDS:
            self._scan(t)
        used = [
            ((role, process), seconds)
            for process, role in self._known.items()
            if (seconds := _or_none(cpu_seconds, process)) is not None
        ]
        self._note_cpu(t, used, panels)
        for role, count in Counter(role for (role, _), _ in used).items():
            self._count[role] = max(self._count[role], count)
        self._weigh(t, all_of_them=last or not self._weights)
        memory: defaultdict[str, float] = defaultdict(float)
        for process, role in self._known.items():
            if process in self._weights:
                memory[role] += self._weights[process][1]
        self._note_memory(t, dict(memory), panels)

    def _weigh(self, t: float, *, all_of_them: bool) -> None:
        """Read the memory of those that were not for long, a few at a time; new ones come first."""
        weighed_at = {process: self._weights.get(process, (-MEMORY_SECONDS, 0.0))[0] for process in self._known}
        due = sorted((at, n, process) for n, (process, at) in enumerate(weighed_at.items()) if t - at >= MEMORY_SECONDS)
        for process in self._known if all_of_them else [process for *_, process in due[:AT_ONCE]]:
            self._weights[process] = t, _or_none(memory_mb, process) or 0.0

    def _note_told(self, t: float, scrape: Scrape, panels: Panels) -> None:
        """Record what the fleet's process reports about itself, in resident memory; others are not seen."""
        seconds, memory = scrape.one("process_cpu_seconds_total"), scrape.one("process_resident_memory_bytes")
        if seconds is None or memory is None:
            return
        self._count[FLEET] = 1
        self._note_cpu(t, [((FLEET, None), seconds)], panels)
        self._note_memory(t, {FLEET: memory / _MB}, panels)

    def _scan(self, t: float) -> None:
        """Find the processes. One is known by its id and its start, so an id that is used again is another.

        Between fork and exec a child looks like its parent: one that looks like the fleet is asked again next time.
        """
        self._scanned_at = t
        try:
            found = processes_of(self._pid or 0)
        except psutil.Error:
            found = []
        roles = {process: self._known.get(process) or _or_none(role_of, process) for process in found}
        new = {process for process, role in roles.items() if role == FLEET and process.pid != self._pid}
        unsure = new - self._known.keys() - self._unsure
        self._known = {process: role for process, role in roles.items() if role and process not in unsure}
        self._unsure = unsure

    def _note_cpu(
        self, t: float, used: Iterable[tuple[tuple[str, psutil.Process | None], float]], panels: Panels
    ) -> None:
        grown = self._cpu.note(used)
        for (role, _), seconds in grown.items():
            self._spent[role] += seconds or 0.0
        took = t - self._at
        if took >= SHORTEST_SECONDS:
            panels.add("CPU", "cores", t, {role: seconds / took for role, seconds in self._spent.items()})
            self._spent.clear()
            self._at = t

    def _note_memory(self, t: float, memory: dict[str, float], panels: Panels) -> None:
        for role, mb in memory.items():
            self._memory[role] = max(self._memory.get(role, 0.0), mb)
        panels.add("memory", "MB", t, dict(memory))


def _or_none(measure: Callable[[psutil.Process], Measured], process: psutil.Process) -> Measured | None:
    """Measure a process; None where it has ended, or is another user's."""
    try:
        return measure(process)
    except psutil.Error:
        return None
