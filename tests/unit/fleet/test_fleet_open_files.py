"""The soft limit of open files, which shells set low, does not bound the connections of a server."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
from fleet.http.limits import PROGRAMS, RequestLimits
print(PROGRAMS.max_connections, RequestLimits().max_connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


@pytest.mark.parametrize(
    ("soft", "hard", "found"), [(256, 1024, "512 512 1024"), (1024, 1024, "512 512 1024"), (64, 900, "450 450 900")]
)
def test_the_hard_limit_counts(soft: int, hard: int, found: str):
    """In a process of its own, which cannot take its limits back."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(soft), str(hard)], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == found
