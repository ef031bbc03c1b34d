"""A stack.yaml made ready for a load, as an operator would before the day: docs/operations/capacity.md."""

from __future__ import annotations

from pathlib import Path

import yaml

from fleet.limits.quotas import AWS_QUOTAS
from load_tests.arrivals import VISIT_SIZES, mean_photos
from load_tests.simulator.capacity import PhotoLoad, needs
from shoebox.stack.model import load_stack


def planned_concurrency(stack: Path, rate: float) -> int | None:
    """What `shoebox quotas plan` says to raise ingest's maximum_concurrency to, for `rate` photos a second.

    None where it is enough, or not limited by the stack.
    """
    load = PhotoLoad(rate=rate, upload=round(mean_photos(VISIT_SIZES)))
    found = (need for need in needs(load_stack(stack), AWS_QUOTAS, load) if need.limit == "lambda.mapping_concurrency")
    need = next(found, None)
    return int(need.raise_to) if need and need.raise_to and "maximum_concurrency" in need.where else None


def write_planned(stack: Path, rate: float, path: Path) -> str:
    """Write `stack`, raised for `rate`, to `path`; what was changed, for people, or nothing where nothing was."""
    concurrency = planned_concurrency(stack, rate)
    if concurrency is None:
        path.write_bytes(stack.read_bytes())
        return ""
    document = yaml.safe_load(stack.read_text(encoding="utf-8"))
    before = document["functions"]["ingest"]["queue"]["maximum_concurrency"]
    document["functions"]["ingest"]["queue"]["maximum_concurrency"] = concurrency
    path.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return f"maximum_concurrency of ingest raised from {before} to {concurrency}, as planned by `shoebox quotas plan`"
