"""What the fleet itself costs: requests through the gateway, and messages through an event source mapping.

`./run bench fleet`; each table has its peer in the same run. `--rounds` and `--seconds` are of each side.
"""

from __future__ import annotations

import argparse

from benchmarks import event_source
from benchmarks.gateway import measure


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    options = parser.parse_args()
    measure.main(options.seconds, options.rounds)
    print()
    event_source.main()


if __name__ == "__main__":
    main()
