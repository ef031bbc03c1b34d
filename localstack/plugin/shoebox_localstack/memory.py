"""The container's memory: a warning before its limit, no uploads shortly before it, and how the last run ended.

What is stored lives in this process (bodies are on disk, bodies.py) and the kernel ends it at the limit, so everything
would be lost. `GET /_localstack/shoebox` tells how things are; the `shoebox` command asks there.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from localstack.aws.api import CommonServiceException, RequestContext
from localstack.http import Request, Resource, Response
from localstack.runtime.hooks import on_infra_ready

WARN, REFUSE = 0.8, 0.9
"""Parts of the limit: from the first on the log warns; from the second on uploads are refused, and work is finished."""
_LOOK_SECONDS = 2.0
_UNLIMITED = 1 << 60  # cgroup v1 says a number near 2^63
_STARTED = time.time()

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in use that no cache can give back, and the limit; None: there is none."""

    used: int
    limit: int | None

    @property
    def share(self) -> float:
        """Used part of the limit."""
        return self.used / self.limit if self.limit else 0.0

    def __str__(self) -> str:
        return f"{self.used / 1e9:.2f} of {(self.limit or 0) / 1e9:.2f} GB"


def memory(root: Path = Path("/sys/fs/cgroup")) -> Memory:
    """Return what the container's control group says ("Control Group v2", "Memory Resource Controller" of Linux)."""
    folder, names = (root, ("memory.current", "memory.max"))
    if not (root / "memory.current").exists():
        folder, names = (root / "memory", ("memory.usage_in_bytes", "memory.limit_in_bytes"))
    try:
        used, limit = ((folder / name).read_text().strip() for name in names)
        parts = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:
        return Memory(0, None)
    total = "total_" if "total_active_file" in parts else ""
    cache = int(parts[f"{total}active_file"]) + int(parts[f"{total}inactive_file"])
    bound = None if limit == "max" or int(limit) > _UNLIMITED else int(limit)
    return Memory(max(0, int(used) - cache), bound)


def refuse_uploads_when_almost_full(context: RequestContext) -> None:
    """Refuse what comes by a presigned URL; functions sign otherwise, and may finish what was accepted.

    Raises:
        CommonServiceException: memory is almost used up; 507, which no AWS client tries again.
    """
    presigned = {"X-Amz-Signature", "Signature"} & context.request.args.keys()  # versions 4 and 2
    if presigned and (now := memory()).share >= REFUSE:
        raise CommonServiceException("InsufficientStorage", _almost_full(now), status_code=507)


@on_infra_ready()
def watch() -> None:
    """Answer `/_localstack/shoebox`, and warn in the log."""
    from localstack.services.internal import get_internal_apis

    get_internal_apis().add(Resource("/_localstack/shoebox", State()))
    threading.Thread(target=_warn_for_ever, name="memory", daemon=True).start()


class State:
    """The resource `/_localstack/shoebox`."""

    def on_get(self, _: Request) -> Response:
        """Memory, when this run began, and how the one before it in this container ended, if there was one."""
        now = memory()
        state: dict[str, Any] = {"memory": asdict(now), "warn": WARN, "refuse": REFUSE, "started_at": _STARTED}
        response = Response()
        response.set_json(state | {"last_run": os.environ.get("SHOEBOX_LAST_RUN") or None})
        return response


def _warn_for_ever() -> None:
    warned = 0.0
    while True:
        now = memory()
        if now.share >= WARN and now.share >= warned + 0.05:
            warned = now.share
            log.warning(_almost_full(now))
        elif now.share < WARN - 0.05:
            warned = 0.0
        time.sleep(_LOOK_SECONDS)


def _almost_full(now: Memory) -> str:
    return (
        f"LocalStack uses {now} of memory; uploads are refused from {REFUSE:.0%} on, and at the limit it is killed and"
        " everything stored in it is gone. Delete photos, or raise the limit of the running container: docker update."
    )
