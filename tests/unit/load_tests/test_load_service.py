"""What a phone does and how Locust counts it: real HTTP, with Locust in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fleet.http.asgi import Receive, Response, Scope, Send, json_response, read_body, respond
from fleet.http.ports import listen
from fleet.http.server import Server

ROOT = Path(__file__).parents[3]
S3_ERROR = b"<?xml version='1.0'?><Error><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error>"


@dataclass
class Web:
    """Answers as told, and notes what came: method, path with query, headers, body."""

    handset: subprocess.Popen[bytes]
    url: str = ""
    answers: list[Response] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        path = scope["path"] + (f"?{query}" if query else "")
        self.seen.append((scope["method"], path, headers, await read_body(scope, receive, 10_000)))
        await respond(send, self.answers.pop(0))

    async def phone(self, *calls: list[Any], **told: Any) -> tuple[list[Any], list[dict[str, Any]]]:
        """Have a phone make calls; what it got, and Locust's requests."""
        assert self.handset.stdin is not None
        assert self.handset.stdout is not None
        self.handset.stdin.write(json.dumps({"url": self.url, "calls": calls, **told}).encode() + b"\n")
        self.handset.stdin.flush()
        found = json.loads(await asyncio.to_thread(self.handset.stdout.readline))
        return found["results"], found["requests"]


@pytest.fixture(scope="module")
def handset() -> Iterator[subprocess.Popen[bytes]]:
    """Start the process of the module's phones."""
    program = [sys.executable, str(Path(__file__).with_name("one_phone.py"))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(program, env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}, **pipes) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture
async def web(handset: subprocess.Popen[bytes]) -> AsyncIterator[Web]:
    """Start a web server, and a phone for it."""
    made = Web(handset)
    async with Server(made, listen(0, "this test")) as server:
        made.url = f"http://127.0.0.1:{server.port}"
        yield made


def outcome(requests: list[dict[str, Any]]) -> list[tuple[str, str | None]]:
    """Each request's name, and why it failed."""
    return [(request["name"], request["failure"]) for request in requests]


async def test_a_phone_registers_uploads_and_looks(web: Web) -> None:
    """Three calls with the token where it belongs, each one line in the statistics, whatever their ids are."""
    link = {"url": f"{web.url}/bucket/f1?X-Amz-Signature=a%2Fb", "headers": {"content-type": "image/jpeg"}}
    entries = [{"file_id": "f1", "upload": link}, {"file_id": "f2", "upload": link}]
    files = [{"file_id": "f1", "state": "READY"}]
    web.answers = [json_response(200, {"files": entries}), Response(200), json_response(200, {"files": files})]

    results, requests = await web.phone(["register"], ["upload", link], ["files", ["f1", "f2"]])

    assert results == [entries, None, files]
    assert outcome(requests) == [("POST /v1/files", None), ("PUT presigned URL", None), ("GET /v1/files?id=…", None)]
    register, put, look = web.seen
    assert register[:2] == ("POST", "/v1/files")
    assert [photo["name"] for photo in json.loads(register[3])["files"]] == ["a.jpg", "b.jpg"]
    assert put[:2] == ("PUT", "/bucket/f1?X-Amz-Signature=a%2Fb")
    assert (put[2]["content-type"], put[3]) == ("image/jpeg", b"\xff\xd8a")
    assert look[:2] == ("GET", "/v1/files?id=f1&id=f2&urls=false")
    assert (register[2]["authorization"], look[2]["authorization"]) == ("Bearer a.good.token",) * 2
    assert "authorization" not in put[2]


async def test_each_failure_has_its_reason(web: Web) -> None:
    """The problem's code, S3's code, or the bare status; what was taken all the same goes on."""
    link = {"url": f"{web.url}/bucket/f1", "headers": {}}
    entries = [{"name": "a.jpg", "problem": {"code": "size_zero"}}, {"file_id": "f2", "upload": link}]
    problem = json_response(429, {"code": "throttled", "title": "Too Many Requests"})
    web.answers = [
        json_response(200, {"files": entries}),
        problem,
        Response(200, b"<html>"),
        Response(403, S3_ERROR),
        Response(503, b"busy"),
        problem,
        Response(500),
    ]

    results, requests = await web.phone(*([["register"]] * 3), *([["upload", link]] * 2), *([["files", ["f1"]]] * 2))

    assert results == [
        entries,
        {"reason": "429 throttled", "retryable": True},
        {"reason": "200", "retryable": False},
        {"reason": "403 SignatureDoesNotMatch", "retryable": False},
        {"reason": "503", "retryable": True},
        [],
        [],
    ]
    assert [failure for _, failure in outcome(requests)] == [
        "refused: size_zero",
        "429 throttled",
        "200",
        "403 SignatureDoesNotMatch",
        "503",
        "429 throttled",
        "500",
    ]


async def test_nobody_at_the_address_is_a_failure_too(web: Web, unused_tcp_port: int) -> None:
    """A phone goes on, and the statistics say what kept the answer away."""
    link = {"url": f"http://127.0.0.1:{unused_tcp_port}/bucket/f1", "headers": {}}

    results, requests = await web.phone(["upload", link])

    assert results[0]["retryable"]
    assert "no answer: " in str(requests[0]["failure"])
    assert "refused" in str(requests[0]["failure"])


async def test_uploads_go_where_they_can_be_reached_from_inside_a_container(web: Web) -> None:
    """The link's own address is out of reach there; it stays in the Host header, which its signature covers."""
    link = {"url": "http://127.0.0.1:9/bucket/f1?X-Amz-Signature=abc", "headers": {"content-type": "image/jpeg"}}
    web.answers = [Response(200)]

    results, _ = await web.phone(["upload", link], s3_url=web.url)

    ((method, path, headers, body),) = web.seen
    assert (results, method, path, body) == ([None], "PUT", "/bucket/f1?X-Amz-Signature=abc", b"\xff\xd8a")
    assert (headers["host"], headers["content-type"]) == ("127.0.0.1:9", "image/jpeg")


async def test_photos_are_requests_of_their_own(web: Web) -> None:
    """From registration to their end by the service's clock; what is not READY has failed, with the reason."""
    times = {"registered_at": "2026-11-24T10:00:00.250Z", "finished_at": "2026-11-24T10:00:01.500Z", "size": 400_000}

    _, requests = await web.phone(
        ["finished", {"state": "READY", "reason": None, **times}],
        ["finished", {"state": "REJECTED", "reason": "truncated", **times}],
        ["gave_up", 2.5],
    )

    assert outcome(requests) == [
        ("photo READY", None),
        ("photo READY", "REJECTED truncated"),
        ("photo READY", "still not processed after 2.5 s"),
    ]
    assert [request["milliseconds"] for request in requests] == [1250, 1250, 2500]
    assert [request["size"] for request in requests] == [400_000, 400_000, 0]


async def test_a_run_without_a_key_ends_with_one_line(tmp_path: Path) -> None:
    """Before a phone is made: which file it would be, and no traceback."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "locust", "-f", str(ROOT / "load_tests" / "locustfile.py"), "--headless", "-u", "1"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "SHOEBOX_KEY": "nobody.pem"},
    )
    stdout, _ = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode not in (0, None)
    assert "load_tests: " in stdout.decode()
    assert "nobody.pem" in stdout.decode()
    assert "Traceback" not in stdout.decode()
