"""What `./run load` was asked for, and how it is done: a folder, a stack, Locust; for `naive` twice, then compared."""

from __future__ import annotations

import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from console.exits import CliError, Exit
from console.messages import user_facing_errors
from console.output import Output, safe
from fleet.limits.quotas import load_quotas
from load_tests import report
from load_tests.naive.stack import naive_stack
from load_tests.outcome import run_folder
from load_tests.planned_stack import write_planned
from load_tests.results import Results
from load_tests.scenarios import Plan, Scenario, planned
from load_tests.session import UI_PORT, Target, run_locust, started_stack
from load_tests.settings import LoadSettings
from load_tests.stack import StackStartError
from load_tests.thresholds import judged
from shoebox.stack.model import stack_file

NAIVE = "naive"


@dataclass(frozen=True, slots=True)
class Order:
    """The options of `./run load`; None: what the scenario or the machine says."""

    scenario: Scenario
    uploads_per_day: float | None
    seconds: float | None
    scale: float
    most: float | None
    mix: str | None
    seed: int
    workers: int
    target: str | None
    control_url: str | None
    tenant: str
    key: Path | None
    quotas: str | None
    stack: Path | None
    thresholds: list[str] | None
    drain_seconds: float
    results: Path
    ui: bool
    quiet: bool

    def plan(self) -> Plan:
        """The run that this comes to."""
        return planned(self.scenario, LoadSettings(**self._load(), thresholds=self.thresholds))

    def environment(self) -> dict[str, str]:
        """The load's part of the settings, for Locust (load_tests/settings.py)."""
        settings = LoadSettings(**self._load(), thresholds=self.thresholds)
        values = settings.model_dump(by_alias=True, include={*self._load()}, exclude_none=True)
        return {name: _word(value) for name, value in values.items()}

    def _load(self) -> dict[str, object]:
        return {
            "scenario": self.scenario.name,
            "uploads_per_day": self.uploads_per_day,
            "seconds": self.seconds,
            "scale": self.scale,
            "most": self.most,
            "mix": self.mix,
            "seed": self.seed,
            "drain_seconds": self.drain_seconds,
        }


@dataclass(frozen=True, slots=True)
class _Side:
    """One stack that is loaded: its name in a comparison, and how its description is made."""

    name: str
    naive: bool


def carried_out(order: Order, output: Output) -> tuple[int, list[Path]]:
    """Run it; the exit code, and the results.json of each run.

    Raises:
        CliError: it can't begin: options that don't go together, or a stack that does not start.
    """
    plan = order.plan()
    sides = _sides(order)
    folder = run_folder(order.results, order.scenario.name, time.time())
    codes, documents = [], []
    for side in sides:
        own = folder / side.name if side.name else folder
        own.mkdir(parents=True)
        codes.append(_one(order, plan, side, own, output))
        documents.append(own / "results.json")
    documents = [path for path in documents if path.exists()]
    if documents:
        output.say(f"All runs over time: {report.write_trend(order.results)}")
    if len(sides) == 1 or len(documents) == 1:
        return max(codes), documents
    return compared(order.scenario, codes[0], documents, folder, output), documents


def compared(scenario: Scenario, code: int, documents: list[Path], folder: Path, output: Output) -> int:
    """Compare the two runs; the exit code: `code`, of the first, and that the second shows what it is there for."""
    left, right = (Results.model_validate_json(path.read_bytes()) for path in documents)
    output.say(f"Both in one: {safe(str(report.write_comparison(left, right, folder / 'comparison.html')))}")
    if right.invalid:
        return Exit.INVALID
    missing = [threshold for threshold in judged(right, scenario.naive_thresholds) if not threshold.ok]
    for one in missing:
        output.say(f"[red]✗[/red] The comparison shows nothing: without the queue, {one.metric} is {one.value}.")
    return code or (Exit.FAILED if missing else Exit.OK)


def _sides(order: Order) -> list[_Side]:
    if not order.scenario.naive_thresholds:
        return [_Side("", False)]
    if order.target or order.ui:
        hint = "It starts its own: leave --target and --ui out."
        raise CliError(f"{order.scenario.name} loads two stacks, one after the other.", hint=hint, exit_code=Exit.USAGE)
    return [_Side("queue", False), _Side(NAIVE, True)]


def _one(order: Order, plan: Plan, side: _Side, folder: Path, output: Output) -> int:
    told = order.environment() | {
        "SHOEBOX_LOAD_RESULTS" if order.ui else "SHOEBOX_LOAD_FOLDER": str(folder),  # a page may begin several runs
        "SHOEBOX_LOAD_THRESHOLDS": " ".join(plan.thresholds),
        "SHOEBOX_LOAD_STACK_NAME": side.name,
        "SHOEBOX_LOAD_QUIET": str(int(order.quiet)),
    }
    with _target(order, plan, side, folder, output) as (target, about):
        if order.ui:
            address = f"http://127.0.0.1:{UI_PORT}"
            output.say(f"Locust's page: {address}. Each run leaves its folder; Ctrl-C ends it.")
            webbrowser.open(address)
        return run_locust(target, told | about, workers=order.workers, ui=order.ui)


@contextmanager
def _target(
    order: Order, plan: Plan, side: _Side, folder: Path, output: Output
) -> Iterator[tuple[Target, dict[str, str]]]:
    if order.target:
        yield _running_target(order), {"SHOEBOX_QUOTAS": order.quotas or "aws"}
        return
    quotas = order.quotas or plan.quotas
    with user_facing_errors():
        load_quotas(quotas)
        described, note = _described(order, plan, side, folder)
    output.say(f"Starting {f'the {side.name} stack' if side.name else 'a stack'}, with {quotas} …")
    try:
        with started_stack(described, quotas, folder) as target:
            yield target, {"SHOEBOX_QUOTAS": quotas, "SHOEBOX_LOAD_STACK_NOTE": note}
    except StackStartError as error:
        hint = f"Its log: {folder / 'stack.log'}"
        raise CliError(f"The stack did not start: {_last_line(str(error))}", hint=hint, exit_code=Exit.LOCAL) from error


def _running_target(order: Order) -> Target:
    key = order.key or Path(".shoebox/keys/demo.pem")
    if not key.exists():
        hint = "Name the tenant's private key: --key FILE. For the local stack: .shoebox/keys/demo.pem."
        raise CliError(f"There is no key {key}.", hint=hint, exit_code=Exit.LOCAL)
    return Target(order.target or "", key, order.tenant, order.control_url)


def _described(order: Order, plan: Plan, side: _Side, folder: Path) -> tuple[Path, str]:
    """The stack's description, in the run's folder, and what was changed in it."""
    path, origin = folder / "stack.yaml", order.stack or stack_file()
    if not origin.exists():
        raise CliError(f"There is no {origin}.", exit_code=Exit.USAGE)
    if side.naive:
        path.write_text(naive_stack(origin), encoding="utf-8")
        return path, "S3 invokes ingest for each photo; there is no queue"
    if plan.scale == 1:
        path.write_bytes(origin.read_bytes())
        return path, ""
    return path, write_planned(origin, plan.shape.peak * plan.scale, path)


def _word(value: object) -> str:
    """A setting's text: whole numbers without a point, as the command line takes them."""
    return str(int(value)) if isinstance(value, float) and value == int(value) else str(value)


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"
