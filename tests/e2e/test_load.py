"""Locust's phones against a whole stack: a short run of load_tests, as a performance engineer starts it."""

import asyncio
import csv
import os
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Start
from tests.e2e.system import ROOT

SMALL = {
    "SHOEBOX_LOAD_PHOTO_BYTES": "30000",
    "SHOEBOX_LOAD_WIDTH": "320",
    "SHOEBOX_LOAD_HEIGHT": "240",
    "SHOEBOX_LOAD_PICTURES": "2",
    "SHOEBOX_LOAD_PHOTOS": "2",
}
RUN = ("--headless", "-u", "3", "-r", "3", "-t", "5s", "--stop-timeout", "30", "--only-summary")


@pytest.mark.only_on("embedded", reason="the scenario is the same everywhere, and Docker's time is dear")
async def test_phones_upload_photos_that_become_ready(start: Start, tmp_path: Path) -> None:
    """Exit code 0, no failed request, and every photo that was sent became READY, with its time."""
    async with start() as system:
        key = system.key.save(tmp_path)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "locust", "-f", str(ROOT / "load_tests" / "locustfile.py")),
            *(*RUN, "--host", system.gateway_url, "--csv", str(tmp_path / "run")),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SHOEBOX_KEY": str(key), **SMALL},
        )
        try:
            stdout, _ = await asyncio.wait_for(process.communicate(), 100)
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0, stdout.decode()
        sent, made = await system.objects("originals/"), await system.objects("renditions/")

    # Locust writes it once a second, so the last photos may be missing.
    with (tmp_path / "run_stats.csv").open() as table:
        rows = {row["Name"]: row for row in csv.DictReader(table)}
    assert {row["Failure Count"] for row in rows.values()} == {"0"}
    assert 0 < int(rows["READY"]["Request Count"]) <= len(sent)
    assert 0 < float(rows["READY"]["Median Response Time"]) < 30_000
    assert len(made) == 3 * len(sent)  # those under way at the end were waited for
