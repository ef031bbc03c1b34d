"""Listening sockets."""

import asyncio
import socket

from fleet.http.ports import listen


async def test_answers_do_not_wait_for_an_acknowledgement():
    """asyncio sets TCP_NODELAY on what we accept; else an answer in two parts takes 40 ms longer."""
    seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted_socket = writer.get_extra_info("socket")
        seen.set_result(accepted_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    listening = listen(0, "a test")
    async with await asyncio.start_server(accepted, sock=listening):
        _, writer = await asyncio.open_connection("127.0.0.1", listening.getsockname()[1])
        assert await asyncio.wait_for(seen, 30) == 1
        writer.close()
