"""A load run from its options to its report: a folder, a stack, Locust; for `naive` two stacks, then compared."""

from __future__ import annotations

import signal
import subprocess
import sys
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
from load_tests.results import Results
from load_tests.scenarios import Plan, Scenario, make_plan
from load_tests.settings import LoadSettings
from load_tests.stack import StackStartError, running_stack, write_planned
from load_tests.thresholds import judge
from shoebox.config import environment_without_aws
from shoebox.stack.model import stack_file

QUEUE, NAIVE = "queue", "naive"
"""The two stacks of a comparison."""
LOCUSTFILE = Path(__file__).with_name("locustfile.py")
UI_PORT = 8089


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options of `./run load`; None: what the scenario or the machine says."""

    scenario: Scenario
    uploads_per_day: float | None
    seconds: float | None
    scale: float
    max_rate: float | None
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

    def settings(self) -> LoadSettings:
        """Return the load's settings: these options, and what only the environment says.

        Raises:
            ConfigError: one of them is out of its range.
        """
        names = ("uploads_per_day", "seconds", "scale", "max_rate", "mix", "seed", "drain_seconds", "thresholds")
        options = {name: getattr(self, name) for name in names}
        settings = LoadSettings.from_environment().model_copy(update={"scenario": self.scenario.name, **options})
        return LoadSettings.from_environment(settings.environment())  # validated


def run(options: RunOptions, output: Output) -> tuple[int, list[Path]]:
    """Run the scenario; return the exit code, and the results.json of each run.

    Raises:
        CliError: it can't begin: options that don't go together, or a stack that does not start.
    """
    with user_facing_errors():
        settings = options.settings()
    scenario, plan = options.scenario, make_plan(options.scenario, settings)
    compares = bool(scenario.naive_thresholds)
    if compares and (options.target or options.ui):
        message = f"{scenario.name} loads two stacks, one after the other."
        raise CliError(message, hint="It starts its own: leave --target and --ui out.", exit_code=Exit.USAGE)
    folder = run_folder(options.results, scenario.name, time.time())
    codes, documents = [], []
    for stack_name in (QUEUE, NAIVE) if compares else ("",):
        own = folder / stack_name
        own.mkdir(parents=True)
        with _target(options, plan, stack_name, own, output) as (url, target):
            # On Locust's page several runs may be begun: each makes a folder of its own below this one.
            where = {"results": own, "folder": None} if options.ui else {"folder": own}
            told = {**target, **where, "thresholds": list(plan.thresholds), "stack_name": stack_name}
            if options.ui:
                page = f"http://127.0.0.1:{UI_PORT}"
                output.say(f"Locust's page: {page}. Each run leaves its folder; Ctrl-C ends it.")
                webbrowser.open(page)
            codes.append(_run_locust(url, settings.model_copy(update=told), workers=options.workers, ui=options.ui))
        documents.append(own / "results.json")
    documents = [path for path in documents if path.exists()]
    if documents:
        output.say(f"All runs over time: {report.write_trend(options.results)}")
    if compares and len(documents) == 2:
        return compare(scenario, codes[0], documents, folder, output), documents
    return max(codes), documents


def compare(scenario: Scenario, code: int, documents: list[Path], folder: Path, output: Output) -> int:
    """Compare the two runs; return the exit code.

    It is `code`, the first run's, or another one where the second run does not show what it is there for.
    """
    left, right = (Results.model_validate_json(path.read_bytes()) for path in documents)
    output.say(f"Both in one: {safe(str(report.write_comparison(left, right, folder / 'comparison.html')))}")
    if right.invalid:
        return Exit.INVALID
    missing = [threshold for threshold in judge(right, scenario.naive_thresholds) if not threshold.ok]
    for one in missing:
        output.say(f"[red]✗[/red] The comparison shows nothing: without the queue, {one.metric} is {one.value}.")
    return code or (Exit.FAILED if missing else Exit.OK)


@contextmanager
def _target(
    options: RunOptions, plan: Plan, stack_name: str, folder: Path, output: Output
) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the URL to load, and the settings that describe what is there: a given address, or a stack of our own."""
    if options.target:
        local_key = LoadSettings().key
        key = options.key or local_key
        if not key.exists():
            hint = f"Name the tenant's private key: --key FILE. For the local stack: {local_key}."
            raise CliError(f"There is no key {key}.", hint=hint, exit_code=Exit.LOCAL)
        where = {"key": key, "tenant": options.tenant, "control_url": options.control_url}
        yield options.target, {**where, "quotas": options.quotas or "aws"}
        return
    quotas = options.quotas or plan.quotas
    with user_facing_errors():
        load_quotas(quotas)
        path, note = _write_stack_file(options, plan, folder, naive=stack_name == NAIVE)
    output.say(f"Starting {f'the {stack_name} stack' if stack_name else 'a stack'}, with {quotas} …")
    log = folder / "stack.log"
    try:
        with running_stack("--stack", str(path), "--quotas", quotas, log=log) as stack:
            where = {"key": stack.key, "tenant": "demo", "control_url": stack.addresses["control"]}
            about = {"stack_pid": stack.process.pid, "quotas": quotas, "stack_note": note}
            yield stack.addresses["url"], {**where, **about}
    except StackStartError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        message = f"The stack did not start: {lines[-1] if lines else 'it said nothing'}"
        raise CliError(message, hint=f"Its log: {log}", exit_code=Exit.LOCAL) from error


def _write_stack_file(options: RunOptions, plan: Plan, folder: Path, *, naive: bool) -> tuple[Path, str]:
    """Write the stack's description to the run's folder; return its path, and what was changed in it."""
    path, origin = folder / "stack.yaml", options.stack or stack_file()
    if not origin.exists():
        raise CliError(f"There is no {origin}.", exit_code=Exit.USAGE)
    if naive:
        path.write_text(naive_stack(origin), encoding="utf-8")
        return path, "S3 invokes ingest for each photo; there is no queue"
    if plan.scale == 1:
        path.write_bytes(origin.read_bytes())
        return path, ""
    # The load stands for `scale` times as many photos, and limits are divided: planned is for the whole.
    return path, write_planned(origin, plan.shape.peak * plan.scale, path)


def _run_locust(url: str, settings: LoadSettings, *, workers: int, ui: bool) -> int:
    """Run Locust to its end; return its exit code. Ctrl-C ends the load, and the report is made of what there was."""
    command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--host", url, "--loglevel", "WARNING"]
    command += ["--web-host", "127.0.0.1", "--web-port", str(UI_PORT)] if ui else ["--headless", "--only-summary"]
    command += ["--processes", str(workers)] if workers else []
    others = {name: value for name, value in environment_without_aws().items() if not name.startswith("SHOEBOX_")}
    environment = {**others, **settings.environment()}
    # S603: our own program
    with subprocess.Popen(command, env=environment, stdout=sys.stderr) as locust:  # noqa: S603
        # Ctrl-C reaches the whole process group, so it is Locust's alone; an order to end is passed on.
        before = {
            signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
            signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: locust.terminate()),
        }
        try:
            return locust.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
