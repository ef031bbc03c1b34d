"""Lambda's error shape."""

import json

import pytest

from workers.runtime.errors import MAX_FRAMES, DeadlineExceeded, Failure, MarshalError


def failure_of(error: BaseException) -> Failure:
    """Raise the error; return its failure."""
    try:
        raise error
    except BaseException as raised:  # noqa: BLE001  # any error is what this is about
        return Failure.of(raised)


def test_body_has_lambdas_keys() -> None:
    """Callers and AWS's tools read these four."""
    body = json.loads(failure_of(ValueError("no")).body("r-1"))
    assert list(body) == ["errorMessage", "errorType", "stackTrace", "requestId"]
    assert body["errorMessage"] == "no"
    assert body["errorType"] == "ValueError"
    assert body["requestId"] == "r-1"
    assert "raise error" in body["stackTrace"][-1]


def test_cause_has_x_rays_keys() -> None:
    """The cause fits a header: ASCII, one line."""
    text = failure_of(KeyError("é\n")).cause()
    assert text.isascii()
    assert "\n" not in text
    cause = json.loads(text)
    assert set(cause) == {"working_directory", "exceptions", "paths"}
    (exception,) = cause["exceptions"]
    assert exception["type"] == "KeyError"
    assert set(exception["stack"][0]) == {"label", "path", "line"}
    assert cause["paths"] == [__file__]


@pytest.mark.parametrize(
    ("error", "header"),
    [
        (ValueError(), "Function.ValueError"),
        (MarshalError("x"), "Runtime.MarshalError"),
        (type("Größe", (Exception,), {})(), "Function.Gr__e"),
        (SystemExit(), "Runtime.ExitError"),
    ],
)
def test_header_has_one_of_lambdas_two_forms(error: BaseException, header: str) -> None:
    """Lambda turns anything but Runtime.X and Function.X into Unknown."""
    assert failure_of(error).header == header


@pytest.mark.parametrize(
    ("error", "code"), [(SystemExit(3), 3), (SystemExit(0), 1), (SystemExit("bye"), 1), (KeyboardInterrupt(), 1)]
)
def test_exits_end_the_process_with_a_failure(error: BaseException, code: int) -> None:
    """For Lambda any exit is one: even `sys.exit(0)` leaves an invocation without a response."""
    assert failure_of(error).exit_code == code
    assert failure_of(ValueError()).exit_code is None


def test_group_names_its_members() -> None:
    """A task group's failure says what failed, not only that something did."""
    group = ExceptionGroup("tasks", [ValueError("a"), ExceptionGroup("inner", [KeyError("b")])])
    message = failure_of(group).message
    assert "ValueError: a" in message
    assert "KeyError: 'b'" in message


def test_an_exception_that_cannot_be_printed() -> None:
    """A broken `__str__` must not break the report."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert failure_of(Broken()).message == "<Broken, whose __str__ raised RuntimeError>"


def test_long_things_are_cut() -> None:
    """Endless recursion and huge messages stay far below Lambda's 1 MiB."""

    def deeper() -> None:
        deeper()

    try:
        deeper()
    except RecursionError as error:
        failure = Failure.of(error)
    assert len(failure.frames) == MAX_FRAMES
    huge = failure_of(ValueError("x" * 10_000_000))
    assert len(huge.body("r")) < 1024 * 1024
    assert len(huge.cause()) < 1024 * 1024


def test_deadline_shows_where_the_handler_was() -> None:
    """The fault keeps its name and borrows its cause's traceback."""
    fault = DeadlineExceeded("Task timed out after 3.00 seconds")
    try:
        raise TimeoutError
    except TimeoutError as error:
        fault.__cause__ = error
    failure = Failure.of(fault)
    assert failure.error_type == "Runtime.DeadlineExceeded"
    assert "raise TimeoutError" in failure.stack_trace[-1]
