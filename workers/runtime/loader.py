"""The handler from its name, with AWS's faults and messages ("Define Lambda function handler in Python")."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from workers.runtime.errors import (
    BuiltInModuleConflict,
    HandlerNotFound,
    ImportModuleError,
    MalformedHandlerName,
    UserCodeSyntaxError,
)

Handler = Callable[[Any, Any], Any]


def load_handler(name: str, task_root: str | None = None) -> Handler:
    """The object that `name`, `package.module.attribute`, stands for; slashes count as dots.

    `task_root` is where the function's code lies; it is searched first. Raises InitFault, and whatever else the
    module raises while it is imported.
    """
    module_name, dot, attribute = name.rpartition(".")
    if not dot or not module_name or not attribute:
        raise MalformedHandlerName(f"Bad handler '{name}': not enough values to unpack (expected 2, got 1)")
    if task_root and task_root not in sys.path:
        sys.path.insert(0, task_root)
    module = _import(module_name)
    try:
        handler = getattr(module, attribute)
    except AttributeError:
        raise HandlerNotFound(f"Handler '{attribute}' missing on module '{module_name}'") from None
    if not callable(handler):
        raise HandlerNotFound(f"Handler '{attribute}' on module '{module_name}' is not callable")
    return handler  # type: ignore[no-any-return]


def _import(name: str) -> ModuleType:
    if name.partition(".")[0] in sys.builtin_module_names:
        raise BuiltInModuleConflict(f"Cannot use built-in module {name} as a handler module")
    try:
        return importlib.import_module(name.replace("/", "."))
    except ImportError as error:
        raise ImportModuleError(f"Unable to import module '{name}': {error}") from error
    except SyntaxError as error:
        where = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        raise UserCodeSyntaxError(f"Syntax error in module '{name}': {error}", stack=[where]) from error
