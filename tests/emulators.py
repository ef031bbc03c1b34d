"""One fixture, two emulators: a test that asks for `emulator_url` runs on the embedded one, then on LocalStack.

`@pytest.mark.only_on("embedded", reason="…")` marks what only one of them can do; `pytestmark` marks a whole module.
"""

import asyncio
from collections.abc import Iterator

import pytest

from emulator.embedded import Emulator

EMULATORS = ("embedded", "localstack")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every emulator, or those that the test's mark names; LocalStack needs Docker."""
    if "emulator_url" not in metafunc.fixturenames:
        return
    mark = metafunc.definition.get_closest_marker("only_on")
    names = mark.args if mark else EMULATORS
    marks = {"localstack": [pytest.mark.docker, pytest.mark.timeout(600)]}  # the first one builds the image
    cases = [pytest.param(name, id=name, marks=marks.get(name, [])) for name in names]
    metafunc.parametrize("emulator_url", cases, indirect=True, scope="session")


@pytest.fixture(scope="session")
def embedded() -> Iterator[Emulator]:
    """Provide the session's embedded emulator. Its loop runs at start and stop only; the process is what lasts."""
    with asyncio.Runner() as runner:
        emulator = Emulator()
        runner.run(emulator.__aenter__())
        yield emulator
        runner.run(emulator.stop())


@pytest.fixture(scope="session")
def embedded_url(embedded: Emulator) -> str:
    """Where the embedded emulator is."""
    return embedded.url


@pytest.fixture(scope="session")
def emulator_url(request: pytest.FixtureRequest) -> str:
    """Where the emulator is; it is started when the first test wants it."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
