"""What LocalStack's memory and rate do while photos are stored in it: compose.yaml, photos in steps, nothing deleted.

Needs a Docker engine. The memory is LocalStack's container's, as `docker stats` shows it, and the part of it that no
cache can give back; the limit is compose.yaml's (SHOEBOX_LOCALSTACK_MEMORY).
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import docker

from benchmarks.pipeline import upload_round, write_photos
from tests.localstack.project import Project, project

_MB = 1000**2


def main() -> None:
    """Upload step after step and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--step", type=int, default=250)
    arguments = parser.parse_args()
    with project("shoebox-bench-memory") as running, TemporaryDirectory(prefix="shoebox-photos-") as folder:
        print("… starting compose.yaml", file=sys.stderr, flush=True)
        running.up()
        link = running.run("run", "--rm", "token").strip()
        addresses = {"url": running.url("SHOEBOX_PORT"), "token": link.partition("#token=")[2]}
        at_rest, _ = memory_mb(running)
        print("| 100 KB photos stored | LocalStack MB | of it not cache | MB a 1,000 photos | photos/s |")
        print("|---|---|---|---|---|")
        for stored in range(arguments.step, arguments.photos + 1, arguments.step):
            photos = write_photos(Path(folder, str(stored)), stored * 10, arguments.step)
            measured = asyncio.run(upload_round(addresses, photos, lambda: 0.0))
            used, held = memory_mb(running)
            growth = (used - at_rest) / stored * 1000
            print(f"| {stored:,} | {used:,.0f} | {held:,.0f} | {growth:,.0f} | {measured.rate:.1f} |", flush=True)


def memory_mb(running: Project) -> tuple[float, float]:
    """Return the memory of LocalStack's container as `docker stats` counts it, and its anonymous part, in MB."""
    (container,) = running.containers("localstack")
    usage = docker.from_env().containers.get(container["Id"]).stats(stream=False)["memory_stats"]
    parts = usage["stats"]
    cache = parts.get("total_inactive_file", parts.get("inactive_file", 0))  # cgroup v1, v2
    return (usage["usage"] - cache) / _MB, parts.get("total_rss", parts.get("anon", 0)) / _MB


if __name__ == "__main__":
    main()
