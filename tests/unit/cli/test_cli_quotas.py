"""`shoebox quotas`: what it says of a stack that runs, of one that does not, and of numbers alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fleet.limit_registry import LimitRegistry
from fleet.limits.quotas import load_quotas
from fleet.limits.use import LimitUse
from tests.command import shoebox

USES = [
    LimitUse("lambda.concurrency", "account", 3, 5, 10, "invocations"),
    LimitUse("lambda.scaling", "ingest", 0, 0, 10, "environments/10 s"),
    LimitUse("gateway.rate", "account", 0.5, 2.25, 100, "requests/s"),
]


class _Control(BaseHTTPRequestHandler):
    answer = b""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/quotas" else 404)
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def control() -> Iterator[str]:
    """Return the address of a control port that answers with `_Control.answer`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Control)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


async def answer_with(uses: list[LimitUse]) -> None:
    """Have the control port say this."""
    _Control.answer = await LimitRegistry(load_quotas("aws/100"), lambda: uses).document()


async def test_use_is_a_table_with_what_is_hit_first(control: str, tmp_path: Path) -> None:
    """The nearest first; what nothing used is left out, and said to be."""
    await answer_with(USES)

    ended = await shoebox("quotas", "--control-url", control, folder=tmp_path)

    assert ended.code == 0, ended.stderr
    rows = [line.split() for line in ended.stdout.splitlines()]
    assert rows[0] == ["Quotas:", "aws/100"]
    assert rows[3] == ["lambda.concurrency", "account", "3", "5", "10", "7", "2.0", "×", "0", "invocations"]
    assert rows[4][:4] == ["gateway.rate", "account", "0.50", "2.25"]
    assert "lambda.scaling" not in ended.stdout
    assert "would hit lambda.concurrency of account first, at 2.0 × the highest so far" in ended.stderr
    assert "1 limit that nothing has used yet: --all" in ended.stderr


@pytest.mark.parametrize(
    ("near", "far", "sentence"),
    [
        (1234, 0, "lambda.concurrency of account has refused 1,234 times."),
        (1, 0, "lambda.concurrency of account has refused 1 time."),
        (3, 70, "gateway.rate of account has refused 70 times, the most of 2 limits that refused."),
    ],
)
async def test_refusals_are_told_first(control: str, tmp_path: Path, near: int, far: int, sentence: str) -> None:
    """The limit that has refused most is named with how often, be it the nearest or not."""
    uses = [
        LimitUse("lambda.concurrency", "account", 10, 10, 10, "invocations", throttled=near),
        LimitUse("gateway.rate", "account", 1, 50, 100, "requests/s", throttled=far),
    ]
    await answer_with(uses)

    ended = await shoebox("quotas", "--control-url", control, "--all", folder=tmp_path)

    assert sentence in ended.stderr


async def test_json_is_what_the_control_port_says(control: str, tmp_path: Path) -> None:
    """All of it, for other programs."""
    await answer_with(USES)

    ended = await shoebox("quotas", "--control-url", control, "--json", folder=tmp_path)

    assert ended.document == json.loads(_Control.answer)


async def test_another_program_at_the_address_is_told(control: str, tmp_path: Path) -> None:
    """With what to check, and the exit code for it."""
    _Control.answer = b'{"hello": 1}'

    ended = await shoebox("quotas", "--control-url", control, folder=tmp_path)

    assert ended.code == 3
    assert "No fleet answers at" in ended.stderr
    assert "control port (9001)" in ended.stderr


async def test_without_a_stack_the_way_to_one_is_told(tmp_path: Path) -> None:
    """Exit code 3."""
    ended = await shoebox("quotas", folder=tmp_path)

    assert ended.code == 3
    assert "No stack runs here." in ended.stderr
    assert "shoebox up" in ended.stderr


async def test_the_numbers_need_no_stack(tmp_path: Path) -> None:
    """Beside AWS's own."""
    ended = await shoebox("quotas", "--quotas", "aws/100", folder=tmp_path)

    assert ended.code == 0
    assert ["functions.concurrency", "10", "1,000"] in [line.split() for line in ended.stdout.splitlines()]


@pytest.mark.parametrize("arguments", [("quotas", "--quotas", "azure"), ("up", "--quotas", "azure")])
async def test_wrong_quotas_end_every_command_alike(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """What may be written, and where to look."""
    ended = await shoebox(*arguments, folder=tmp_path)

    assert ended.code == 2
    assert "'azure' names no quotas: write aws, aws/N, off, or the path of a YAML file" in ended.stderr


async def test_a_plan_is_a_table_with_what_to_do(tmp_path: Path) -> None:
    """Ten million photos a day: the mapping of stack.yaml is raised, S3's keys are spread, the table is well."""
    ended = await shoebox("quotas", "plan", "--uploads-per-day", "10M", folder=tmp_path)

    assert ended.code == 0, ended.stderr
    rows = {tuple(line.split()[:2]): " ".join(line.split()[2:]) for line in ended.stdout.splitlines()}
    assert ended.stdout.startswith("At the peak: 1,157 photos a second\n")
    assert rows["lambda.mapping_concurrency", "ingest"] == (
        "81.02 4 0.05 × batches raise to 110 (maximum_concurrency in stack.yaml)"
    )
    assert "cannot be raised: spread keys" in rows["s3.prefix_writes", "personal/renditions/"]
    assert rows["dynamodb.table_writes", "files"].endswith("WCU/s ok")


async def test_a_plan_for_programs(tmp_path: Path) -> None:
    """The same as JSON, against an account's own quotas; the nearest first, and no stack has to run."""
    (tmp_path / "ours.yaml").write_text("functions: {concurrency: 110}")
    arguments = ("--uploads-per-day", "10M", "--quotas", "ours.yaml", "--json")

    ended = await shoebox("quotas", "plan", *arguments, folder=tmp_path)

    limits = ended.document["limits"]
    account = next(limit for limit in limits if limit["limit"] == "lambda.concurrency")
    assert ended.document["photos_per_second"] == pytest.approx(1157.4, abs=0.1)
    assert [limit["factor"] for limit in limits] == sorted(limit["factor"] for limit in limits)
    assert (account["most"], account["verdict"], account["raise_to"]) == (110, "raise", 150)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("--uploads-per-day", "lots"), "'lots' is no count", id="count"),
        pytest.param(("--uploads-per-day", "1M", "--peak-factor", "0.5"), "'--peak-factor'", id="peak below the mean"),
        pytest.param(("--uploads-per-day", "1M", "--quotas", "azure"), "names no quotas", id="quotas"),
    ],
)
async def test_a_plan_without_sense_is_wrong_usage(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    """Exit code 2, and what is wrong."""
    ended = await shoebox("quotas", "plan", *arguments, folder=tmp_path)

    assert (ended.code, message in ended.stderr) == (2, True), ended.stderr
