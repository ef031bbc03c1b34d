"""Settings: what the variables say, and every problem at once."""

import logging
import os
import sys

import pytest

from workers.runtime.context import FunctionDescription
from workers.runtime.errors import SettingsError
from workers.runtime.protocol import Endpoint
from workers.runtime.settings import Settings, SlotsSettings, read_settings
from workers.runtime.worker import WorkerConfig

NEEDED = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "_HANDLER": "app.handler"}


def test_defaults() -> None:
    """Lambda's two variables are enough."""
    assert Settings.of(NEEDED) == Settings(
        handler="app.handler",
        slots=SlotsSettings(
            Endpoint("127.0.0.1", 9001), slots=1, margin=0.2, drain=10, reconnect=30, single_concurrency=True
        ),
        function=FunctionDescription(),
        task_root=None,
        log_level=logging.INFO,
        loop="auto",
    )


def test_everything() -> None:
    """Each variable reaches its field, in its unit."""
    settings = Settings.of(
        NEEDED
        | {
            "LAMBDA_TASK_ROOT": "/var/task",
            "AWS_LAMBDA_MAX_CONCURRENCY": "64",
            "AWS_LAMBDA_FUNCTION_NAME": "ingest",
            "AWS_LAMBDA_FUNCTION_VERSION": "7",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
            "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/ingest",
            "AWS_LAMBDA_LOG_STREAM_NAME": "s",
            "AWS_LAMBDA_LOG_LEVEL": "warn",
            "AWS_LAMBDA_LOG_FORMAT": "text",
            "_LAMBDA_TELEMETRY_LOG_FD": "62",
            "_LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET": "/tmp/logs",
            "RUNTIME_PROCESSES": "2",
            "RUNTIME_DEADLINE_MARGIN_MS": "50",
            "RUNTIME_DRAIN_S": "3",
            "RUNTIME_RECONNECT_S": "4",
            "RUNTIME_LOOP": "asyncio",
        }
    )
    assert settings == Settings(
        handler="app.handler",
        slots=SlotsSettings(Endpoint("127.0.0.1", 9001), slots=64, margin=0.05, drain=3, reconnect=4),
        function=FunctionDescription("ingest", "7", 512, 60, "/aws/lambda/ingest", "s"),
        task_root="/var/task",
        log_level=logging.WARNING,
        text_logs=True,
        log_descriptor=62,
        log_socket="/tmp/logs",
        loop="asyncio",
        processes=2,
    )


def test_argument_beats_variable() -> None:
    """A container's command names the handler, as with AWS's own client."""
    assert Settings.of(NEEDED, ["other.handler"]).handler == "other.handler"


def test_all_problems_are_reported_together() -> None:
    """Whoever starts it corrects everything in one go."""
    with pytest.raises(SettingsError) as caught:
        Settings.of(
            {
                "AWS_LAMBDA_RUNTIME_API": "nowhere:x",
                "AWS_LAMBDA_MAX_CONCURRENCY": "1601",
                "RUNTIME_DRAIN_S": "-1",
                "RUNTIME_LOOP": "trio",
                "AWS_LAMBDA_LOG_LEVEL": "loud",
            }
        )
    named = [problem.partition(":")[0] for problem in caught.value.problems]
    assert sorted(named) == [
        "AWS_LAMBDA_LOG_LEVEL",
        "AWS_LAMBDA_MAX_CONCURRENCY",
        "AWS_LAMBDA_RUNTIME_API",
        "RUNTIME_DRAIN_S",
        "RUNTIME_LOOP",
        "_HANDLER",
    ]
    assert "a whole number from 1 to 1600" in str(caught.value)


def test_a_missing_address_is_one_problem() -> None:
    """A missing variable is not also reported as malformed."""
    with pytest.raises(SettingsError) as caught:
        Settings.of({"_HANDLER": "a.b"})
    assert caught.value.problems == ("AWS_LAMBDA_RUNTIME_API: missing; expected host:port, or host:port/path",)


def test_trace_id_leaves_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """botocore would send one invocation's trace with the requests of all."""
    for name, value in {**NEEDED, "_X_AMZN_TRACE_ID": "Root=1-old"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["runtime"])
    assert read_settings().handler == "app.handler"
    assert "_X_AMZN_TRACE_ID" not in os.environ


MANAGED = {"AWS_LAMBDA_INITIALIZATION_TYPE": "lambda-managed-instances"}


@pytest.mark.parametrize(
    ("variables", "processes"),
    [
        ({}, 1),
        ({"AWS_LAMBDA_MAX_CONCURRENCY": "64", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "8192"}, 1),
        ({**MANAGED, "AWS_LAMBDA_MAX_CONCURRENCY": "64", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "8192"}, 4),
        ({**MANAGED, "AWS_LAMBDA_MAX_CONCURRENCY": "64", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "65536"}, 6),
        ({**MANAGED, "AWS_LAMBDA_MAX_CONCURRENCY": "3", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "65536"}, 3),
        ({**MANAGED, "AWS_LAMBDA_MAX_CONCURRENCY": "64", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"}, 1),
        ({"AWS_LAMBDA_MAX_CONCURRENCY": "64", "RUNTIME_PROCESSES": "8"}, 8),
        ({"AWS_LAMBDA_MAX_CONCURRENCY": "5", "RUNTIME_PROCESSES": "8"}, 5),
        ({**MANAGED, "AWS_LAMBDA_MAX_CONCURRENCY": "64", "RUNTIME_PROCESSES": "1"}, 1),
        ({"RUNTIME_PROCESSES": "auto"}, 1),
    ],
    ids=[
        "classic",
        "slots elsewhere than on managed instances",
        "2 GB a vCPU",
        "as many as there are CPUs",
        "as many as there are slots",
        "less than 2 GB",
        "chosen",
        "at most one a slot",
        "chosen on managed instances",
        "auto",
    ],
)
def test_processes(variables: dict[str, str], processes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS, "Lambda Managed Instances": 2, 4 or 8 GB a vCPU; a process for each vCPU there, one elsewhere."""
    monkeypatch.setattr("workers.runtime.settings.usable_cpus", lambda: 6)
    assert Settings.of(NEEDED | variables).processes == processes


def test_a_worker_config_overrides_the_variables() -> None:
    """One of several processes runs its share, starts no others, and leaves the environment's trace alone."""
    worker = WorkerConfig(number=1, slots=3, supervisor_pid=7, report_fd=8, in_flight_fd=9)
    settings = Settings.of(
        NEEDED | {"AWS_LAMBDA_MAX_CONCURRENCY": "64", "RUNTIME_PROCESSES": "8", "_RUNTIME_WORKER": worker.text()}
    )
    assert (settings.worker, settings.processes, settings.slots.slots) == (worker, 1, 3)
    assert not settings.slots.single_concurrency
