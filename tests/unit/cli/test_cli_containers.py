"""`shoebox containers`; `docker` is a script on the PATH."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import Ended, shoebox
from fake_docker import FakeDocker

LINK = "http://127.0.0.1:8080/#token=a.b.c"
UP = "up --build --wait --remove-orphans"


@dataclass
class Containers:
    """A folder with a compose.yaml, a docker command, and free ports."""

    folder: Path
    docker: FakeDocker
    environment: dict[str, str]

    async def run(self, *arguments: str, **variables: str) -> Ended:
        """Run `shoebox containers`."""
        return await shoebox("containers", *arguments, folder=self.folder, env={**self.environment, **variables})


@pytest.fixture
def containers(tmp_path: Path) -> Containers:
    """Containers that all become healthy."""
    docker = FakeDocker(tmp_path / "bin")
    docker.answer("compose run --rm token", LINK)
    (tmp_path / "compose.yaml").write_text("services: {}")
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [str(each.getsockname()[1]) for each in held]
    for each in held:
        each.close()
    names = ("SHOEBOX_PORT", "SHOEBOX_EMULATOR_PORT", "SHOEBOX_CONTROL_PORT")
    path = {"PATH": f"{docker.folder}:{os.environ['PATH']}", "DOCKER_BUILDKIT": "1"}
    return Containers(tmp_path, docker, path | dict(zip(names, ports, strict=True)))


@pytest.fixture
def taken(containers: Containers) -> Iterator[int]:
    """The emulator's port, held by this process."""
    port = int(containers.environment["SHOEBOX_EMULATOR_PORT"])
    with socket.create_server(("127.0.0.1", port)):
        yield port


def one_message(ended: Ended) -> str:
    """The only message of a command that ended with 5."""
    assert (ended.code, ended.stdout) == (5, "")
    assert ended.stderr.count("✗") == 1
    assert "Traceback" not in ended.stderr
    return ended.stderr


async def test_up_tells_the_addresses(containers: Containers) -> None:
    """Docker's output and the advice go to stderr; stdout has the addresses, with the link from the containers."""
    containers.docker.answer(f"compose {UP}", "building", "Container shoebox-fleet-1 Healthy")

    ended = await containers.run("up")

    port, control = containers.environment["SHOEBOX_PORT"], containers.environment["SHOEBOX_CONTROL_PORT"]
    assert ended.code == 0
    assert ended.stdout.splitlines() == [
        f"Gallery   {LINK}",
        f"Docs      http://127.0.0.1:{port}/docs",
        f"Metrics   http://127.0.0.1:{control}/metrics",
        f"Emulator  http://127.0.0.1:{containers.environment['SHOEBOX_EMULATOR_PORT']}",
    ]
    assert "building" in ended.stderr
    assert "shoebox-fleet-1 Healthy" in ended.stderr
    assert "shoebox containers down" in ended.stderr
    assert containers.docker.compose_calls == ["ps --quiet localstack", UP, "run --rm token"]


async def test_up_as_json(containers: Containers) -> None:
    """One document with every address and the token, whatever docker prints."""
    containers.docker.answer(f"compose {UP}", "building")

    ended = await containers.run("up", "--json")

    gateway = f"http://127.0.0.1:{containers.environment['SHOEBOX_PORT']}"
    assert ended.code == 0
    assert ended.document == {
        "url": gateway,
        "gallery": LINK,
        "docs": f"{gateway}/docs",
        "metrics": f"http://127.0.0.1:{containers.environment['SHOEBOX_CONTROL_PORT']}/metrics",
        "control": f"http://127.0.0.1:{containers.environment['SHOEBOX_CONTROL_PORT']}",
        "emulator": f"http://127.0.0.1:{containers.environment['SHOEBOX_EMULATOR_PORT']}",
        "token": "a.b.c",
    }


async def test_options_become_those_of_compose(containers: Containers) -> None:
    """Profiles before the command, scales behind it, and a second file for `--reload`."""
    arguments = ["--scale", "ingest=3", "--scale", "api=2", "--profile", "metrics", "--profile", "load", "--reload"]

    ended = await containers.run("up", *arguments, "--quiet")

    files = "--file compose.yaml --file compose/reload.yaml"
    profiles = "--profile metrics --profile load"
    assert (ended.code, ended.stderr) == (0, "")
    assert containers.docker.compose_calls[1] == f"{files} {profiles} {UP} --scale ingest=3 --scale api=2"


async def test_a_taken_port_is_one_clear_message(containers: Containers, taken: int) -> None:
    """Which port, for what, and who has it, before anything is built."""
    message = one_message(await containers.run("up"))

    assert f"Port {taken} for LocalStack is taken" in message
    assert f"(pid {os.getpid()})" in message
    assert containers.docker.compose_calls == ["ps --quiet localstack"]


async def test_what_is_no_port_is_wrong_usage(containers: Containers) -> None:
    """The variable and its value are named, and nothing is started."""
    for port, ended in {
        port: await containers.run("up", SHOEBOX_CONTROL_PORT=port) for port in ("-1", "65536")
    }.items():
        assert (ended.code, ended.stdout) == (2, "")
        assert f"SHOEBOX_CONTROL_PORT is '{port}', which is no port." in ended.stderr
    assert UP not in containers.docker.compose_calls


async def test_no_token_is_no_success(containers: Containers) -> None:
    """All are healthy, and the gallery's link could not be had: that is told, with docker's reason."""
    containers.docker.answer("compose run --rm token", stderr="no such volume", code=1)

    assert "there is no token: no such volume" in one_message(await containers.run("up"))


async def test_our_own_containers_may_have_the_ports(containers: Containers, taken: int) -> None:
    """A second `up` brings what runs up to date."""
    containers.docker.answer("compose ps --quiet localstack", "3f5d1c0a9b7e")

    ended = await containers.run("up")

    assert ended.code == 0
    assert UP in containers.docker.compose_calls


async def test_a_wrong_stack_is_told_before_anything_starts(containers: Containers) -> None:
    """In this folder, or as SHOEBOX_STACK names it: one message with the place in the file, and no container."""
    for name, function in (("stack.yaml", "api"), ("other.yaml", "ingest")):
        (containers.folder / name).write_text(f"name: x\nfunctions: {{{function}: {{memory: lots}}}}\n")

    here, named = await asyncio.gather(containers.run("up"), containers.run("up", SHOEBOX_STACK="other.yaml"))

    assert "functions.api.memory" in one_message(here)
    assert "functions.ingest.memory" in one_message(named)
    assert containers.docker.compose_calls == []


async def test_the_last_words_of_what_failed_are_shown(containers: Containers) -> None:
    """Each container that ended or is not healthy, with the end of its log; those that are well are left out."""
    listed = [
        {"Service": "provision", "ExitCode": 5, "Health": ""},
        {"Service": "fleet", "ExitCode": 0, "Health": "unhealthy"},
        {"Service": "api", "ExitCode": 0, "Health": "healthy"},
    ]
    containers.docker.answer(f"compose {UP}", stderr="dependency failed to start", code=1)
    containers.docker.answer("compose ps --all --format json", "\n".join(map(json.dumps, listed)))
    containers.docker.answer("compose logs * provision", "✓ AWS emulator\nqueue shoebox-x: [denied]")
    containers.docker.answer("compose logs * fleet", "waiting for it")

    ended = await containers.run("up", "--json")

    assert (ended.code, ended.stdout) == (5, "")
    assert "dependency failed to start" in ended.stderr
    assert "The container provision ended with 5. Its last words:\n  ✓ AWS emulator\n  queue shoebox-x: [denied]" in (
        ended.stderr
    )
    assert "The container fleet is not healthy. Its last words:\n  waiting for it" in ended.stderr
    assert "The container api" not in ended.stderr
    assert "docker compose logs" in ended.stderr
    logs = [call for call in containers.docker.compose_calls if call.startswith("logs")]
    assert logs == [f"logs --no-log-prefix --tail 12 {name}" for name in ("provision", "fleet")]


async def test_a_failure_without_a_culprit_points_to_docker(containers: Containers) -> None:
    """A build that failed has no container: docker's own words stand above."""
    containers.docker.answer(f"compose {UP}", stderr="failed to solve: no route to registry", code=17)

    message = one_message(await containers.run("up"))

    assert message.index("failed to solve") < message.index("docker compose ended with 17")


async def test_without_an_engine_both_say_so(containers: Containers) -> None:
    """Before anything else is looked at."""
    containers.docker.answer("version*", stderr="Cannot connect to the Docker daemon", code=1)

    for ended in await asyncio.gather(containers.run("up"), containers.run("down")):
        assert "No Docker engine answers: Cannot connect to the Docker daemon" in one_message(ended)
    assert containers.docker.compose_calls == []


async def test_down_removes_everything(containers: Containers) -> None:
    """Of every profile, with the volumes unless they are to be kept."""
    ends = [await containers.run("down"), await containers.run("down", "--keep")]

    assert {(ended.code, ended.stdout, ended.stderr) for ended in ends} == {(0, "", "")}
    down = "--profile * down --remove-orphans"
    assert containers.docker.compose_calls == [f"{down} --volumes", down]


async def test_a_down_that_fails_ends_with_5(containers: Containers) -> None:
    """With docker's reason."""
    containers.docker.answer("compose --profile*", stderr="volume is in use", code=1)

    assert "volume is in use" in one_message(await containers.run("down"))
