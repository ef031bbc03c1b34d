"""Who may import whom: the contracts of pyproject.toml hold, and they can fail."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the project in `folder`."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_the_packages_import_as_designed() -> None:
    """Every contract of [tool.importlinter] is kept."""
    result = lint_imports(ROOT)

    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


def test_a_forbidden_import_breaks_a_contract(tmp_path: Path) -> None:
    """The check itself can fail: a domain module that imports a worker is found."""
    for package in ("api", "fleet", "shoebox", "workers"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "workers" / "ingest.py").touch()
    (tmp_path / "shoebox" / "files.py").write_text("import workers.ingest\n")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.importlinter]\nroot_packages = ["api", "fleet", "shoebox", "workers"]\n'
        '[[tool.importlinter.contracts]]\nname = "domain"\ntype = "forbidden"\n'
        'source_modules = ["shoebox"]\nforbidden_modules = ["workers"]\n'
    )

    result = lint_imports(tmp_path)

    assert result.returncode == 1
    assert "shoebox.files.model -> workers.ingest" in result.stdout
