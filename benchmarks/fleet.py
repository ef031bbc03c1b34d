"""What the fleet itself costs: requests through the gateway, and messages through an event source mapping.

`./run bench fleet`; each table has its peer in the same run. `--rounds` and `--seconds` are of each side.
"""

from __future__ import annotations

import argparse

import uvloop

from benchmarks import event_source
from benchmarks.gateway import measure


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4, help="of load on a gateway, a round")
    parser.add_argument("--messages", type=int, default=2000, help="through a mapping, a round")
    options = parser.parse_args()
    measure.main(options.seconds, options.rounds)
    print()
    uvloop.run(event_source.run(options.rounds, options.messages))


if __name__ == "__main__":
    main()
