"""The commands that the documents give run as they stand there."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from tests.e2e.conftest import Start
from tests.e2e.live_stack import ROOT, photo

_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def commands(page: str, heading: str) -> list[str]:
    """Return the commands of a page's section, each with its continuation lines, without their prompts."""
    section = (ROOT / "docs" / page).read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [
        command.removeprefix("$ ").rstrip()
        for block in _BLOCK.findall(section)
        for command in re.split(r"(?m)^(?=\$ )", block)
        if command.startswith("$ ")
    ]


@pytest.mark.curl
async def test_the_start_page_uploads_a_photo_with_curl(start: Start, tmp_path: Path) -> None:
    """Section 3, after the token: register, PUT, ask until READY, fetch a preview."""
    photo(tmp_path, "photo.jpg")
    mint, *others = commands("start/README.md", "3. Talk to the API")
    assert mint == "TOKEN=$(shoebox token mint --user anna)"
    async with start() as live:
        script = "\n".join(["set -eo pipefail", *others]).replace("http://127.0.0.1:8080", live.gateway_url)
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "TOKEN": live.token("anna")}
        process = await asyncio.create_subprocess_exec("bash", "-c", script, cwd=tmp_path, env=environment)
        assert await asyncio.wait_for(process.wait(), 60) == 0

    assert json.loads((tmp_path / "file.json").read_text())["state"] == "READY"
    assert (tmp_path / "preview.jpg").read_bytes().startswith(b"\xff\xd8")
