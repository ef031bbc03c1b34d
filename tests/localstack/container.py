"""LocalStack in a container, by testcontainers: one for the session, or one of a test's own that may be killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shoebox_cli.compose import Engine

# testcontainers reads these when it is imported. Its reaper is an image that would have to be pulled; the fixtures
# below remove what they start. Ports are published on 127.0.0.1 alone, also where this machine is itself a container.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")

from testcontainers.community.localstack import LocalStackContainer

ROOT = Path(__file__).parents[2]
IMAGE = "shoebox-localstack:test"
EDGE = 4566
ENGINE = Engine(ROOT, environment={**os.environ, "DOCKER_BUILDKIT": "1", "SHOEBOX_LOCALSTACK_IMAGE": IMAGE})
BUILD_SECONDS = 1200


@pytest.fixture(scope="session")
def localstack_image() -> str:
    """Provide the image of `localstack/`; BuildKit knows by content what it has built before."""
    built = ENGINE.run("compose", "build", "--quiet", "localstack", seconds=BUILD_SECONDS)
    assert built.returncode == 0, built.stderr
    return IMAGE


@contextmanager
def localstack(image: str, port: int | None = None) -> Iterator[LocalStackContainer]:
    """Provide a LocalStack of its own; `port` on 127.0.0.1 outlives a restart, None takes any."""
    container = LocalStackContainer(image=image, edge_port=EDGE, region_name="us-east-1")
    container.ports = {f"{EDGE}/tcp": ("127.0.0.1", port)}
    with container:
        yield container


@pytest.fixture(scope="session")
def localstack_url(localstack_image: str) -> Iterator[str]:
    """Provide the session's LocalStack. Tests share it: each has a prefix of its own."""
    with localstack(localstack_image) as container:
        yield container.get_url()
