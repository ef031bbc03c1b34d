"""The naive stack's description: stack.yaml, but for what is named here.

python -m load_tests.naive.stack > naive.yaml && ./run up --stack naive.yaml
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from shoebox.stack.model import StackError, load_stack

FUNCTION, QUEUE = "ingest", "uploads"
HANDLER = "load_tests.naive.handler.handler"


def naive_stack(path: Path) -> str:
    """Return the text of a stack file in which buckets notify `ingest` itself wherever `path` has the queue `uploads`.

    `ingest` has another handler, no trigger, and no permission for the queue, which stays, without messages. All else
    is as in `path`.

    Raises:
        StackError: `path` is no valid stack, or not one of a function `ingest` behind a queue `uploads`.
    """
    load_stack(path)
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    function = content.get("functions", {}).get(FUNCTION, {})
    notifications = [
        notification
        for bucket in content["buckets"].values()
        for notification in bucket.get("notifications", [])
        if notification.get("queue") == QUEUE
    ]
    if not notifications or function.get("queue", {}).get("name") != QUEUE:
        raise StackError(f"{path}: no bucket notifies a queue {QUEUE} that triggers a function {FUNCTION}")
    for notification in notifications:
        del notification["queue"]
        notification["function"] = FUNCTION
    del function["queue"]
    function.get("permissions", {}).pop(f"queue/{QUEUE}", None)
    function["handler"] = HANDLER
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(naive_stack(Path("stack.yaml")))
