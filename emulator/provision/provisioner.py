"""Provisioning of the whole stack, in the order in which its parts need each other."""

from __future__ import annotations

import time

from emulator.provision.buckets import ensure_buckets
from emulator.provision.queues import ensure_queues, ensure_topics
from emulator.provision.resources import Outcome, Report
from emulator.provision.roles import ensure_roles
from emulator.provision.tables import ensure_tables
from emulator.tasks import together
from shoebox.aws.clients import Clients
from shoebox.stack.deployment import ResolvedStack
from shoebox.stack.s3_queues import with_s3_queues


async def provision(resolved: ResolvedStack, clients: Clients) -> Report:
    """Create what is missing and update what differs; standard AWS calls only.

    In an emulator also the queues through which S3 reaches functions, and the roles that empty them
    (shoebox.stack.s3_queues).
    Nothing is ever deleted but a setting: a bucket, queue or table that left stack.yaml stays, with its data.

    Raises:
        ProvisionError: the first resource that could not be brought to what stack.yaml says.
    """
    begin = time.perf_counter()
    resolved = with_s3_queues(resolved)
    outcomes = await together(
        _queues_and_senders(resolved, clients),
        ensure_tables(resolved, await clients.open("dynamodb")),
        ensure_roles(resolved, await clients.open("iam")),
    )
    return Report(tuple(outcome for part in outcomes for outcome in part), time.perf_counter() - begin)


async def _queues_and_senders(resolved: ResolvedStack, clients: Clients) -> list[Outcome]:
    # S3 tests a notification's queue, and SNS a subscription's, when it is set up: the queues come first.
    queues = await ensure_queues(resolved, await clients.open("sqs"))
    senders = await together(
        ensure_buckets(resolved, await clients.open("s3")), ensure_topics(resolved, await clients.open("sns"))
    )
    return [*queues, *(outcome for part in senders for outcome in part)]
