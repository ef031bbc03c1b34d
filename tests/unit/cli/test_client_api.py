"""What `shoebox_client` offers to a shop: its public names, and the example of its docstring."""

from __future__ import annotations

import asyncio
import importlib
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from upload_service import TOKEN, Service

import shoebox_client
from shoebox_client.api import is_loopback


async def test_the_docstrings_example_runs(
    service: Service, picture: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ten lines upload a folder, here with the test's service and token."""
    folder = picture("a.jpg").parent
    folder.rename(folder.with_name("holiday"))
    monkeypatch.chdir(folder.parent)
    lines = (shoebox_client.__doc__ or "").splitlines(keepends=True)
    code = textwrap.dedent("".join(line for line in lines if line.startswith("    ") or not line.strip()))
    code = code.replace("https://photos.example.com", service.url).replace("TOKEN", TOKEN)

    await asyncio.to_thread(exec, code, {})

    assert capsys.readouterr().out == f"a.jpg READY {next(iter(service.files))}\n"


def test_every_public_name_is_there() -> None:
    """Each is imported at its first use; another name is an error, as in any module."""
    assert all(getattr(shoebox_client, name) for name in shoebox_client.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        importlib.import_module("shoebox_client").Nothing  # noqa: B018


def test_the_rules_for_names_and_types_cost_no_http_client() -> None:
    """Functions and the process that decodes pictures import them alone."""
    code = "import shoebox_client.names, shoebox_client.picture_types, sys; print('aiohttp' in sys.modules)"

    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert ended.stdout == "False\n", ended.stderr


@pytest.mark.parametrize(
    ("url", "loopback"),
    [("http://localhost:8080/x", True), ("http://[::1]:1", True), ("http://127.0.0.1", True), ("http://a.b", False)],
)
def test_this_machine_is_known_by_its_names(url: str, loopback: bool) -> None:
    """Its token may be minted from the local key, and no proxy stands before it."""
    assert is_loopback(url) is loopback
