"""Commands find the stack that they talk to: `shoebox up` in this folder, or containers; `docker` is a script."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from command import Ended, shoebox
from fake_docker import FakeDocker
from upload_service import TOKEN, Service

from shoebox_cli.access import demo_key, mint
from shoebox_cli.localstack import LocalStack
from shoebox_cli.target import DataFolder

MINT = "compose exec -T fleet python -m shoebox_cli token mint"
GB = 1000**3
STATE = {"memory": {"used": GB, "limit": 2 * GB}, "warn": 0.8, "refuse": 0.9, "started_at": 1e9, "last_run": None}
MakePicture = Callable[..., Path]


class Ports(ThreadingHTTPServer):
    """The fleet's control port and LocalStack in one; `answers` holds a document by path, or several, taken in turn."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.answers: dict[str, list[Any]] = {"/_localstack/shoebox": [STATE]}


class _Answer(BaseHTTPRequestHandler):
    server: Ports

    def do_GET(self) -> None:
        found = self.server.answers.get(self.path)
        self.send_response(200 if found else 404)
        self.end_headers()
        if found:
            self.wfile.write(json.dumps(found[0] if len(found) == 1 else found.pop(0)).encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def ports() -> Iterator[Ports]:
    """Run a server on a port of its own."""
    with Ports() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def containers(tmp_path: Path, ports: Ports, service: Service) -> Callable[..., Any]:
    """Return a command beside a stack in containers whose gateway is `service`, in a folder with a demo's key."""
    docker = FakeDocker(tmp_path / "bin")
    demo_key(DataFolder(tmp_path / ".shoebox"))
    published = {"fleet": {8080: service.url.rpartition(":")[2], 9001: ports.server_port}}
    published["localstack"] = {4566: ports.server_port}
    lines = [
        {"Service": name, "Name": f"shoebox-{name}-1", "State": "running", "Health": "healthy", "ExitCode": 0}
        | {"Publishers": [{"TargetPort": target, "PublishedPort": int(port)} for target, port in pairs.items()]}
        for name, pairs in published.items()
    ]
    docker.answer("compose ps --format json *", "\n".join(map(json.dumps, lines)))
    docker.answer(f"{MINT}*", TOKEN)

    async def run(*arguments: str | Path) -> Ended:
        return await shoebox(*arguments, folder=tmp_path, env={"PATH": f"{docker.folder}:{os.environ['PATH']}"})

    return run


async def test_upload_finds_the_containers_and_their_token(containers: Any, picture: MakePicture) -> None:
    """Without address or token, and though a demo's key is there, which their authorizer does not know."""
    ended = await containers("upload", picture("a.jpg"))

    assert (ended.code, "READY" in ended.stdout) == (0, True)
    assert "minted in the container `fleet`" in ended.stderr


@pytest.mark.usefixtures("no_jitter")
async def test_an_address_that_is_the_containers_gets_their_token(
    containers: Any, service: Service, picture: MakePicture
) -> None:
    """By any name of this machine; at another port the data folder's key counts, as ever."""
    port = service.url.rpartition(":")[2]

    theirs = await containers("upload", picture("a.jpg"), "--url", f"http://localhost:{port}/")
    other = await containers("upload", picture("a.jpg"), "--url", "http://127.0.0.1:9")

    assert theirs.code == 0
    assert "minted with" in other.stderr


async def test_token_mint_asks_the_containers(containers: Any, tmp_path: Path) -> None:
    """A token that works where the other commands go; a key that is named is used, whatever runs."""
    found = await containers("token", "mint", "--user", "anna")
    key = DataFolder(tmp_path / ".shoebox").key_file("demo")
    named = await containers("token", "mint", "--key", key)

    assert found.stdout.strip() == TOKEN
    assert named.stdout.count(".") == mint(key, "demo", "you").count(".")
    assert named.stdout.strip() != TOKEN


async def test_quotas_and_doctor_see_the_containers(containers: Any, ports: Ports, service: Service) -> None:
    """Quotas asks their fleet; doctor tells of containers and LocalStack's memory, and takes their ports for ours."""
    ports.answers["/quotas"] = [{"quotas": {"name": "aws"}, "limits": []}]

    quotas = await containers("quotas")
    doctor = await containers("doctor", "--port", str(ports.server_port), "--emulator-port", "0")

    assert (quotas.code, "Quotas: aws" in quotas.stdout) == (0, True)
    assert "2 containers are well" in doctor.stdout
    assert "LocalStack uses 1.0 GB of 2.0 GB of memory" in doctor.stdout
    assert f"port {ports.server_port} is held by" in doctor.stdout
    assert "the stack running here" in doctor.stdout


async def test_queues_ask_the_containers_localstack(containers: Any, ports: Ports) -> None:
    """Its published port, not an error that no stack runs."""
    ended = await containers("queues", "list")

    assert "No stack runs here" not in ended.stderr
    assert "SQS refuses" in ended.stderr, "the test's server is no SQS"


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (
            {"started_at": 2e9, "last_run": "out of memory"},
            "ran out of memory (OOMKilled; limit 2.0 GB) and began anew",
        ),
        ({"started_at": 2e9, "last_run": "killed"}, "was stopped (killed) and began anew, empty"),
        ({"memory": {"used": 1.7 * GB, "limit": 2 * GB}}, "uses 1.7 GB of 2.0 GB of memory; from 90% on it refuses"),
        (None, "LocalStack does not answer any more"),
    ],
)
async def test_upload_tells_what_became_of_localstack(
    containers: Any, ports: Ports, picture: MakePicture, after: dict[str, Any] | None, message: str
) -> None:
    """What happened while it ran, with what to do, beside the results; a loss is a failure, whatever was READY."""
    ports.answers["/_localstack/shoebox"] = [STATE, STATE | after if after else {}]

    ended = await containers("upload", picture("a.jpg"))

    assert message in ended.stderr
    assert "READY" in ended.stdout
    assert ended.code == (0 if "uses" in message else 1)


async def test_upload_without_trouble_says_nothing_of_localstack(containers: Any, picture: MakePicture) -> None:
    """It is not the photos' business."""
    ended = await containers("upload", picture("a.jpg"), "--quiet")

    assert (ended.code, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("used", "limit", "warns"), [(1.59, 2, False), (1.6, 2, True), (2, 2, True), (5, None, False), (0, None, False)]
)
def test_localstack_warns_before_its_limit(used: float, limit: float | None, warns: bool) -> None:
    """From four fifths on; where there is no limit, never."""
    state = LocalStack(int(used * GB), int(limit * GB) if limit else None, 0.8, 0.9, 1e9, None)

    assert bool(state.warning()) is warns


def test_a_loss_says_when_and_why() -> None:
    """The time is LocalStack's start; a first run lost nothing."""
    first = LocalStack(GB, 2 * GB, 0.8, 0.9, 1e9, None)
    again = replace(first, last_run="out of memory")

    assert first.loss() is None
    assert f"{datetime.fromtimestamp(1e9):%H:%M:%S}: everything stored before is gone." in (again.loss() or "")
    assert "SHOEBOX_LOCALSTACK_MEMORY=4g" in (again.loss() or "")
