"""Listening sockets that are opened before their server starts, and which program has a port that is taken."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

_LISTEN = "0A"  # state column of /proc/net/tcp (proc(5))


class PortTaken(RuntimeError):
    """A port that we were told to use belongs to another program; the message says which, and what to do."""

    def __init__(self, port: int, purpose: str, holder: str | None) -> None:
        by = f" by {holder}" if holder else ""
        message = (
            f"Port {port} for {purpose} is taken{by}. Stop that program, or choose another port (0: any free one)."
        )
        super().__init__(message)
        self.port = port
        self.holder = holder


LOOPBACK = "127.0.0.1"


def listen(port: int, purpose: str, host: str = LOOPBACK) -> socket.socket:
    """Return a socket that listens on `host`, an IPv4 address; port 0 takes any free one.

    Connections wait in its backlog until a server accepts them, so nobody has to poll for a start.

    Raises:
        PortTaken: another program has the port.
        PermissionError: the port is below 1024 and the user may not have it.
    """
    # The protocol by its number: asyncio sets TCP_NODELAY on no other socket, and responses would wait 40 ms for ACKs.
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind((host, port))
        server.listen(2048)
    except OSError as error:
        server.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(port, purpose, holder_of(port)) from error
        raise
    return server


def holder_of(port: int) -> str | None:
    """Return the program that listens on `port`, as "python (pid 123)"; None where the system does not tell."""
    inodes = _listening_inodes(port)
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        if inodes & _socket_inodes(process):
            return f"{_command(process)} (pid {process.name})"
    return None


def _listening_inodes(port: int) -> set[str]:
    rows = [row.split() for table in ("tcp", "tcp6") for row in _lines(Path("/proc/net") / table)[1:]]
    return {row[9] for row in rows if row[3] == _LISTEN and int(row[1].rpartition(":")[2], 16) == port}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:  # not Linux, or another user's
        return []


def _socket_inodes(process: Path) -> set[str]:
    found: set[str] = set()
    try:
        for descriptor in (process / "fd").iterdir():
            found.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    except OSError:  # another user's process, or it has just ended
        pass
    return found


def _command(process: Path) -> str:
    words = "".join(_lines(process / "cmdline")).split("\0")
    return " ".join([Path(words[0]).name, *words[1:3]]).strip() or "a program"
