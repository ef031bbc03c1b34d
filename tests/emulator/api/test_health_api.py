"""/healthz and faults behind the API, on the emulator: what fails is named, and nothing more is told."""

from __future__ import annotations

import pytest

from shoebox.aws.clients import Clients
from shoebox.aws.credentials import Credentials
from shoebox.config import ApiSettings
from tests.api_bench import Bench, entry
from tests.emulator.api.conftest import open_bench
from tests.emulator.conftest import EmulatorAt

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_all_is_well_with_the_functions_own_permissions(bench: Bench) -> None:
    """Anyone may ask; the role of the API suffices to find out."""
    response = await bench.client_with(None).get("/healthz")
    head = await bench.client_with(None).head("/healthz")

    assert (response.status_code, head.status_code, head.content) == (200, 200, b"")
    assert response.json() == {"status": "ok", "dependencies": {"files_table": "ok", "personal_bucket": "ok"}}


@pytest.mark.parametrize(
    ("wrong", "dependencies"),
    [
        ({"files_table": "no-such-table"}, {"files_table": "failed", "personal_bucket": "ok"}),
        ({"personal_bucket": "no-such-bucket"}, {"files_table": "ok", "personal_bucket": "failed"}),
    ],
)
async def test_what_fails_is_named(
    emulator: EmulatorAt,
    role: Credentials,
    settings: ApiSettings,
    root: Clients,
    wrong: dict[str, str],
    dependencies: dict[str, str],
) -> None:
    """503 and the dependency's name, without an address or an error's text."""
    broken = settings.model_copy(update=wrong)
    async with open_bench(emulator, role, broken, root) as bench:
        response = await bench.client_with(None).get("/healthz")

    assert response.status_code == 503
    assert response.json() == {"status": "failed", "dependencies": dependencies}


async def test_a_missing_permission_is_a_fault_that_tells_nothing(
    emulator: EmulatorAt, role: Credentials, settings: ApiSettings, root: Clients
) -> None:
    """A table that the role may not touch: 500 without its name; requests that are wrong anyway stay 4xx."""
    broken = settings.model_copy(update={"files_table": "secret-table"})
    async with open_bench(emulator, role, broken, root) as bench:
        client = bench.client()
        response = await client.post("/v1/files", json={"files": [entry()]})
        assert (response.status_code, response.json()["code"]) == (500, "internal")
        assert "secret-table" not in response.text
        assert (await client.get("/v1/files?limit=0")).status_code == 422
