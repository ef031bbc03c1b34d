"""Locust's phones against a whole stack: a short run of load_tests, as a performance engineer starts it."""

import asyncio
import json
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
RUN = ("--headless", "-u", "3", "-r", "3", "-t", "5s", "--stop-timeout", "120", "--only-summary", "--json")
SECONDS = 180  # Locust's start, the run, and the end of the uploads under way, on a busy machine


@pytest.mark.only_on("embedded", reason="the scenario is the same everywhere, and Docker's time is dear")
@pytest.mark.timeout(2 * SECONDS)
async def test_phones_upload_photos_that_become_ready(start: Start, tmp_path: Path) -> None:
    """Exit code 0, no failed request, and every photo that was sent became READY, with its time."""
    async with start() as system:
        key = system.key.save(tmp_path)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "locust", "-f", str(ROOT / "load_tests" / "locustfile.py")),
            *(*RUN, "--host", system.gateway_url),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SHOEBOX_KEY": str(key), **SMALL},
        )
        try:
            stdout, stderr = await asyncio.wait_for(process.communicate(), SECONDS)
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0, stderr.decode()
        sent, made = await system.objects("originals/"), await system.objects("renditions/")

    rows = {row["name"]: row for row in json.loads(stdout)}
    assert {row["num_failures"] for row in rows.values()} == {0}
    assert rows["READY"]["num_requests"] == len(sent) > 0
    assert 0 < rows["READY"]["min_response_time"] <= rows["READY"]["max_response_time"] < 1000 * SECONDS
    assert len(made) == 3 * len(sent)  # those under way at the end were waited for
