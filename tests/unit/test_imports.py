"""Who may import whom: the layers of pyproject.toml, and what some parts may know at all."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import grimp
import pytest

from shoebox.stack.model import load_stack

ROOT = Path(__file__).parents[2]
OURS = (
    *("api", "benchmarks", "console", "emulator", "fleet", "load_tests"),
    *("shoebox", "shoebox_cli", "shoebox_client", "standalone", "workers"),
)
FUNCTIONS = sorted(
    {function.handler.rpartition(".")[0] for function in load_stack(ROOT / "stack.yaml").functions.values()}
)

# What a part may import of ours, beside itself. These are lists of what is allowed: whatever is new is forbidden.
ALLOWED = {
    "workers.runtime": (),  # it could be published alone
    # It runs in a process without settings, metrics and AWS.
    "workers.imaging": ("shoebox_client.picture_types", "shoebox_client.renditions"),
    "shoebox_client": (),  # a shop installs it without the rest
    "api": (
        "shoebox",
        "shoebox_client.names",
        "shoebox_client.picture_types",
        "shoebox_client.renditions",
        "workers.runtime",
    ),
    "fleet": (  # it knows the stack and the settings, not what a photo is
        "shoebox.aws",
        "shoebox.config",
        "shoebox.response_headers",
        "shoebox.stack",
        "shoebox.telemetry",
        "shoebox.timestamps",
    ),
}


@cache
def graph() -> grimp.ImportGraph:
    """Return the imports of all packages."""
    return grimp.build_graph(*OURS)


def is_in(module: str, package: str) -> bool:
    """Tell whether `module` is `package` or inside it."""
    return module == package or module.startswith(f"{package}.")


def imports_of(package: str) -> set[tuple[str, str]]:
    """Return every import from inside `package` to the rest, as (importer, imported)."""
    modules = [module for module in graph().modules if is_in(module, package)]
    found = {(module, name) for module in modules for name in graph().find_modules_directly_imported_by(module)}
    return {(importer, imported) for importer, imported in found if not is_in(imported, package)}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the project in `folder`."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_imports_point_down_only() -> None:
    """Every contract of [tool.importlinter] is kept, and none ignores an import."""
    result = lint_imports(ROOT)

    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout
    assert "ignore_imports" not in (ROOT / "pyproject.toml").read_text()


def test_every_package_is_checked() -> None:
    """No package of the project is missing from the layers."""
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}

    assert packages == set(OURS)
    pyproject = (ROOT / "pyproject.toml").read_text()
    assert all(f'"{package}"' in pyproject.partition("[tool.importlinter]")[2] for package in packages)


@pytest.mark.parametrize("package", ALLOWED)
def test_a_part_knows_only_what_it_may(package: str) -> None:
    """The runtime, imaging, the client, the API and the fleet import nothing but what is allowed."""
    wrong = {pair for pair in imports_of(package) if not any(is_in(pair[1], allowed) for allowed in ALLOWED[package])}

    assert not wrong


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_never_import_each_other(function: str) -> None:
    """No handler module of stack.yaml reaches another one, whatever lies between them."""
    reached = graph().find_downstream_modules(function)

    assert function in graph().modules
    assert not reached & set(FUNCTIONS)


def test_the_authorizer_carries_neither_a_web_framework_nor_an_aws_client() -> None:
    """It is on the way of every request, and its cold start is a shop's first impression."""
    external = grimp.build_graph(*OURS, include_external_packages=True)
    reached = external.find_upstream_modules("api.authorizer")

    assert not reached & {"aiobotocore", "botocore", "fastapi", "starlette"}


def test_a_forbidden_import_breaks_the_contract(tmp_path: Path) -> None:
    """The check itself can fail: a domain module that imports a worker is found."""
    for package in ("shoebox", "workers"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "workers" / "ingest.py").touch()
    (tmp_path / "shoebox" / "domain.py").write_text("import workers.ingest\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_packages = ["shoebox", "workers"]\n'
        '[[tool.importlinter.contracts]]\nname = "down"\ntype = "layers"\nlayers = ["workers", "shoebox"]\n'
    )

    result = lint_imports(tmp_path)

    assert result.returncode == 1
    assert "shoebox.domain -> workers.ingest" in result.stdout
