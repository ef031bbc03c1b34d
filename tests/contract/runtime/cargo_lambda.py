"""cargo-lambda's local Runtime API, which we did not write, as a process: `cargo lambda watch --only-lambda-apis`."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

FUNCTION = "photos"
_START_SECONDS = 60


@dataclass(frozen=True)
class CargoLambda:
    """The server's port, and a client."""

    port: int
    http: aiohttp.ClientSession

    @property
    def runtime_api(self) -> str:
        """The value for AWS_LAMBDA_RUNTIME_API: with a path in front of AWS's own."""
        return f"127.0.0.1:{self.port}/.rt/{FUNCTION}"

    async def invoke(self, event: Any, **headers: str) -> tuple[int, Any]:
        """Lambda's Invoke: status, and payload."""
        url = f"http://127.0.0.1:{self.port}/2015-03-31/functions/{FUNCTION}/invocations"
        async with self.http.post(url, data=json.dumps(event), headers=headers) as response:
            return response.status, json.loads(await response.read() or b"null")

    def call_url(self, path: str = "") -> Any:
        """Call the function's URL as a browser would; enter what is returned for the response."""
        return self.http.get(f"http://127.0.0.1:{self.port}/lambda-url/{FUNCTION}/{path}")


def binary() -> str:
    """Find the program in the package `cargo-lambda`. Raises FileNotFoundError: it is a part of the set-up."""
    beside = Path(sys.executable).with_name("cargo-lambda")
    found = str(beside) if beside.exists() else shutil.which("cargo-lambda")
    if found is None:
        raise FileNotFoundError(f"cargo-lambda is neither beside {sys.executable} nor on PATH")
    return found


@asynccontextmanager
async def cargo_lambda(folder: Path) -> AsyncIterator[CargoLambda]:
    """Run a server for one function, whose package is in `folder`."""
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        *(binary(), "lambda", "watch", "--only-lambda-apis"),
        *("--invoke-address", "127.0.0.1", "--invoke-port", str(port)),
        cwd=folder,
        env={"PATH": str(_package(folder)), "HOME": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(_START_SECONDS):
            await _listening(process)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(60)) as http:
            yield CargoLambda(port, http)
    finally:
        process.kill()
        await process.wait()


async def _listening(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    said = b""
    while line := await process.stdout.readline():
        said += line
        if b"starting Runtime server" in line:
            return
    raise RuntimeError(f"cargo-lambda ended: {said.decode()}")


def _package(folder: Path) -> Path:
    """Write a Rust package that nobody builds, and a `cargo` that describes it: no toolchain is needed."""
    source = folder / "main.rs"
    source.write_text("fn main() {}\n")
    manifest = folder / "Cargo.toml"
    manifest.write_text(f'[package]\nname = "{FUNCTION}"\nversion = "0.1.0"\nedition = "2021"\n')
    programs = folder / "programs"
    programs.mkdir()
    cargo = programs / "cargo"
    described = json.dumps(_metadata(folder, manifest, source))
    cargo.write_text(f"#!{sys.executable}\nprint({described!r})\n")
    cargo.chmod(cargo.stat().st_mode | stat.S_IXUSR)
    return programs


def _metadata(folder: Path, manifest: Path, source: Path) -> dict[str, Any]:
    """Return what `cargo metadata` prints."""
    identity = f"path+file://{folder}#{FUNCTION}@0.1.0"
    target = {"kind": ["bin"], "crate_types": ["bin"], "name": FUNCTION, "src_path": str(source), "edition": "2021"}
    package = {
        "name": FUNCTION,
        "version": "0.1.0",
        "id": identity,
        "dependencies": [],
        "targets": [target | {"doc": True, "doctest": False, "test": True}],
        "features": {},
        "manifest_path": str(manifest),
        "edition": "2021",
    }
    return {
        "packages": [package],
        "workspace_members": [identity],
        "workspace_default_members": [identity],
        "workspace_root": str(folder),
        "target_directory": str(folder / "target"),
        "version": 1,
    }


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
