"""The stack that a load run or a benchmark measures: its description, and `shoebox up` as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import psutil
import yaml

from fleet.limits.quotas import AWS_QUOTAS
from load_tests.arrivals import VISIT_SIZES, mean_photos
from load_tests.observe.processes import ProcessUsage, processes_of, usage_of
from load_tests.simulator.capacity import PhotoLoad, needs
from shoebox.stack.model import load_stack


class StackStartError(Exception):
    """The stack did not start; the message is what it printed."""


@dataclass(frozen=True, slots=True)
class RunningStack:
    """A running stack: its addresses, its folder with keys and logs, and its processes."""

    addresses: dict[str, Any]
    folder: Path
    process: psutil.Process

    @property
    def key(self) -> Path:
        """The private key of the tenant `demo`."""
        return self.folder / "keys" / "demo.pem"

    def usage(self) -> list[ProcessUsage]:
        """Return what each process of the stack has used, by its role."""
        return [usage_of(process) for process in processes_of(self.process.pid)]


@contextmanager
def running_stack(*options: str, log: Path | None = None) -> Iterator[RunningStack]:
    """Start a stack in memory on free ports, wait until it is ready, and stop it at the end.

    `options` are further ones of `shoebox up`. Its stderr goes to `log`, if one is given. It is in a session of its
    own, so that Ctrl-C does not reach it: whoever started it stops it.

    Raises:
        StackStartError: it did not start.
    """
    with TemporaryDirectory(prefix="shoebox-stack-") as folder:
        shoebox = Path(sys.prefix, "bin/shoebox")
        command = [str(shoebox), "up", "--free-ports", "--memory", "--json", "--data", f"{folder}/data", *options]
        log = log or Path(folder, "up.log")
        with (
            log.open("wb") as stderr,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True) as up,  # noqa: S603
        ):
            assert up.stdout is not None
            try:
                text = _read_document(up.stdout)
                if not text:
                    raise StackStartError(log.read_text(errors="replace"))
                yield RunningStack(json.loads(text), Path(folder, "data"), psutil.Process(up.pid))
            finally:
                up.terminate()
                up.wait(timeout=60)


def _read_document(lines: IO[bytes]) -> str:
    """Return the JSON document that `shoebox up` prints once it is ready; nothing where it ends before."""
    text = ""
    for line in lines:
        text += line.decode()
        try:
            json.loads(text)
        except ValueError:
            continue
        return text
    return ""


def planned_concurrency(stack: Path, rate: float) -> int | None:
    """Return what `shoebox quotas plan` says to raise ingest's maximum_concurrency to, for `rate` photos a second.

    None where it is enough, or not limited by the stack.
    """
    load = PhotoLoad(rate=rate, upload=round(mean_photos(VISIT_SIZES)))
    found = (need for need in needs(load_stack(stack), AWS_QUOTAS, load) if need.limit == "lambda.mapping_concurrency")
    need = next(found, None)
    return int(need.raise_to) if need and need.raise_to and "maximum_concurrency" in need.where else None


def write_planned(stack: Path, rate: float, path: Path) -> str:
    """Write the stack file `stack` to `path`, with ingest's concurrency raised for `rate` photos a second.

    An operator would raise it before such a day, too (docs/operations/capacity.md). Return what was changed, if it was.
    """
    concurrency = planned_concurrency(stack, rate)
    if concurrency is None:
        path.write_bytes(stack.read_bytes())
        return ""
    document = yaml.safe_load(stack.read_text(encoding="utf-8"))
    before = document["functions"]["ingest"]["queue"]["maximum_concurrency"]
    document["functions"]["ingest"]["queue"]["maximum_concurrency"] = concurrency
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return f"maximum_concurrency of ingest raised from {before} to {concurrency}, as planned by `shoebox quotas plan`"
