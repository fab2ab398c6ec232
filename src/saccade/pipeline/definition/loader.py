"""Load operations by name: registered ones, and those in Python files."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from saccade.core.errors import NotFoundError, SaccadeError, suggest
from saccade.operations.base import OPERATIONS, Operation


def load_operation(name: str) -> Operation:
    """Load an operation.

    Args:
        name: a registered name, or ``FILE.py:NAME`` for the operation NAME of a Python file.

    Raises:
        NotFoundError: there is no such file or operation; the hint suggests similar names.
        SaccadeError: the file raises an error on import.
    """
    path, _, operation_name = name.rpartition(":")
    if not path.endswith(".py"):
        return OPERATIONS.get(name)
    file = Path(path)
    try:
        stat = file.stat()
    except OSError as error:
        raise NotFoundError(
            f"The file {path} cannot be opened: {error.strerror}.", hint="Check the path of the step."
        ) from None
    # Time and size are part of the cache key: an edited file is imported again.
    operations = _load_file(str(file.resolve()), stat.st_mtime_ns, stat.st_size)
    if operation_name not in operations:
        raise NotFoundError(
            f"{path} declares no operation '{operation_name}'.", hint=suggest(operation_name, operations)
        )
    return operations[operation_name]


def module_name(operation: Operation) -> str:
    """Return the name of the module that declares an operation."""
    return operation.function.__module__


@lru_cache(maxsize=256)
def _load_file(path: str, *_stat: int) -> dict[str, Operation]:
    """Import a file, with its folder on ``sys.path``, and return its operations by function name."""
    file = Path(path)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SaccadeError(f"{path} cannot be imported: {type(error).__name__}: {error}.") from error
    finally:
        sys.path.remove(str(file.parent))
    # Helpers may also be imported within functions, which run later. Last, so that they never hide a library.
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    operations = {}
    for name, value in vars(module).items():
        # Operations that the file only imports belong to another module.
        if isinstance(value, Operation) and value.function.__module__ == file.stem:
            operations[name] = replace(value, isolated=True, file=file)
    return operations
