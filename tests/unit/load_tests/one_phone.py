"""A phone in a process of its own, for Locust patches all sockets: a line of stdin says what to call, one of stdout
what came of it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any

from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment

from load_tests.photos import Photo
from load_tests.records import Failure
from load_tests.service import ReadyRequests, Service

PHOTOS = [Photo("a.jpg", b"\xff\xd8a"), Photo("b.jpg", b"\xff\xd8b")]


def main() -> None:
    """Do as each line says, until there is none."""
    for line in sys.stdin:
        json.dump(_answer(json.loads(line)), sys.stdout)
        print(flush=True)  # noqa: T201


def _answer(told: dict[str, Any]) -> dict[str, Any]:
    """Make the calls; return their results, and Locust's requests with the reasons of failures."""
    request = Environment().events.request
    fired: list[dict[str, Any]] = []
    request.add_listener(lambda **facts: fired.append(_shown(facts)))
    service = Service(FastHttpSession(told["url"], request, None), "a.good.token", told.get("s3_url"))
    ready_requests = ReadyRequests(request)
    results = []
    for call, *arguments in told["calls"]:
        match call:
            case "register":
                results.append(_plain(service.register(PHOTOS)))
            case "upload":
                results.append(_plain(service.upload(PHOTOS[0], *arguments)))
            case "files":
                results.append(service.files(*arguments))
            case "finished":
                results.append(ready_requests.finished(*arguments))
            case "gave_up":
                results.append(ready_requests.gave_up(*arguments))
    return {"results": results, "requests": fired}


def _plain(result: Any) -> Any:
    return asdict(result) if isinstance(result, Failure) else result


def _shown(facts: dict[str, Any]) -> dict[str, Any]:
    error = facts["exception"]
    return {
        "name": f"{facts['request_type']} {facts['name']}",
        "failure": None if error is None else str(error),
        "milliseconds": facts["response_time"],
        "size": facts["response_length"],
    }


if __name__ == "__main__":
    main()
