"""A stack of one's own: the files of the how-to, as they stand there, on the fleet."""

import asyncio
import re
from pathlib import Path

import aiohttp

from standalone.stack import StandaloneSettings, StandaloneStack
from tests.command import shoebox

REPOSITORY = Path(__file__).parents[2]
HOW_TO = REPOSITORY / "docs" / "how-to" / "own-stack.md"


def write_files(folder: Path) -> None:
    """Write each block of the how-to whose first line names its file."""
    block = re.compile(r"^```(?:yaml|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
    for content in block.findall(HOW_TO.read_text(encoding="utf-8")):
        name = re.match(r"# ([a-z]+\.\w+)", content)
        assert name is not None
        (folder / name[1]).write_text(content)


async def test_the_how_tos_functions_queues_and_commands_work(tmp_path: Path, http: aiohttp.ClientSession):
    """An API without an authorizer, a FIFO queue with its dead letters, and the commands that the how-to names."""
    write_files(tmp_path)
    settings = StandaloneSettings(
        stack_file=tmp_path / "stack.yaml",
        task_root=tmp_path,
        data_dir=tmp_path / "data",
        emulator_port=0,
        gateway_port=0,
        control_port=0,
        environment={"PYTHONPATH": str(REPOSITORY)},
    )
    async with StandaloneStack.start(settings) as local:
        answer = await http.get(f"{local.fleet.gateway_url}/hello?name=Ann")
        assert (answer.status, await answer.text()) == (200, "Hello Ann")

        sqs = await local.clients.open("sqs")
        for queue, body in (("steps", "first"), ("steps", "second"), ("steps-dead", "third")):
            await sqs.send_message(
                QueueUrl=local.resolved.queue_url(queue),
                MessageBody=body,
                MessageGroupId="order-1",
                MessageDeduplicationId=body,
            )
        at = ("--endpoint-url", local.endpoint_url, "--stack", tmp_path / "stack.yaml")
        listed = await shoebox("queues", "list", *at, "--json", folder=tmp_path)
        moved = await shoebox("queues", "redrive", "steps-dead", *at, folder=tmp_path)
        looked = await shoebox("doctor", "--stack", tmp_path / "stack.yaml", "--json", folder=tmp_path)
        log = local.folder / "logs" / "orders.log"
        async with asyncio.timeout(30):
            while not log.exists() or "third" not in log.read_text():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)

    assert [queue["name"] for queue in listed.document["queues"]] == ["shoebox-steps.fifo", "shoebox-steps-dead.fifo"]
    assert (moved.code, "1 message of steps-dead is back" in moved.stderr) == (0, True)
    assert "stack.yaml is valid (2 functions)" in [finding["found"] for finding in looked.document["findings"]]
    worked = [line.split()[-1] for line in log.read_text().splitlines() if line.startswith("working on order-1")]
    assert worked == ["first", "second", "third"]
