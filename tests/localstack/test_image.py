"""Shoebox's image: what is in it, what is not, and that Lambda could run it."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from tests.localstack.project import BUILD_SECONDS, IMAGES, Project
from workers.runtime.testing import FakeRuntimeApi


@pytest.fixture(scope="module")
def image() -> str:
    """Provide the image, built as compose.yaml builds it."""
    Project.named("shoebox-image").run("build", "--quiet", "provision", seconds=BUILD_SECONDS)
    return IMAGES["SHOEBOX_IMAGE"]


def run(image: str, *arguments: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a container to its end."""
    command = ["docker", "run", "--rm", *options, image, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def shell(image: str, script: str) -> str:
    """Return what a shell script in the image prints."""
    ended = run(image, "-c", script, options=("--entrypoint", "bash"))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_it_runs_as_nobody_and_cannot_change_its_code(image: str) -> None:
    """A user without rights, who may write to /tmp as on Lambda, and nowhere near the code."""
    assert shell(image, "id -u") == "1000"
    closed = "! touch /var/task/x 2>/dev/null && ! touch /opt/venv/x 2>/dev/null"
    assert shell(image, f"touch /tmp/x && {closed} && echo ok") == "ok"


def test_nothing_that_builds_is_left(image: str) -> None:
    """No compiler, no installer, no certificate bundle of the build."""
    tools = "gcc cc make pip pip3 uv"
    assert shell(image, f"for tool in {tools}; do command -v $tool; done; true") == ""
    assert shell(image, "ls /run/secrets /run/ca.crt 2>/dev/null; true") == ""
    assert shell(image, "env | grep -i cert; true") == ""


def test_pictures_are_made_by_pillow_simd(image: str) -> None:
    """The quick Pillow, and only that one, with every codec that uploads may need."""
    script = (
        "import PIL, pillow_heif, simplejpeg; from PIL import features as f; print(PIL.__version__, f.check('webp'))"
    )
    version, webp = shell(image, f'python -c "{script}"').split()
    packages = 'python -c "from importlib.metadata import distributions as d; print(*(p.name.lower() for p in d()))"'
    installed = shell(image, packages).split()

    assert ".post" in version
    assert webp == "True"
    assert ("pillow-simd" in installed, "pillow" in installed) == (True, False)


def test_without_settings_the_runtime_says_what_is_missing(image: str) -> None:
    """The entry point is the runtime: it names every variable that it lacks, and ends with 1."""
    ended = run(image)

    assert ended.returncode == 1
    assert "AWS_LAMBDA_RUNTIME_API: missing" in ended.stderr
    assert "_HANDLER: missing" in ended.stderr


async def test_lambda_could_run_it(image: str) -> None:
    """With the command as handler and a Runtime API that is not our fleet's, the authorizer answers an invocation."""
    async with FakeRuntimeApi() as api:
        variables = {
            "AWS_LAMBDA_RUNTIME_API": api.address,
            "AWS_LAMBDA_FUNCTION_NAME": "authorizer",
            "SHOEBOX_KEYS_URL": "http://127.0.0.1:9/keys",
        }
        options = [word for pair in variables.items() for word in ("--env", "=".join(pair))]
        container = await asyncio.create_subprocess_exec(
            *("docker", "run", "--rm", "--network", "host", "--read-only", "--tmpfs", "/tmp", *options),
            *(image, "api.authorizer.handler"),
        )
        try:
            event = {"type": "REQUEST", "methodArn": "arn:aws:execute-api:r:0:a/s/GET/x", "headers": {}}
            posted = await api.invoke(event)
            assert posted.json()["policyDocument"]["Statement"][0]["Effect"] == "Deny"
        finally:
            container.terminate()
            assert await container.wait() in (0, 143)
