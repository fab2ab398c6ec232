"""What a step's result depends on, and the keys under which it is kept.

A key is made of the operation's code with what it reaches, its parameters, the versions of the libraries that it
declares, the seed, and the digests of what it reads. No path and no time is in it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from saccade.core.digest import digest_json
from saccade.operations.base import Operation, Parameters
from saccade.pipeline.cache.cache import Cache
from saccade.pipeline.definition.graph import is_path
from saccade.pipeline.definition.loader import module_of
from saccade.pipeline.hashing.code_fingerprint import Code, code_of, is_current

ENGINE = 2
"""Counts up when what the engine does with an operation's results changes."""

_codes: dict[tuple[str, str, str], Code] = {}


def code_digests(cache: Cache, operation: Operation) -> Code:
    """The code of an operation; what was found before is taken where no file has another content."""
    module, name = module_of(operation), operation.function.__name__
    folder = None if operation.file is None else operation.file.parent
    place = module, name, str(folder or "")
    found = _codes.get(place) or _noted(cache, place)
    if found is None or not is_current(found, module, folder):
        found = code_of(module, name, folder)
        facts = {"digest": found.digest, "parts": dict(found.parts), "files": dict(found.files)}
        cache.note("code", _name(place), facts)
    _codes[place] = found
    return found


def _name(place: tuple[str, str, str]) -> str:
    return digest_json([*place, sys.version_info[:2]])


def _noted(cache: Cache, place: tuple[str, str, str]) -> Code | None:
    noted = cache.record("code", _name(place))
    return None if noted is None else Code(noted["digest"], noted["parts"], noted["files"])


@lru_cache(maxsize=256)
def library_version(name: str) -> str:
    """The version of a distribution; "" where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def plain_parameters(parameters: Parameters) -> dict[str, Any]:
    """Parameters as JSON with all defaults, less those that are paths."""
    fields = type(parameters).model_fields
    paths = {name for name, info in fields.items() if is_path(info.annotation)}
    return parameters.model_dump(mode="json", exclude=paths)


def changed_parts(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between the things that a step depended on and those that it depends on, in words."""
    said = []
    if before.get("operation") != after["operation"]:
        said.append(f"the operation was {before.get('operation')}")
    said += _differing("parameter", before.get("parameters", {}), after["parameters"], shown=True)
    said += _differing("code of", before.get("code", {}), after["code"])
    said += _differing("library", before.get("libraries", {}), after["libraries"], shown=True)
    if before.get("seed") != after["seed"]:
        said.append(f"seed: {before.get('seed')} → {after['seed']}")
    if before.get("outside") != after["outside"]:
        said.append("what it reads from outside changed")
    for port, facts in after["inputs"].items():
        earlier = before.get("inputs", {}).get(port)
        if earlier is None or len(earlier) != len(facts):
            said.append(f"other steps lead to '{port}'")
            continue
        for one, two in zip(earlier, facts, strict=True):
            said += [f"input '{port}': {words}" for words in _of_input(one, two)]
    return said


def _of_input(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    if "value" in after or "value" in before:
        return ["another value"] if before != after else []
    said = _differing("column", before["columns"], after["columns"])
    if before.get("keys") != after.get("keys"):
        said.append("other items, or in another order")
    if before.get("schema") != after.get("schema"):
        said.append("other classes or kinds of columns")
    return said


def _differing(what: str, before: Mapping[str, Any], after: Mapping[str, Any], *, shown: bool = False) -> list[str]:
    said = []
    for name in sorted({*before, *after}):
        if before.get(name) == after.get(name):
            continue
        if shown:
            said.append(f"{what} {name}: {before.get(name, 'none')!r} → {after.get(name, 'none')!r}")
        elif name not in before:
            said.append(f"{what} {name} is new")
        else:
            said.append(f"{what} {name} {'changed' if name in after else 'is gone'}")
    return said
