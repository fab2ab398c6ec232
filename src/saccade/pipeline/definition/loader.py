"""Operations by name, or in a Python file."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from saccade.core.errors import NotFoundError, SaccadeError, nearest
from saccade.operations.base import OPERATIONS, Operation


def find_operation(name: str) -> Operation:
    """The operation that is registered as ``name``, or that the file of ``FILE.py:NAME`` declares as NAME.

    NotFoundError where there is none, with the nearest names; SaccadeError where the file cannot be run.
    """
    path, _, inner = name.rpartition(":")
    if not path.endswith(".py"):
        return OPERATIONS.get(name)
    file = Path(path)
    try:
        facts = file.stat()
    except OSError as error:
        raise NotFoundError(f"There is no file {path}: {error.strerror}.", hint="Check the path of the step.") from None
    declared = _declared(str(file.resolve()), facts.st_mtime_ns, facts.st_size)
    if inner not in declared:
        raise NotFoundError(f"{path} declares no operation '{inner}'.", hint=nearest(inner, declared))
    return declared[inner]


def module_of(operation: Operation) -> str:
    """The name of the module that declares an operation."""
    return operation.function.__module__


@lru_cache(maxsize=256)
def _declared(path: str, *_facts: int) -> dict[str, Operation]:
    """The operations of a file, by the name of their functions; the file runs with its folder on the path."""
    file = Path(path)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SaccadeError(f"{path} cannot be run: {type(error).__name__}: {error}.") from error
    finally:
        sys.path.remove(str(file.parent))
    found = {}
    for name, value in vars(module).items():
        if isinstance(value, Operation) and value.function.__module__ == file.stem:
            found[name] = replace(value, isolated=True, file=file)
    return found
