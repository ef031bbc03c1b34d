"""Photos through the whole pipeline: Shoebox beside a plain worker (boto3, Pillow, one message at a time).

Both on the same emulator, in the same run, round by round. Each side has its photos uploaded to presigned URLs while
it consumes; Shoebox's are registered through the public API with `shoebox upload`'s engine, the plain worker's straight
in the table, which costs it nothing. Time runs from a photo's registration to its READY.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import boto3
from botocore.config import Config

from load_tests.observe.processes import ProcessUsage
from load_tests.stack import RunningStack, running_stack
from shoebox.aws.credentials import Credentials
from shoebox.aws.signing import Presigner
from shoebox.files.model import checksum_header
from shoebox_client.api import open_api
from shoebox_client.renditions import RENDITIONS
from shoebox_client.samples import jpeg_of_size
from shoebox_client.uploads import Uploader, UploadSettings

ROOT = Credentials("test", "test")
REGION = "us-east-1"
UPLOADS_AT_ONCE = 16
BUCKET, QUEUE, TABLE = "plain-photos", "plain-uploads", "plain-files"


@dataclass(frozen=True, slots=True)
class UploadRound:
    """One side's result: photos, seconds from the first registration to the last READY, milliseconds of each photo."""

    photos: int
    seconds: float
    milliseconds: Sequence[float]
    cpu_seconds: float
    """Of the workers alone: ingest environments, or the plain worker."""

    @property
    def rate(self) -> float:
        """Photos a second."""
        return self.photos / self.seconds

    def percentile(self, percent: int) -> float:
        """Milliseconds within which `percent` of the photos were READY."""
        return statistics.quantiles(self.milliseconds, n=100, method="inclusive")[percent - 1]


def main() -> None:
    """Run the rounds and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--plain-photos", type=int, default=300, help="for the plain worker, whose rate is lower")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    python = plain_environment()
    with TemporaryDirectory(prefix="shoebox-photos-") as folder, running_stack() as stack:
        plain = PlainWorker(stack, python)
        ours: list[UploadRound] = []
        theirs: list[UploadRound] = []
        asyncio.run(shoebox_round(stack, write_photos(Path(folder, "warm"), 0, 20)))
        for n in range(arguments.rounds):
            _say(f"round {n + 1} of {arguments.rounds}: shoebox, {arguments.photos} photos")
            photos = write_photos(Path(folder, f"a{n}"), (2 * n + 1) * 10_000, arguments.photos)
            ours.append(asyncio.run(shoebox_round(stack, photos)))
            _say(f"round {n + 1} of {arguments.rounds}: plain worker, {arguments.plain_photos} photos")
            photos = write_photos(Path(folder, f"b{n}"), (2 * n + 2) * 10_000, arguments.plain_photos)
            theirs.append(plain.round(photos))
        usage = stack.usage()
    print_rates(ours, theirs)
    print_memory(usage)


def print_rates(ours: Sequence[UploadRound], theirs: Sequence[UploadRound]) -> None:
    """Print the table of both sides: medians over the rounds."""
    print("| 100 KB photos | photos/s | p50 ms | p99 ms | worker CPU ms a photo |\n|---|---|---|---|---|")
    for name, rounds in (("plain worker", theirs), ("Shoebox", ours)):
        cells = (
            f"{statistics.median(r.rate for r in rounds):.1f}",
            f"{statistics.median(r.percentile(50) for r in rounds):,.0f}",
            f"{statistics.median(r.percentile(99) for r in rounds):,.0f}",
            f"{statistics.median(r.cpu_seconds / r.photos * 1000 for r in rounds):.1f}",
        )
        print(f"| {name} | {' | '.join(cells)} |")
    factor = statistics.median(r.rate for r in ours) / statistics.median(r.rate for r in theirs)
    print(f"\nShoebox / plain worker: {factor:.1f} × photos/s (medians of {len(ours)} interleaved rounds)\n")


def print_memory(usage: Sequence[ProcessUsage]) -> None:
    """Print the table of Shoebox's processes, after the last round."""
    print("| process | memory MB (PSS) | CPU s |\n|---|---|---|")
    for process in usage:
        print(f"| {process.name} | {process.memory_mb:.0f} | {process.cpu_seconds:.1f} |")


# --- Shoebox -----------------------------------------------------------------------------------------------------


async def shoebox_round(stack: RunningStack, photos: Sequence[Path]) -> UploadRound:
    """Upload the photos through the public API and wait until each is READY."""
    return await upload_round(stack.addresses, photos, lambda: _ingest_cpu(stack))


async def upload_round(addresses: Mapping[str, Any], photos: Sequence[Path], cpu: Callable[[], float]) -> UploadRound:
    """Upload to any Shoebox at `addresses`; `cpu` returns the seconds that its workers have used so far."""
    before = cpu()
    async with open_api(addresses["url"], addresses["token"], connections=64) as api:
        settings = UploadSettings(concurrency=UPLOADS_AT_ONCE)
        report = await Uploader(api, await api.limits(), settings).run(photos)
        ids = [record.file_id for record in report.records if record.file_id]
        files: list[dict[str, Any]] = []
        for start in range(0, len(ids), 100):
            files += await api.files(ids[start : start + 100])
    not_ready = [file for file in files if file["state"] != "READY"]
    if not_ready or len(files) != len(photos):
        raise RuntimeError(f"{len(files)} of {len(photos)} photos registered, {len(not_ready)} of them not READY")
    registered = [datetime.fromisoformat(file["registered_at"]) for file in files]
    finished = [datetime.fromisoformat(file["finished_at"]) for file in files]
    return UploadRound(
        photos=len(files),
        seconds=(max(finished) - min(registered)).total_seconds(),
        milliseconds=[(b - a).total_seconds() * 1000 for a, b in zip(registered, finished, strict=True)],
        cpu_seconds=cpu() - before,
    )


def _ingest_cpu(stack: RunningStack) -> float:
    return sum(process.cpu_seconds for process in stack.usage() if process.name == "function ingest")


# --- the plain worker --------------------------------------------------------------------------------------------


class PlainWorker:
    """The peer, with a bucket, a queue and a table of its own on the same emulator."""

    def __init__(self, stack: RunningStack, python: Path) -> None:
        self._python = python
        self._endpoint = stack.addresses["emulator"]
        aws = {
            "endpoint_url": self._endpoint,
            "region_name": REGION,
            "aws_access_key_id": ROOT.access_key_id,
            "aws_secret_access_key": ROOT.secret_access_key,
            "config": Config(s3={"addressing_style": "path"}),
        }
        self._s3, self._sqs, self._dynamodb = (boto3.client(name, **aws) for name in ("s3", "sqs", "dynamodb"))
        self._queue_url = self._provision()

    def _provision(self) -> str:
        self._s3.create_bucket(Bucket=BUCKET)
        url: str = self._sqs.create_queue(QueueName=QUEUE, Attributes={"VisibilityTimeout": "360"})["QueueUrl"]
        arn = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allow = {"Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [allow | {"Resource": arn}]}
        self._sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
        rule = {"FilterRules": [{"Name": "prefix", "Value": "originals/"}]}
        mapping = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": {"Key": rule}}
        self._s3.put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration={"QueueConfigurations": [mapping]}
        )
        self._dynamodb.create_table(
            TableName=TABLE,
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        return url

    def round(self, photos: Sequence[Path]) -> UploadRound:
        """Upload the photos to the peer's bucket and wait until each is READY."""
        with self._running() as worker:
            registered = asyncio.run(self._upload(photos))
            finished = self._wait(registered)
            assert worker.stdin is not None
            worker.stdin.close()
            usage = json.loads(worker.stdout.read())  # type: ignore[union-attr]
        return UploadRound(
            photos=len(photos),
            seconds=max(finished.values()) - min(registered.values()),
            milliseconds=[(finished[key] - at) * 1000 for key, at in registered.items()],
            cpu_seconds=usage["cpu_seconds"],
        )

    @contextlib.contextmanager
    def _running(self) -> Iterator[subprocess.Popen[bytes]]:
        settings = {
            "endpoint_url": self._endpoint,
            "region": REGION,
            "access_key_id": ROOT.access_key_id,
            "secret_access_key": ROOT.secret_access_key,
            "session_token": None,
            "queue_url": self._queue_url,
            "bucket": BUCKET,
            "long_sides": list(RENDITIONS.values()),
            "table": TABLE,
        }
        command = [self._python, Path(__file__).with_name("plain_worker.py"), json.dumps(settings)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as worker:
            assert worker.stdout is not None
            if worker.stdout.readline() != b"ready\n":
                raise RuntimeError("the plain worker did not start")
            yield worker

    async def _upload(self, photos: Sequence[Path]) -> dict[str, float]:
        """Register and upload; the time of each registration by key."""
        presigner = Presigner(ROOT, region=REGION, endpoint_url=self._endpoint)
        at_once = asyncio.Semaphore(UPLOADS_AT_ONCE)
        registered: dict[str, float] = {}

        async def put(session: aiohttp.ClientSession, key: str, data: bytes, digest: str) -> None:
            headers = {"content-type": "image/jpeg", "x-amz-checksum-sha256": checksum_header(digest)}
            url = presigner.url("PUT", BUCKET, key, at=datetime.now(UTC), expires=600, headers=headers)
            async with at_once, session.put(url, data=data, headers=headers) as answer:
                answer.raise_for_status()

        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            for start in range(0, len(photos), 25):
                batch = [(path, path.read_bytes()) for path in photos[start : start + 25]]
                digests = {f"originals/{p.parent.name}-{p.name}": hashlib.sha256(data).hexdigest() for p, data in batch}
                await asyncio.to_thread(self._register, digests)
                registered |= dict.fromkeys(digests, time.time())
                for (key, digest), (_, data) in zip(digests.items(), batch, strict=True):
                    group.create_task(put(session, key, data, digest))
        return registered

    def _register(self, digests: dict[str, str]) -> None:
        puts = [
            {"PutRequest": {"Item": {"pk": {"S": key}, "sha256": {"S": digest}, "state": {"S": "REGISTERED"}}}}
            for key, digest in digests.items()
        ]
        self._dynamodb.batch_write_item(RequestItems={TABLE: puts})

    def _wait(self, registered: dict[str, float]) -> dict[str, float]:
        """When each photo was READY, as the worker noted it; looks once a second so as not to disturb."""
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            finished: dict[str, float] = {}
            for page in self._dynamodb.get_paginator("scan").paginate(TableName=TABLE):
                finished |= {i["pk"]["S"]: float(i["finished_at"]["N"]) for i in page["Items"] if "finished_at" in i}
            if registered.keys() <= finished.keys():
                return {key: finished[key] for key in registered}
            time.sleep(1)
        raise TimeoutError("the plain worker did not finish")


def plain_environment() -> Path:
    """Make a virtual environment with plain Pillow and boto3, kept in .shoebox; return its Python."""
    folder = Path(".shoebox/plain-worker")
    python = folder / "bin/python"
    if not python.exists():
        _say("making the plain worker's environment (boto3, Pillow)")
        uv = Path(sys.prefix, "bin/uv")
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, folder], check=True)
        install = [uv, "pip", "install", "-q", "--no-config", "--python", python]
        subprocess.run([*install, "boto3", "-c", "requirements/dev.txt"], check=True)
        subprocess.run([*install, "--no-deps", "--require-hashes", "-r", "requirements/pillow.txt"], check=True)
    return python


def write_photos(folder: Path, seed: int, count: int) -> list[Path]:
    """Distinct JPEGs of about 100 KB, 1200 × 900 pixels."""
    folder.mkdir()
    paths = [folder / f"{n:05}.jpg" for n in range(count)]
    for n, path in enumerate(paths):
        path.write_bytes(jpeg_of_size(seed + n, 1200, 900, 100_000))
    return paths


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
