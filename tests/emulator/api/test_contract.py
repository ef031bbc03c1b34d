"""The API keeps to its own description: Schemathesis asks what OpenAPI allows, and what it forbids.

Every response must have a documented status, media type and form, and none may be a fault of ours. It talks HTTP to the
application on the emulator; a bearer token of a known text stands for a word of the authorizer.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks
from starlette.types import ASGIApp, Receive, Scope, Send

from api.app import build_app
from api.dependencies import open_services
from api.openapi import describe
from emulator.embedded import ROOT_CREDENTIALS
from emulator.provision import RoleSource
from shoebox.aws.clients import Clients
from shoebox.config import ApiSettings, Limits
from shoebox.stack.deployment import ResolvedStack
from tests.api_bench import PART, entry
from tests.emulator.conftest import EmulatorAt

USER = f"contract{uuid.uuid4().hex[:8]}"
TOKEN = {"Authorization": "Bearer good"}
CONTEXT = {"tenant": "demo", "user": USER, "scope": "files:read files:write", "expires_at": "9999999999"}
EXAMPLES = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
load_all_checks()
# Well-formed wishes may still be refused: a cursor of another list, a part that the file does not have; and a wrong
# entry of a registration is answered within a 200.
MAY_REFUSE: Any = CHECKS.get_one("positive_data_acceptance")
MAY_ACCEPT: Any = CHECKS.get_one("negative_data_rejection")


@asynccontextmanager
async def nothing() -> Any:
    """Services that nobody asks, as only the description is wanted."""
    yield None


schema = schemathesis.openapi.from_dict(describe(build_app(nothing)))


@dataclass(frozen=True, slots=True)
class Known:
    """A running API, and a file with an open upload there."""

    url: str
    file_id: str
    upload_id: str


class Threaded:
    """The API under uvicorn in a thread with its own loop, until told to stop."""

    def __init__(self, emulator: EmulatorAt, provisioned: ResolvedStack, settings: ApiSettings) -> None:
        self._given = (emulator, provisioned, settings)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Threaded:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._server:
            self._server.should_exit = True
        self._thread.join()

    async def _run(self) -> None:
        emulator, provisioned, settings = self._given
        async with AsyncExitStack() as stack:
            root = await stack.enter_async_context(Clients(emulator.aws, ROOT_CREDENTIALS))
            role = (await RoleSource(provisioned, root)("api")).keys
            opening = open_services(emulator.aws, settings, Limits(part_bytes=PART), credentials=role)
            services = await stack.enter_async_context(opening)

            @asynccontextmanager
            async def given() -> Any:
                yield services

            config = uvicorn.Config(behind_gateway(build_app(given)), log_level="warning", access_log=False)
            self._server = uvicorn.Server(config)
            await self._server.serve(sockets=[self._socket])


def behind_gateway(app: ASGIApp) -> ASGIApp:
    """`app` with what the gateway would add: the authorizer's word for the good token."""

    async def gateway(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            good = (b"authorization", b"Bearer good") in scope["headers"]
            scope["aws.event"] = {"requestContext": {"authorizer": CONTEXT} if good else {}}
        await app(scope, receive, send)

    return gateway


@pytest.fixture(scope="module")
def known(emulator: EmulatorAt, provisioned: ResolvedStack, settings: ApiSettings) -> Iterator[Known]:
    """Return the API with one registered file."""
    with Threaded(emulator, provisioned, settings) as running, httpx.Client(base_url=running.url, headers=TOKEN) as api:
        file_id = api.post("/v1/files", json={"files": [entry(b"contract")]}).json()["files"][0]["file_id"]
        upload_id = api.post(f"/v1/files/{file_id}/multipart").json()["upload_id"]
        yield Known(running.url, file_id, upload_id)


@schema.parametrize()
@EXAMPLES
def test_every_answer_is_as_described(case: schemathesis.Case[Any], known: Known) -> None:
    """Whatever is asked of any route, with any ids."""
    case.call_and_validate(base_url=known.url, headers=TOKEN, excluded_checks=[MAY_REFUSE, MAY_ACCEPT])


@schema.include(path_regex="file_id").exclude(method="DELETE").parametrize()
@EXAMPLES
def test_every_answer_about_a_known_file_is_as_described(case: schemathesis.Case[Any], known: Known) -> None:
    """The same with a file and an upload that exist, so that the routes get to their work."""
    ids = {"file_id": known.file_id, "upload_id": known.upload_id}
    case.path_parameters = {name: ids[name] for name in case.path_parameters}
    case.call_and_validate(base_url=known.url, headers=TOKEN, excluded_checks=[MAY_REFUSE])


def test_what_the_description_forbids_is_refused(known: Known) -> None:
    """Without an exception for wrong entries: bounds, unknown names and missing tokens all count."""
    with httpx.Client(base_url=known.url, headers=TOKEN) as api:
        for query in ("limit=0", "limit=101", "state=GONE", "unknown=1"):
            assert api.get(f"/v1/files?{query}").status_code == 422
        bodies: list[Any] = [{}, {"files": []}, {"files": [], "x": 1}, []]
        for body in bodies:
            assert api.post("/v1/files", json=body).status_code == 422
        assert api.get("/v1/files", headers={"Authorization": "Bearer bad"}).status_code == 401
