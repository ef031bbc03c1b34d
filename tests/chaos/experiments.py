"""All experiments, in the order in which they run: first those that share a stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.chaos import messages, outages, processes, proxied
from tests.chaos.lab import Experiment

EXPERIMENTS: dict[str, Experiment] = {
    experiment.name: experiment
    for module in (processes, messages, proxied, outages)
    for experiment in module.EXPERIMENTS
}


def chosen(names: Sequence[str], *, short: bool) -> Iterator[Experiment]:
    """Those with these names, or all; of all, only the short form's.

    Raises:
        KeyError: there is no such experiment.
    """
    for name in names or EXPERIMENTS:
        if names or EXPERIMENTS[name].short or not short:
            yield EXPERIMENTS[name]
