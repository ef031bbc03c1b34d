"""X-Ray trace headers (AWS X-Ray, "Tracing header")."""

from __future__ import annotations

import os
import re
import time

_ROOT = re.compile(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}")


def new_trace_id() -> str:
    """Return a new root, for example `Root=1-67891233-abcdef012345678912345678`."""
    return f"Root=1-{int(time.time()):08x}-{os.urandom(12).hex()}"


def trace_id_of(header: str) -> str:
    """Return the caller's trace header when it names a root, else a new root."""
    if header and len(header) <= 256 and header.isprintable() and _ROOT.search(header):
        return header
    return new_trace_id()
