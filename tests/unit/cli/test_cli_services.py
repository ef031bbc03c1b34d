"""`shoebox provision`, `fleet`, `host` and `queues` where they cannot work: exit codes, one message, no traceback."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

from command import Ended, end, shoebox, start

from shoebox.tenants.keys import KeyPair

NOWHERE = ("--endpoint-url", "http://127.0.0.1:9")


def one_message(ended: Ended) -> str:
    """Return the only message of a command that could not work."""
    assert ended.stdout == ""
    assert ended.stderr.count("✗") == 1
    assert "Traceback" not in ended.stderr
    return ended.stderr


async def test_no_emulator_is_wrong_usage(tmp_path: Path) -> None:
    """Neither starts one by itself: how to name one, and what does start one."""
    ends = await asyncio.gather(*(shoebox(command, folder=tmp_path) for command in ("provision", "fleet")))

    for ended in ends:
        assert ended.code == 2
        assert "There is no emulator to " in one_message(ended)
        assert "--endpoint-url" in ended.stderr
        assert "shoebox up" in ended.stderr
    assert not (tmp_path / ".shoebox").exists()


async def test_queues_need_a_stack_and_a_name_of_it(tmp_path: Path) -> None:
    """3 where no stack runs in this folder; 2 for a queue that stack.yaml has not, with those that it has."""
    nowhere, unknown = await asyncio.gather(
        shoebox("queues", "list", folder=tmp_path),
        shoebox("queues", "redrive", "uplaods-dead", *NOWHERE, folder=tmp_path),
    )

    assert (nowhere.code, unknown.code) == (3, 2)
    assert "No stack runs here." in one_message(nowhere)
    assert "--aws" in nowhere.stderr
    assert "stack.yaml has no queue 'uplaods-dead'." in one_message(unknown)
    assert "uploads, uploads-dead, deletions, deletions-dead" in unknown.stderr


async def test_an_address_where_no_emulator_is(tmp_path: Path) -> None:
    """5 where the set-up needs one, 3 where it is only asked; the hint says how to name the right one."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot found")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        at = ("--endpoint-url", url)
        provisioned, listed = await asyncio.gather(
            shoebox("provision", *at, "--wait", "0", folder=tmp_path), shoebox("queues", "list", *at, folder=tmp_path)
        )

    assert (provisioned.code, listed.code) == (5, 3)
    assert f"No AWS emulator answers at {url} within 0 s" in one_message(provisioned)
    assert "SQS refuses" in one_message(listed)
    assert "--endpoint-url" in provisioned.stderr
    assert "--endpoint-url" in listed.stderr


async def test_what_is_no_address_is_wrong_usage(tmp_path: Path) -> None:
    """An emulator that is named without http://, as an option or by AWS's variable."""
    option, variable = await asyncio.gather(
        shoebox("provision", "--endpoint-url", "localhost:4566", folder=tmp_path),
        shoebox("queues", "list", folder=tmp_path, env={"AWS_ENDPOINT_URL": "localhost:4566"}),
    )

    for ended in (option, variable):
        assert (ended.code, ended.stdout) == (2, "")
        assert "'localhost:4566' is no address" in ended.stderr


async def test_a_wrong_stack_is_one_message(tmp_path: Path) -> None:
    """With the place in the file, before anybody is waited for."""
    (tmp_path / "stack.yaml").write_text("name: x\nfunctions: {api: {memory: lots}}\n")
    commands = [["provision"], ["fleet", "--port", "0"], ["queues", "list"]]

    for ended in await asyncio.gather(*(shoebox(*command, *NOWHERE, folder=tmp_path) for command in commands)):
        assert ended.code == 5
        assert "functions.api.memory" in one_message(ended)


async def test_a_taken_port_is_one_message(tmp_path: Path) -> None:
    """Before the emulator or the fleet is waited for; who has the port is named."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        fleet, host = await asyncio.gather(
            shoebox("fleet", *NOWHERE, "--port", "0", "--control-port", port, folder=tmp_path),
            shoebox("host", "api", "--status-port", port, folder=tmp_path),
        )

    for ended, purpose in ((fleet, "the fleet's control port"), (host, "the host's status")):
        assert ended.code == 5
        assert f"Port {port} for {purpose} is taken" in one_message(ended)
        assert f"(pid {os.getpid()})" in ended.stderr


async def test_sigterm_ends_a_fleet_that_waits_for_its_emulator(tmp_path: Path) -> None:
    """A container that is stopped while it starts has done nothing wrong: 0, at once."""
    asked = asyncio.Event()
    async with await asyncio.start_server(lambda *_: asked.set(), "127.0.0.1", 0) as silent:
        url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        process = await start("fleet", "--endpoint-url", url, "--port", "0", "--control-port", "0", folder=tmp_path)
        await asyncio.wait_for(asked.wait(), 60)
        process.send_signal(signal.SIGTERM)
        ended = await asyncio.wait_for(end(process), 60)

    assert (ended.code, ended.stderr) == (0, "")


async def test_a_host_must_be_told_its_function_and_its_fleet(tmp_path: Path) -> None:
    """2 for no function and for a port that is none; 5 for a fleet that is no address, which it would wait for."""
    unnamed, port, address = await asyncio.gather(
        shoebox("host", folder=tmp_path),
        shoebox("host", "api", "--status-port", "70000", folder=tmp_path),
        shoebox("host", "api", "--fleet", "fleet:9002", folder=tmp_path),
    )

    assert (unnamed.code, port.code, address.code) == (2, 2, 5)
    assert "Missing argument 'function'" in unnamed.stderr
    assert "--status-port" in port.stderr
    assert "fleet:9002 is no address" in one_message(address)


async def test_only_functions_of_the_stack_can_be_joined(tmp_path: Path) -> None:
    """`up --join` with another name ends before anything starts."""
    ended = await shoebox("up", "--join", "ingset", "--free-ports", folder=tmp_path)

    assert ended.code == 5
    assert "has no function ingset to join" in one_message(ended)
    assert not (tmp_path / ".shoebox" / "data").exists()


async def test_a_token_comes_as_the_gallerys_link_too(tmp_path: Path) -> None:
    """The token is in the fragment, which no request carries; other programs get it with its facts."""
    keys = tmp_path / "keys"
    key = KeyPair.generate().save(keys)
    link, document = await asyncio.gather(
        shoebox("token", "mint", "--key", key, "--gallery", "http://127.0.0.1:8080/", folder=tmp_path),
        shoebox("token", "mint", "--key", key, "--tenant", "acme", "--ttl", "1h", "--json", folder=tmp_path),
    )

    address, _, token = link.stdout.strip().partition("#token=")
    assert (link.code, address, token.count(".")) == (0, "http://127.0.0.1:8080/", 2)
    assert (document.code, document.document["tenant"], document.document["user"]) == (0, "acme", "you")
    assert document.document["token"].count(".") == 2
