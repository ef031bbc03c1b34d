"""`shoebox containers`; `docker` is a script on the PATH."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command import Ended, shoebox
from fake_docker import FakeDocker

from shoebox_cli.compose import PURPOSES

UP = "up --build --wait --remove-orphans"
MINT = "exec -T fleet python -m shoebox_cli token mint"
CONFIG = "--profile * config --format json"
LISTED, LISTED_ALL = "ps --format json", "ps --format json --all"
SERVICES: dict[str, Any] = {
    **{name: {} for name in ("localstack", "provision", "fleet", "authorizer", "api", "ingest", "cleanup")},
    "prometheus": {"profiles": ["metrics", "grafana"]},
    "grafana": {"profiles": ["grafana"]},
    "locust": {"profiles": ["load"]},
    "locust-worker": {"profiles": ["load"]},
    "token": {"profiles": ["tools"]},
}


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
    docker.answer(f"compose {MINT}", "a.b.c")
    docker.answer("compose * config --format json", json.dumps({"services": SERVICES}))
    (tmp_path / "compose.yaml").write_text("services: {}")
    held = [socket.create_server(("127.0.0.1", 0)) for _ in PURPOSES]
    ports = [str(each.getsockname()[1]) for each in held]
    for each in held:
        each.close()
    path = {"PATH": f"{docker.folder}:{os.environ['PATH']}", "DOCKER_BUILDKIT": "1"}
    return Containers(tmp_path, docker, path | dict(zip(PURPOSES, ports, strict=True)))


@pytest.fixture
def taken(containers: Containers) -> Iterator[int]:
    """Hold the emulator's port in this process."""
    port = int(containers.environment["SHOEBOX_EMULATOR_PORT"])
    with socket.create_server(("127.0.0.1", port)):
        yield port


def one_message(ended: Ended) -> str:
    """Return the only message of a command that ended with 5."""
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
        f"Gallery   http://127.0.0.1:{port}/#token=a.b.c",
        f"Docs      http://127.0.0.1:{port}/docs",
        f"Metrics   http://127.0.0.1:{control}/metrics",
        f"Emulator  http://127.0.0.1:{containers.environment['SHOEBOX_EMULATOR_PORT']}",
    ]
    assert "building" in ended.stderr
    assert "shoebox-fleet-1 Healthy" in ended.stderr
    assert "shoebox containers down" in ended.stderr
    assert containers.docker.compose_calls == [CONFIG, LISTED, f"{LISTED} localstack", LISTED_ALL, UP, MINT]


async def test_up_as_json(containers: Containers) -> None:
    """One document with every address and the token, whatever docker prints."""
    containers.docker.answer(f"compose {UP}", "building")

    ended = await containers.run("up", "--json")

    gateway = f"http://127.0.0.1:{containers.environment['SHOEBOX_PORT']}"
    assert ended.code == 0
    assert ended.document == {
        "url": gateway,
        "gallery": f"{gateway}/#token=a.b.c",
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
    assert containers.docker.compose_calls[4] == f"{files} {profiles} {UP} --scale ingest=3 --scale api=2"


async def test_a_taken_port_is_one_clear_message(containers: Containers, taken: int) -> None:
    """Which port, for what, and who has it, before anything is built."""
    message = one_message(await containers.run("up"))

    assert f"Port {taken} for LocalStack is taken" in message
    assert f"(pid {os.getpid()})" in message
    assert containers.docker.compose_calls == [CONFIG, LISTED]


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
    containers.docker.answer(f"compose {MINT}", stderr="no such volume", code=1)

    assert "minted no token: no such volume" in one_message(await containers.run("up"))


async def test_our_own_containers_may_have_the_ports(containers: Containers, taken: int) -> None:
    """A second `up` brings what runs up to date."""
    containers.docker.answer(f"compose {LISTED}", json.dumps({"Service": "localstack"}))

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


def container(name: str, status: int = 0, health: str = "healthy", ended: str = "", **state: Any) -> dict[str, Any]:
    """Return a container as `docker inspect` shows it; one with a status has ended."""
    state |= {"ExitCode": status, "Running": not status, "FinishedAt": ended, "Health": {"Status": health}}
    return {"Id": f"id-{name}", "Name": f"/shoebox-{name}", "State": state, "HostConfig": {"Memory": 2 * 1000**3}}


async def test_the_last_words_of_what_failed_are_shown(containers: Containers) -> None:
    """Each container that ended meanwhile or is not healthy, with the end of its own log, and nobody else's.

    Not the one that is well, nor one of the same service that somebody had killed before.
    """
    now = [
        container("provision-1", 5, ended="now"),
        container("fleet-1", health="unhealthy"),
        container("localstack-1", 137, ended="now", OOMKilled=True),
        container("ingest-1"),
        container("ingest-2", 137, ended="before"),
    ]
    names = "\n".join(json.dumps({"ID": each["Id"]}) for each in now)
    before = [container(each["Name"].removeprefix("/shoebox-"), ended="before") for each in now]
    containers.docker.answer(f"compose {LISTED_ALL}", names)
    containers.docker.answer("inspect*", json.dumps(before))
    containers.docker.change("inspect*", json.dumps(now), after=f"compose {UP}", stderr="dependency failed", code=1)
    containers.docker.answer("logs * id-provision-1", "✓ AWS emulator\nqueue shoebox-x: [denied]")
    containers.docker.answer("logs * id-fleet-1", "waiting for it")

    ended = await containers.run("up", "--json")

    assert (ended.code, ended.stdout) == (5, "")
    assert "dependency failed" in ended.stderr
    last = "The end of its log:\n  ✓ AWS emulator\n  queue shoebox-x: [denied]"
    assert f"The container shoebox-provision-1 ended with 5. {last}" in ended.stderr
    assert "The container shoebox-fleet-1 is not healthy. The end of its log:\n  waiting for it" in ended.stderr
    assert "shoebox-localstack-1 ran out of memory (OOMKilled; its limit is 2.0 GB" in ended.stderr
    assert "SHOEBOX_LOCALSTACK_MEMORY" in ended.stderr
    assert "shoebox-ingest" not in ended.stderr
    assert "containers down" not in ended.stderr, "that would delete every photo"
    logs = [call for call in containers.docker.calls if call.startswith("logs")]
    assert logs == [f"logs --tail 12 id-{name}" for name in ("provision-1", "fleet-1", "localstack-1")]


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["--scale", "foo=3"], "there is no function 'foo'", "api, authorizer, cleanup, ingest"),
        (["--scale", "ingest=-1"], "'-1' is no number of containers from 0 to 50", "ingest=3"),
        (["--scale", "ingest=many"], "'many' is no number of containers", "ingest=3"),
        (["--scale", "ingest"], "'' is no number of containers", "ingest=3"),
        (["--scale", "ingest=51"], "'51' is no number of containers", "ingest=3"),
        (["--scale", "fleet=2"], "there is one fleet, and no more", "Functions can be scaled"),
        (["--scale", "localstack=0"], "there is one localstack, and no more", "Functions can be scaled"),
        (["--scale", "api=0"], "without api no request can be answered", "1 or more"),
        (["--scale", "authorizer=0"], "without authorizer no request can be answered", "1 or more"),
        (["--scale", "locust-worker=3"], "--scale cannot say it", "SHOEBOX_LOAD_WORKERS=3"),
        (["--profile", "nope"], "There is no profile 'nope'.", "grafana, load, metrics, tools"),
        (["--profile", "metrics,nope"], "There is no profile 'nope'.", "grafana, load, metrics, tools"),
    ],
)
async def test_a_slip_in_the_options_is_told_before_compose_runs(
    containers: Containers, arguments: list[str], message: str, hint: str
) -> None:
    """What it is, and what there is; nothing is built or started."""
    ended = await containers.run("up", *arguments)

    assert (ended.code, ended.stdout) == (2, "")
    assert message in ended.stderr
    assert hint in ended.stderr
    assert containers.docker.compose_calls == [CONFIG]


async def test_what_options_may_say(containers: Containers) -> None:
    """A queue's function may have no container, several profiles come by a comma, too."""
    ended = await containers.run("up", "--scale", "ingest=0", COMPOSE_PROFILES="metrics,load")

    assert ended.code == 0
    assert f"--profile metrics --profile load {UP} --scale ingest=0" in containers.docker.compose_calls


async def test_files_that_compose_cannot_read_are_one_message(containers: Containers) -> None:
    """A file that is not there, a variable that is no number: Compose's own last line, and where they are described."""
    wrong = "'services[localstack].mem_limit' invalid suffix: 'x'"
    containers.docker.answer("compose * config --format json", stderr=f"a warning\n{wrong}", code=1)

    ended = await containers.run("up", SHOEBOX_LOCALSTACK_MEMORY="2x")

    assert ended.code == 2
    assert f"Compose cannot read its files: {wrong}" in ended.stderr
    assert containers.docker.compose_calls == [CONFIG]


async def test_ports_of_a_profile_are_looked_at_with_it(containers: Containers) -> None:
    """Prometheus's port matters where Prometheus is to start; two of ours may not be the same."""
    port = containers.environment["SHOEBOX_PROMETHEUS_PORT"]
    with socket.create_server(("127.0.0.1", int(port))):
        ends = [await containers.run("up"), await containers.run("up", "--profile", "metrics")]
    twins = await containers.run("up", SHOEBOX_EMULATOR_PORT=containers.environment["SHOEBOX_PORT"])

    assert [ended.code for ended in ends] == [0, 5]
    assert f"Port {port} for Prometheus is taken" in ends[1].stderr
    assert twins.code == 2
    assert "SHOEBOX_PORT and SHOEBOX_EMULATOR_PORT are both" in twins.stderr


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
    downs = [call for call in containers.docker.compose_calls if call.startswith("--profile")]
    assert downs == [f"{down} --volumes", down]


async def test_up_does_not_make_localstack_anew_unasked(containers: Containers) -> None:
    """Where its settings have changed, such as its memory, Compose would replace it; else nothing is asked."""
    running = {"Service": "localstack", "Labels": "a=b,com.docker.compose.config-hash=old,c=d"}
    containers.docker.answer(f"compose {LISTED} localstack", json.dumps(running))
    containers.docker.answer("compose config --hash localstack", "localstack new")
    asked, sure = await containers.run("up"), await containers.run("up", "--yes")
    containers.docker.answer("compose config --hash localstack", "localstack old")
    same = await containers.run("up")

    assert [ended.code for ended in (asked, sure, same)] == [2, 0, 0]
    assert "makes it anew, empty: every photo in it is gone. Nobody is here to ask." in asked.stderr


async def test_down_does_not_delete_photos_unasked(containers: Containers) -> None:
    """Where LocalStack runs and nobody can be asked, it says what would go, and wants --yes."""
    containers.docker.answer(f"compose {LISTED} localstack", json.dumps({"Service": "localstack"}))

    asked, sure = await containers.run("down"), await containers.run("down", "--yes")

    assert (asked.code, sure.code) == (2, 0)
    assert "This removes LocalStack with every photo" in asked.stderr
    assert "Add --yes." in asked.stderr
    assert [call for call in containers.docker.compose_calls if " down " in call] == [
        "--profile * down --remove-orphans --volumes"
    ]


async def test_a_down_that_fails_ends_with_5(containers: Containers) -> None:
    """With docker's reason."""
    containers.docker.answer("compose --profile*", stderr="volume is in use", code=1)

    assert "volume is in use" in one_message(await containers.run("down"))
