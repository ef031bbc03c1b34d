"""Experiments behind the proxy: responses that are lost, S3 that is slow, deletion orders that come twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from tests.chaos.judge import Verdict
from tests.chaos.lab import Experiment, Lab
from tests.chaos.messages import old_url
from tests.chaos.proxy import Fault, Request


def action(name: str) -> Callable[[Request], bool]:
    """Return requests of an AWS operation."""
    return lambda request: request.action == name


def s3(method: str, prefix: str) -> Callable[[Request], bool]:
    """Return requests of a method for objects below a prefix."""
    return lambda request: request.method == method and f"/{prefix}/" in request.path and not request.action


OPERATIONS: dict[str, Callable[[Request], bool]] = {
    "update-item": action("UpdateItem"),
    "transaction": action("TransactWriteItems"),
    "delete-item": action("DeleteItem"),
    "publish": action("PublishBatch"),
    "send-message": action("SendMessage"),
    "put-rendition": s3("PUT", "renditions"),
    "delete-object": lambda request: s3("DELETE", "originals")(request) or s3("DELETE", "renditions")(request),
}
_SHARES = dict.fromkeys(OPERATIONS, 0.2) | {"transaction": 0.4, "publish": 0.5, "send-message": 0.5}  # rarer calls


async def lose(lab: Lab, operation: str) -> Verdict:
    """Upload all, delete half; many of the operation's responses are lost on their way to a function."""
    assert lab.stack.proxy is not None
    load, fault = lab.load(), Fault("lose", OPERATIONS[operation], _SHARES[operation])
    async with lab.stack.proxy.injecting(fault):
        photos = await load.make(lab.photos)
        await load.upload(photos, over=2)
        await load.until_ready(photos)
        await load.delete(lab.random.sample(photos, len(photos) // 2), over=1)
        verdict = await lab.judge(load).judge(seconds=80)
    verdict.faults = fault.count
    return verdict


async def lose_any(lab: Lab) -> Verdict:
    """Lose responses to all writes of all functions, those that follow a late PUT among them."""
    assert lab.stack.proxy is not None
    writes = ("UpdateItem", "PutItem", "DeleteItem", "TransactWriteItems", "SendMessage", "PublishBatch")
    fault = Fault("lose", lambda r: r.action in writes or OPERATIONS["delete-object"](r), 0.2)
    async with lab.stack.proxy.injecting(fault):
        verdict = await old_url(lab)
    verdict.faults = fault.count
    return verdict


async def lose_fleet(lab: Lab) -> Verdict:
    """Lose SQS's responses to the fleet: it does not know which messages were deleted, and receives some again."""
    assert lab.stack.proxy is not None
    names = ("DeleteMessage", "DeleteMessageBatch", "ChangeMessageVisibility", "ChangeMessageVisibilityBatch")
    load, fault = lab.load(), Fault("lose", lambda r: r.action in names, 0.2, by_functions=False)
    async with lab.stack.proxy.injecting(fault):
        photos = await load.make(lab.photos)
        await load.upload(photos, over=6)
        await load.until_ready(photos)
        await load.delete(photos[::2], over=4)
        verdict = await lab.judge(load).judge(seconds=80)
    verdict.faults = fault.count
    return verdict


async def two_orders(lab: Lab) -> Verdict:
    """Check that the slower of two orders does not delete what was uploaded anew."""
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


async def two_deletes(lab: Lab) -> Verdict:
    """Delete as an owner with two tabs: one DELETE may get 404, and neither may harm what comes later."""
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


EXPERIMENTS = [
    *(
        Experiment(
            f"lose-{operation}",
            f"{_SHARES[operation]:.0%} of the answers to {operation} are lost: upload all, delete half",
            partial(lose, operation=operation),
            "proxied",
            short=operation in ("update-item", "publish", "send-message"),
        )
        for operation in OPERATIONS
    ),
    Experiment(
        "lose-any",
        "20 % of the answers to any write are lost: delete, PUT with the old URL, upload anew",
        lose_any,
        "proxied",
    ),
    Experiment("lose-fleet", "a fifth of SQS's answers to the fleet is lost (deleted messages)", lose_fleet, "proxied"),
    Experiment(
        "two-orders",
        "deletion orders come twice, S3 deletes slowly, the same bytes come anew",
        two_orders,
        "proxied",
        short=True,
    ),
    Experiment(
        "two-deletes", "two DELETEs at once, S3 deletes slowly, the same bytes come anew", two_deletes, "proxied"
    ),
]
