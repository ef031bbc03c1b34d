"""The load generator while it runs: CPU and memory of its processes, its host's CPU, phones and calls over time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

import psutil

from load_tests.observe.panels import Panels
from load_tests.observe.processes import cpu_seconds, memory_mb
from load_tests.results import Distribution, Host, Process, Series

WINDOW = 5.0
"""Seconds of calls in one point of their latencies; workers report theirs every three seconds."""
ROLE = "generator"
_MIN_SECONDS = 0.5  # CPU used in less is no rate: the system counts it in hundredths of a second


class GeneratorUsage(NamedTuple):
    """What a process of the generator has used since its run began: CPU and time in seconds, memory in MB now."""

    cpu_seconds: float
    seconds: float
    memory_mb: float


class ProcessMeter:
    """Measures this process from now on."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._cpu, self._began = cpu_seconds(self._process), time.monotonic()

    def usage(self) -> GeneratorUsage:
        """Return what it has used; this takes some milliseconds, for memory is the proportional set size."""
        cpu = cpu_seconds(self._process) - self._cpu
        return GeneratorUsage(cpu, time.monotonic() - self._began, memory_mb(self._process))


class GeneratorOfRun:
    """The generator's processes by name, as each reports its usage, and the lines of its charts."""

    def __init__(self) -> None:
        self._usage: dict[str, GeneratorUsage] = {}
        self._cores: dict[str, float] = {}
        self._memory = 0.0
        self._panels = Panels()
        self._times: dict[str, dict[int, int]] = {}
        self._window_began = 0.0
        self._host = self._first_host = _host_seconds()

    def note(self, process: str, usage: GeneratorUsage) -> None:
        """Record what a process has used so far; its rate is by its own clock."""
        before = self._usage.get(process, GeneratorUsage(0.0, 0.0, 0.0))
        if usage.seconds - before.seconds < _MIN_SECONDS:
            return
        self._cores[process] = (usage.cpu_seconds - before.cpu_seconds) / (usage.seconds - before.seconds)
        self._usage[process] = usage
        self._memory = max(self._memory, sum(one.memory_mb for one in self._usage.values()))

    @property
    def busiest(self) -> float:
        """Cores that the busiest process uses; near 1 it is saturated, for a Locust process uses one."""
        return max(self._cores.values(), default=0.0)

    @property
    def count(self) -> int:
        """Processes that have reported."""
        return len(self._usage)

    def sample(self, t: float, phones: int, times: Mapping[str, Mapping[int, int]]) -> None:
        """Record a moment of the run: visits under way, and each call's response times so far (ms → calls)."""
        self._panels.add("phones", "phones", t, {"under way": float(phones)})
        cores = {ROLE: sum(self._cores.values()), f"{ROLE}, busiest process": self.busiest}
        self._panels.add("CPU", "cores", t, cores if len(self._cores) > 1 else {ROLE: cores[ROLE]})
        now = _host_seconds()
        total, busy, steal = (after - before for after, before in zip(now, self._host, strict=True))
        if total > 0:
            self._panels.add("host CPU", "%", t, {"busy": busy / total * 100, "steal": steal / total * 100})
            self._host = now
        if t - self._window_began >= WINDOW:
            self._add_latencies(t, times)

    def series(self) -> list[Series]:
        """Return the lines of the charts."""
        return self._panels.series()

    def process(self) -> Process:
        """Return all processes of the generator together."""
        cpu = sum(usage.cpu_seconds for usage in self._usage.values())
        return Process(role=ROLE, count=self.count, cpu_seconds=cpu, memory_mb=self._memory)

    def host(self) -> Host:
        """Return the host's CPU over the run so far."""
        total, busy, steal = (now - then for now, then in zip(_host_seconds(), self._first_host, strict=True))
        return Host(busy=busy / total if total else 0.0, steal=steal / total if total else 0.0)

    def _add_latencies(self, t: float, times: Mapping[str, Mapping[int, int]]) -> None:
        found = {}
        for name, counts in times.items():
            before = self._times.get(name, {})
            found[name] = Distribution.of_weighted((ms / 1000, n - before.get(ms, 0)) for ms, n in counts.items())
        for percentile in ("50", "95"):
            lines = {name: one.percentiles[percentile] if one else None for name, one in found.items()}
            self._panels.add(f"latency p{percentile}", "s", t, lines)
        self._times, self._window_began = {name: dict(counts) for name, counts in times.items()}, t


def _host_seconds() -> tuple[float, float, float]:
    """Return all processors' CPU seconds so far: all, busy, and stolen by the hypervisor (proc(5), /proc/stat)."""
    times = psutil.cpu_times()
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)  # in user and nice already
    steal = getattr(times, "steal", 0.0)
    return total, total - times.idle - getattr(times, "iowait", 0.0) - steal, steal
