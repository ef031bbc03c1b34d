"""S3 notifications to functions on an emulator: through one queue for each function, which the fleet consumes.

In AWS a notification may name a function, and S3 then invokes it asynchronously, without a queue of ours (AWS Lambda,
"Process Amazon S3 event notifications with Lambda"). An emulator's S3 does not know the fleet's functions, but it
notifies queues. So the emulator's stack has the queue `{prefix}-s3-to-{function}`, the notification names that, and a
role of the same name may consume it. The fleet takes S3's place there (`fleet.queues.s3_delivery`); functions and their
environments never see the queue. On AWS nothing has to be created for it.
"""

from __future__ import annotations

from shoebox.stack.base import s3_queue
from shoebox.stack.deployment import ResolvedStack
from shoebox.stack.model import Bucket, Function, Queue

_VISIBILITY = 30  # seconds: an event that is received is accepted within milliseconds
_MEMORY, _TIMEOUT = 128, 5  # the model requires them; only the fleet's own calls use this role


def with_s3_queues(resolved: ResolvedStack) -> ResolvedStack:
    """Return the stack as it is provisioned for the fleet: with a queue and a role for each function S3 invokes."""
    stack = resolved.stack
    if not stack.invoked_by_s3:
        return resolved
    queues = {s3_queue(function): Queue(visibility_timeout=_VISIBILITY) for function in stack.invoked_by_s3}
    roles = {
        queue: Function(
            handler="fleet.queues.s3_delivery",
            memory=_MEMORY,
            timeout=_TIMEOUT,
            permissions={f"queue/{queue}": ["consume"]},
        )
        for queue in queues
    }
    parts = {
        "buckets": {name: _notifying_queues(bucket) for name, bucket in stack.buckets.items()},
        "queues": {**stack.queues, **queues},
        "functions": {**stack.functions, **roles},
    }
    return ResolvedStack(stack=stack.model_copy(update=parts), deployment=resolved.deployment)


def _notifying_queues(bucket: Bucket) -> Bucket:
    notifications = [
        n.model_copy(update={"function": None, "queue": s3_queue(n.function)}) if n.function else n
        for n in bucket.notifications
    ]
    return bucket.model_copy(update={"notifications": notifications})
