"""Web pages are kept away from what is for programs, however they come."""

import pytest
from raw_http import ask, connected, echo, serving

from fleet.http.guard import is_ours
from fleet.http.ports import listen
from fleet.http.server import Server

NAMES = [  # on the loopback interface, in a network
    ("127.0.0.1", True, True),
    ("127.0.0.1:9001", True, True),
    ("localhost", True, True),
    ("LocalHost:9001", True, True),
    ("[::1]:9001", True, True),
    ("127.0.0.2:9001", True, True),
    ("photos.localhost:4566", True, True),
    ("photos.S3.localhost", True, True),
    ("host.docker.internal:9002", False, True),
    ("fleet.default.svc.cluster.local:9001", False, True),
    ("fleet:9001", False, True),
    ("172.18.0.5:9001", False, True),
    ("[fd00::5]:9001", False, True),
    ("evil.example", False, False),
    ("evil.example:9001", False, False),
    ("127.0.0.1.evil.example", False, False),
    ("localhost.evil.example:9001", False, False),
    ("localhost.", False, False),
    (".localhost", False, False),
    ("evillocalhost.example", False, False),
    ("evil-localhost", False, True),
    ("evil.xlocalhost", False, False),
    ("evil.notinternal", False, False),
    ("evil.local.example", False, False),
    ("127.0.0.1.2", False, False),
    ("127.0.0.evil", False, False),
    ("[::1].evil.example", False, False),
    ("127.0.0.1@evil.example", False, False),
    ("1.2.3.4.5", False, False),
]
PAGES = [
    ("fetch or form", "POST", {"Origin": "http://evil.example"}),
    ("sandboxed", "POST", {"Origin": "null"}),
    ("image", "GET", {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site"}),
    ("link", "GET", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"}),
    ("another port of this machine", "GET", {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-site"}),
    ("no site", "GET", {"Sec-Fetch-Mode": "no-cors"}),
    ("typed, but not to look", "POST", {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}),
]


@pytest.mark.parametrize(("host", "loopback", "network"), NAMES)
def test_names_that_are_ours(host: str, loopback: bool, network: bool):
    """What public DNS may have is somebody's web site: its name may lead to us (DNS rebinding)."""
    assert is_ours(host.encode()) is loopback
    assert is_ours(host.encode(), loopback=False) is network


def request(method: str, **headers: str) -> bytes:
    """Return a request's bytes."""
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    return f"{method} /metrics HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


@pytest.mark.parametrize(("method", "headers"), [row[1:] for row in PAGES], ids=[row[0] for row in PAGES])
async def test_a_page_is_refused(method: str, headers: dict[str, str]):
    """Its request does nothing, and it learns nothing."""
    async with serving(echo, pages=False) as server:
        reply = await ask(server.port, request(method, Host="127.0.0.1", **headers))
    assert (reply.status, reply.body) == (403, {"message": "Not for web pages."})


async def test_a_page_under_a_name_of_its_own_is_refused():
    """For the browser it is the same site, so it sends no Origin."""
    async with serving(echo, pages=False) as server:
        reply = await ask(server.port, request("GET", Host=f"evil.example:{server.port}"))
    assert reply.status == 403
    assert "127.0.0.1" in reply.body["message"]


async def test_programs_and_people_are_served():
    """A person types the address, to look at the metrics."""
    typed = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
    async with serving(echo, pages=False) as server, connected(server.port) as raw:
        for headers in ({}, typed):
            raw.send(request("GET", Host=f"127.0.0.1:{server.port}", **headers))
            assert (await raw.reply()).status == 200
        raw.send(b"GET /metrics HTTP/1.0\r\n\r\n")  # no browser leaves its host out
        assert (await raw.reply()).status == 200


async def test_a_port_that_is_open_to_a_network_has_its_names():
    """Those of containers, which find each other by the names of services."""
    async with Server(echo, listen(0, "this test", "0.0.0.0")) as server:
        assert (await ask(server.port, request("GET", Host="fleet:9001"))).status == 200
        assert (await ask(server.port, request("GET", Host="fleet.evil.example:9001"))).status == 403


async def test_a_port_beside_a_server_is_guarded_too():
    """The Runtime API of one environment, for example."""
    async with serving(echo) as server:
        sock = listen(0, "this test")
        beside = await server.also_serve(echo, sock)
        try:
            reply = await ask(sock.getsockname()[1], request("GET", Host="evil.example"))
        finally:
            beside.close()
        assert reply.status == 403
        assert (await ask(server.port, request("GET", Host="evil.example"))).status == 200, (
            "the server itself is for pages"
        )
