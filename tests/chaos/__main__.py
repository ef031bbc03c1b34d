"""`./run chaos`: faults on a real local stack, judged photo by photo. docs/operations/chaos.md describes it."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import traceback
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from tests.chaos.experiments import EXPERIMENTS, chosen
from tests.chaos.judge import Verdict
from tests.chaos.lab import Suite

_COLUMNS = ("photos", "faults", "lost", "no_event", "doubled", "stuck", "orphans", "refused", "wrong")
_SHOWN = 3


def main() -> int:
    """Run the experiments that the arguments name; 1 when one of them was not passed."""
    parser = argparse.ArgumentParser(prog="./run chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments; all without a name")
    parser.add_argument("--list", action="store_true", help="name them, and end")
    parser.add_argument("--short", action="store_true", help="the short form, some three minutes")
    parser.add_argument("--seed", type=int, default=1, help="decides codes, moments and victims")
    parser.add_argument("--photos", type=int, default=40, help="in each experiment")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout, the table on stderr")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep photos, data and logs there")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - EXPERIMENTS.keys():
        parser.error(f"no such experiment: {', '.join(sorted(unknown))}")
    if arguments.list:
        for entry in EXPERIMENTS.values():
            sys.stdout.write(f"{entry.name:<20} {'short' if entry.short else '':<6} {entry.about}" + "\n")
        return 0
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))  # retries are expected
    with TemporaryDirectory(prefix="shoebox-chaos-") as folder:
        return asyncio.run(_run(arguments, arguments.keep or Path(folder)))


async def _run(arguments: argparse.Namespace, folder: Path) -> int:
    table = sys.stderr if arguments.json else sys.stdout
    print(f"seed {arguments.seed}", file=table)
    print(f"{'experiment':<20}" + "".join(f"{name:>9}" for name in _COLUMNS) + "   time", file=table, flush=True)
    verdicts: dict[str, Verdict] = {}
    async with Suite(folder, seed=arguments.seed, photos=arguments.photos).running() as suite:
        for entry in chosen(arguments.names, short=arguments.short):
            try:
                verdict = await suite.run(entry)
            except Exception as error:  # noqa: BLE001 - the others are to be run; it counts as failed
                verdict = Verdict(findings=[f"the experiment broke: {type(error).__name__}: {error}"])
                traceback.print_exc()
            verdicts[entry.name] = verdict
            print(row(entry.name, verdict), file=table, flush=True)
    if arguments.json:
        found = {name: verdict.document() for name, verdict in verdicts.items()}
        json.dump({"seed": arguments.seed, "experiments": found}, sys.stdout, indent=2)
    return 0 if all(verdict.passed for verdict in verdicts.values()) else 1


def row(name: str, verdict: Verdict) -> str:
    """Return a row of the table, with its note, and below it the most frequent kinds of its findings."""
    counts = "".join(f"{getattr(verdict, column):>9}" for column in _COLUMNS)
    lines = [f"{name:<20}{counts}{verdict.seconds:>6.0f}s  {'ok' if verdict.passed else 'FAILED'}  {verdict.note}"]
    kinds = Counter(finding.partition(": ")[2] or finding for finding in verdict.findings)
    lines += [f"    {count:>3} × {kind[:150]}" for kind, count in kinds.most_common(_SHOWN)]
    if len(kinds) > _SHOWN:
        lines.append(f"    and {len(kinds) - _SHOWN} other kinds")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
