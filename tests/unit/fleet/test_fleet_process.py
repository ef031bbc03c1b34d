import asyncio
import os
import sys
import time
from pathlib import Path

import psutil

from fleet.environments.process import EnvironmentConfig, environment_variables, start_process
from fleet.functions import FunctionSpec
from shoebox.aws.credentials import Credentials

COMMON = EnvironmentConfig("eu-west-1", "http://127.0.0.1:1", Path("/code"), Path("/metrics"), {"EXTRA": "1"})
KEYS = Credentials("AK", "SK", "TOKEN")


def spec(**changes: object) -> FunctionSpec:
    """Return a function."""
    values: dict[str, object] = {
        "key": "api",
        "name": "shoebox-api",
        "arn": "arn",
        "handler": "api.app.handler",
        "memory": 512,
        "timeout": 29,
        "environment": {"SHOEBOX_X": "y", "AWS_REGION": "elsewhere"},
        **changes,
    }
    return FunctionSpec(**values)  # type: ignore[arg-type]


def nothing() -> None:
    """Nobody needs to know."""


async def gone(pid: int, within: float = 30.0) -> bool:
    """Whether a process that is not ours ends within this time; a zombie has ended."""
    deadline = time.monotonic() + within
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(0.01)
    return True


def test_an_environment_has_lambdas_variables_and_its_functions_own():
    """Reserved names cannot be overridden."""
    values = environment_variables(spec(), "e1", "127.0.0.1:9/.rt/api/e1", KEYS, COMMON)
    expected = {
        "_HANDLER": "api.app.handler",
        "AWS_ACCESS_KEY_ID": "AK",
        "AWS_SECRET_ACCESS_KEY": "SK",
        "AWS_SESSION_TOKEN": "TOKEN",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_LAMBDA_FUNCTION_NAME": "shoebox-api",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/shoebox-api",
        "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9/.rt/api/e1",
        "LAMBDA_TASK_ROOT": "/code",
        "TZ": ":UTC",
        "PROMETHEUS_MULTIPROC_DIR": "/metrics",
        "SHOEBOX_X": "y",
        "EXTRA": "1",
    }
    assert {key: values.get(key) for key in expected} == expected
    assert values["AWS_LAMBDA_LOG_STREAM_NAME"].endswith("/[$LATEST]e1")


def test_concurrency_is_named_only_above_one_slot():
    """The variable switches AWS's client to its multi-process mode."""
    assert "AWS_LAMBDA_MAX_CONCURRENCY" not in environment_variables(spec(), "e", "a", KEYS, COMMON)
    assert environment_variables(spec(slots=4), "e", "a", KEYS, COMMON)["AWS_LAMBDA_MAX_CONCURRENCY"] == "4"


def test_nothing_of_the_fleets_own_environment_leaks():
    """The parent's variables are not inherited, whatever they hold."""
    values = environment_variables(spec(), "e", "a", KEYS, COMMON)
    inherited = os.environ.keys() & values.keys() - {"PATH", "LANG", "TZ"}
    assert all(values[name] != os.environ[name] for name in inherited if name.startswith("AWS_"))
    assert "HOME" not in values


async def test_output_is_passed_on_and_the_process_group_ends_with_its_leader(tmp_path: Path):
    """A child that a function left behind is gone, too."""
    lines: list[bytes] = []
    code = "import subprocess; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True)"
    process = await start_process([sys.executable, "-c", code], {"PATH": os.defpath}, tmp_path, lines.append, nothing)
    assert await process.wait() == 0
    child = int(b"".join(lines))
    assert await gone(child)


async def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path):
    """After its time to stop is over."""
    said = asyncio.Event()
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    process = await start_process([sys.executable, "-c", code], {}, tmp_path, lambda _: said.set(), nothing)
    waiting = asyncio.create_task(process.wait())
    await said.wait()
    await process.stop(0.1)
    assert await waiting == -9


async def test_nothing_survives_a_fleet_that_is_killed(tmp_path: Path):
    """SIGKILL to the parent ends its environments: the kernel sees to it."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from fleet.environments.process import start_process\n"
        "async def main():\n"
        "    p = await start_process(['sleep', '60'], {'PATH': '/usr/bin:/bin'}, Path('.'), print, print)\n"
        "    print(p.pid, flush=True)\n"
        "    await p.wait()\n"
        "asyncio.run(main())\n"
    )
    root = Path(__file__).parents[3]
    parent = await asyncio.create_subprocess_exec(
        sys.executable, script, cwd=root, env={"PYTHONPATH": str(root)}, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    assert not await gone(child, within=0)
    parent.kill()
    await parent.wait()
    assert await gone(child)
