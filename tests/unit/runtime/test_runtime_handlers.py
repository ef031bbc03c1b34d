"""The handler from its name, and AWS's faults."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workers.runtime.errors import (
    BuiltInModuleConflict,
    Failure,
    HandlerNotFound,
    ImportModuleError,
    InitFault,
    MalformedHandlerName,
    UserCodeSyntaxError,
)
from workers.runtime.handlers import load_handler


@pytest.fixture
def task_root(tmp_path: Path) -> Iterator[Path]:
    """Write a function's code; leave nothing of it imported."""
    package = tmp_path / "loader_pkg"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "good.py").write_text("def handler(event, context):\n    return event\nnumber = 7\n")
    (package / "syntax.py").write_text("def handler(event, context:\n")
    (package / "needs.py").write_text("import no_such_module_anywhere\n")
    (package / "raises.py").write_text("raise ValueError('no region')\n")
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["loader_pkg.good.handler", "loader_pkg/good.handler"])
def test_handler_is_found(task_root: Path, name: str) -> None:
    """Dots and slashes both lead to the module in the task root."""
    assert load_handler(name, str(task_root))({"a": 1}, None) == {"a": 1}


@pytest.mark.parametrize(
    ("name", "fault", "error_type", "message"),
    [
        ("handler", MalformedHandlerName, "Runtime.MalformedHandlerName", "Bad handler 'handler'"),
        ("module.", MalformedHandlerName, "Runtime.MalformedHandlerName", "Bad handler 'module.'"),
        ("sys.exit", BuiltInModuleConflict, "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys"),
        ("nowhere.handler", ImportModuleError, "Runtime.ImportModuleError", "Unable to import module 'nowhere'"),
        ("loader_pkg.needs.handler", ImportModuleError, "Runtime.ImportModuleError", "no_such_module_anywhere"),
        ("loader_pkg.syntax.handler", UserCodeSyntaxError, "Runtime.UserCodeSyntaxError", "Syntax error in module"),
        ("loader_pkg.good.other", HandlerNotFound, "Runtime.HandlerNotFound", "'other' missing on module"),
        ("loader_pkg.good.number", HandlerNotFound, "Runtime.HandlerNotFound", "'number' .* is not callable"),
    ],
)
def test_faults(task_root: Path, name: str, fault: type[InitFault], error_type: str, message: str) -> None:
    """Each reason has AWS's own fault name."""
    with pytest.raises(fault, match=message) as caught:
        load_handler(name, str(task_root))
    assert Failure.of(caught.value).error_type == error_type


def test_import_fault_shows_the_import(task_root: Path) -> None:
    """Of a failed import the trace shows the user's line, not the runtime's."""
    with pytest.raises(ImportModuleError) as caught:
        load_handler("loader_pkg.needs.handler", str(task_root))
    (line,) = Failure.of(caught.value).stack_trace
    assert "needs.py" in line
    assert "import no_such_module_anywhere" in line


def test_syntax_fault_shows_the_line(task_root: Path) -> None:
    """Of a syntax error the trace is the offending line, as AWS writes it."""
    with pytest.raises(UserCodeSyntaxError) as caught:
        load_handler("loader_pkg.syntax.handler", str(task_root))
    (line,) = Failure.of(caught.value).stack_trace
    assert 'syntax.py" Line 1\n    def handler(event, context:' in line


def test_other_errors_of_the_module_pass(task_root: Path) -> None:
    """What a module raises while it is imported is reported as it is."""
    with pytest.raises(ValueError, match="no region"):
        load_handler("loader_pkg.raises.handler", str(task_root))
