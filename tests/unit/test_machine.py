"""What a run of the tests leaves out, and what it says of it (`tests/machine.py`), with and without workers."""

from __future__ import annotations

import pytest

from tests import machine, suites

pytest_plugins = ["pytester"]

REASON = "There is no engine. Debian: apt-get install engine"
INNER = """
import pytest

def test_plain(): pass

@pytest.mark.docker
def test_on_an_engine(): pass
"""
IN_CHAOS = "def test_under_load(): pass"


@pytest.fixture
def inner(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Make a folder of tests: a plain one, one that needs Docker, one of chaos; this machine has Docker."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(machine, "PARTS", (machine.Part("docker", lambda: None),))
    pytester.makeini(
        "[pytest]\ntestpaths = tests\nmarkers =\n    docker: needs an engine\n"
        "asyncio_default_fixture_loop_scope = function\n"
    )
    for folder, text in (("unit", INNER), ("chaos", IN_CHAOS)):
        path = pytester.path / "tests" / folder / f"test_inner_{folder}.py"  # the outer run has modules, too
        path.parent.mkdir(parents=True)
        path.write_text(text)
    return pytester


@pytest.fixture
def without_docker(inner: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Make the same on a machine without Docker."""
    monkeypatch.setattr(machine, "PARTS", (machine.Part("docker", lambda: REASON),))
    return inner


def run(inner: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run pytest with the plug-in on the folder."""
    return inner.runpytest_inprocess("-p", "tests.machine", *arguments, plugins=[])


@pytest.mark.parametrize(
    ("arguments", "passed", "left_out"),
    [
        pytest.param((), 1, 2, id="first tier"),
        pytest.param(("--all",), 3, 0, id="both tiers"),
        pytest.param(("tests/unit",), 2, 0, id="a folder"),
        pytest.param(("tests/chaos/test_inner_chaos.py::test_under_load",), 1, 0, id="a test of the second tier"),
    ],
)
def test_a_run_has_the_first_tier_or_what_was_asked_for(
    inner: pytest.Pytester, arguments: tuple[str, ...], passed: int, left_out: int
) -> None:
    """LocalStack, containers and chaos need `--all` or their path; a run without them tells how to have them."""
    ended = run(inner, *arguments)

    ended.assert_outcomes(passed=passed, deselected=left_out)
    assert ended.ret == pytest.ExitCode.OK
    said = f"{left_out} tests were LEFT OUT. {machine.NOT_ASKED_FOR}"
    assert (said in ended.outlines) == bool(left_out)


def test_a_missing_part_is_told_in_the_last_lines(without_docker: pytest.Pytester) -> None:
    """Its tests are left out, the others run, and the reason stands above the last line, below every failure."""
    (without_docker.path / "tests" / "unit" / "test_bad.py").write_text("def test_bad(): assert False")
    ended = run(without_docker, "--all")

    ended.assert_outcomes(passed=2, failed=1, deselected=1)
    assert ended.outlines[-2] == f"1 tests were LEFT OUT. {REASON}"


@pytest.mark.parametrize("arguments", [("--all",), ("tests/unit",)], ids=["all", "a folder"])
def test_in_ci_a_missing_part_fails_the_run(
    without_docker: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """The rest is still tested, and the exit code is that of a failed test."""
    monkeypatch.setenv("CI", "true")
    ended = run(without_docker, *arguments)

    assert ended.parseoutcomes()["deselected"] == 1
    assert "failed" not in ended.parseoutcomes()
    assert "With CI=true that is a failure." in ended.outlines
    assert ended.ret == pytest.ExitCode.TESTS_FAILED


def test_in_ci_a_part_that_no_test_wants_is_not_missed(
    without_docker: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first tier needs no engine, and chaos left out unasked is no failure."""
    monkeypatch.setenv("CI", "true")

    assert run(without_docker).ret == pytest.ExitCode.OK


def test_workers_leave_out_the_same_and_it_is_told_once(inner: pytest.Pytester) -> None:
    """Under pytest-xdist the numbers are those of one worker, not their sum."""
    ended = run(inner, "-p", "tests.suites", "-n", "2")

    assert ended.parseoutcomes()["passed"] == 1
    assert f"2 tests were LEFT OUT. {machine.NOT_ASKED_FOR}" in ended.outlines


@pytest.mark.parametrize(
    ("nodeid", "suite"),
    [
        ("tests/unit/fleet/test_x.py::test_a[localstack]", "localstack"),
        ("tests/emulator/test_x.py::test_a[small-localstack]", "localstack"),
        ("tests/localstack/test_x.py::test_a", "localstack"),
        ("tests/emulator/api/test_x.py::test_a[embedded]", "emulator"),
        ("tests/unit/fleet/deeper/test_x.py::test_a", "unit/fleet"),
        ("tests/unit/test_x.py::test_a", "unit"),
        ("tests/contract/runtime/test_x.py::test_a", "contract/runtime"),
        ("tests/test_x.py::test_a", "tests"),
    ],
    ids=range(8),
)
def test_a_suite_is_a_folder_or_localstack(nodeid: str, suite: str) -> None:
    """Unit and contract tests are told by their parts."""
    assert suites.suite_of(nodeid) == suite
