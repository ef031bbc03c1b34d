"""Experiments behind the proxy: answers that are lost, S3 that is slow, orders that come twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from tests.chaos.judge import Verdict
from tests.chaos.lab import Lab, add, experiment
from tests.chaos.proxy import Fault, Request

_SHARE = 0.2


def action(name: str) -> Callable[[Request], bool]:
    """Requests of an AWS operation."""
    return lambda request: request.action == name


def s3(method: str, prefix: str) -> Callable[[Request], bool]:
    """Requests of a method for objects below a prefix."""
    return lambda request: request.method == method and f"/{prefix}/" in request.path and not request.action


OPERATIONS: dict[str, Callable[[Request], bool]] = {
    "update-item": action("UpdateItem"),
    "put-item": action("PutItem"),
    "transaction": action("TransactWriteItems"),
    "delete-item": action("DeleteItem"),
    "publish": action("PublishBatch"),
    "send-message": action("SendMessage"),
    "put-rendition": s3("PUT", "renditions"),
    "delete-object": lambda request: s3("DELETE", "originals")(request) or s3("DELETE", "renditions")(request),
}


async def lose(lab: Lab, operation: str) -> Verdict:
    """Upload all, delete half; a fifth of the operation's answers get lost on their way to a function."""
    assert lab.stack.proxy is not None
    load, fault = lab.load(), Fault("lose", OPERATIONS[operation], _SHARE)
    async with lab.stack.proxy.injecting(fault):
        photos = await load.make(lab.photos)
        await load.upload(photos, over=2)
        await load.until_ready(photos)
        await load.delete(lab.random.sample(photos, len(photos) // 2), over=1)
        verdict = await lab.judge(load).judge(seconds=80)
    verdict.faults = fault.count
    return verdict


for _operation in OPERATIONS:
    _short = _operation in ("update-item", "publish", "send-message")
    _about = f"a fifth of the answers to {_operation} is lost: upload all, delete half"
    add(f"lose-{_operation}", _about, partial(lose, operation=_operation), "proxied", short=_short)


@experiment("lose-fleet", "a fifth of the fleet's own answers from SQS is lost (DeleteMessageBatch)", "proxied")
async def lose_fleet(lab: Lab) -> Verdict:
    """Messages that were not deleted for all that the fleet knows, or come again."""
    assert lab.stack.proxy is not None
    names = ("DeleteMessage", "DeleteMessageBatch", "ChangeMessageVisibility", "ChangeMessageVisibilityBatch")
    load, fault = lab.load(), Fault("lose", lambda r: r.action in names, _SHARE, by_functions=False)
    async with lab.stack.proxy.injecting(fault):
        photos = await load.make(lab.photos)
        await load.upload(photos, over=6)
        await load.until_ready(photos)
        await load.delete(photos[::2], over=4)
        verdict = await lab.judge(load).judge(seconds=80)
    verdict.faults = fault.count
    return verdict


@experiment(
    "two-orders", "deletion orders come twice, S3 deletes slowly, the same bytes come anew", "proxied", short=True
)
async def two_orders(lab: Lab) -> Verdict:
    """The slower of two orders must not delete what was uploaded anew."""
    assert lab.stack.proxy is not None
    load = lab.load()
    twice = Fault("copy", action("SendMessage"), seconds=(0.0, 0.3))
    slow = Fault("delay", OPERATIONS["delete-object"], seconds=(0.0, 0.8))
    photos = await load.ready(lab.photos)
    async with lab.stack.proxy.injecting(twice, slow):
        await load.replace(photos, over=len(photos) / 4)
        await asyncio.sleep(5)  # an order may still be at work
        verdict = await lab.judge(load).judge(seconds=80, quiet=["deletions"])
    verdict.faults = twice.count + slow.count
    return verdict


@experiment("two-deletes", "two DELETEs at once, S3 deletes slowly, the same bytes come anew", "proxied")
async def two_deletes(lab: Lab) -> Verdict:
    """An owner with two tabs: one DELETE may be told 404, and neither may harm what comes later."""
    assert lab.stack.proxy is not None
    load = lab.load()
    slow = Fault("delay", OPERATIONS["delete-object"], seconds=(0.0, 0.8))
    photos = await load.ready(lab.photos)
    async with lab.stack.proxy.injecting(slow):
        await asyncio.gather(load.delete(photos), load.delete(photos))
        load.wrong.clear()
        await load.register_again(photos)
        verdict = await lab.judge(load).judge(seconds=100, quiet=["deletions"])
    verdict.faults = slow.count
    return verdict
