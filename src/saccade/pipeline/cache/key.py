"""The components of a step's cache key, and the differences between two keys.

A key consists of the operation's code with everything that it reaches, its parameters, the versions of the libraries
that it declares, the seed, and the digests of its inputs. It contains no path and no time.
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
from saccade.pipeline.definition.graph import is_path_type
from saccade.pipeline.definition.loader import module_name
from saccade.pipeline.hashing.code_fingerprint import CodeFingerprint, fingerprint_code, is_up_to_date

ENGINE_VERSION = 2
"""Increase it when the engine changes what it does with an operation's results."""

_fingerprints: dict[tuple[str, str, str], CodeFingerprint] = {}


def fingerprint_operation(cache: Cache, operation: Operation) -> CodeFingerprint:
    """Return the code fingerprint of an operation; a cached one is used while no file has changed."""
    module = module_name(operation)
    name = operation.function.__name__
    folder = None if operation.file is None else operation.file.parent
    key = module, name, str(folder or "")
    fingerprint = _fingerprints.get(key) or _load_fingerprint(cache, key)
    if fingerprint is None or not is_up_to_date(fingerprint, module, folder):
        fingerprint = fingerprint_code(module, name, folder)
        content = {
            "digest": fingerprint.digest,
            "parts": dict(fingerprint.definitions),
            "files": dict(fingerprint.files),
        }
        cache.put_entry("code", _entry_key(key), content)
    _fingerprints[key] = fingerprint
    return fingerprint


def _entry_key(key: tuple[str, str, str]) -> str:
    # The fingerprint is taken of `ast.unparse` output, which depends on the version of Python.
    return digest_json([*key, sys.version_info[:2]])


def _load_fingerprint(cache: Cache, key: tuple[str, str, str]) -> CodeFingerprint | None:
    entry = cache.get_entry("code", _entry_key(key))
    return None if entry is None else CodeFingerprint(entry["digest"], entry["parts"], entry["files"])


@lru_cache(maxsize=256)
def library_version(name: str) -> str:
    """Return the version of a distribution, or "" if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def canonical_parameters(parameters: Parameters) -> dict[str, Any]:
    """Return the parameters as JSON, with all defaults and without those that are paths."""
    # A path counts through the fingerprint of its content, so that a folder may be moved.
    fields = type(parameters).model_fields
    paths = {name for name, info in fields.items() if is_path_type(info.annotation)}
    return parameters.model_dump(mode="json", exclude=paths)


def diff_components(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Describe the differences between the key components of two runs of a step, one text per difference."""
    changes = []
    if before.get("operation") != after["operation"]:
        changes.append(f"operation: {before.get('operation')} → {after['operation']}")
    changes += _diff_mapping("parameter", before.get("parameters", {}), after["parameters"], show_values=True)
    changes += _diff_mapping("code of", before.get("code", {}), after["code"])
    changes += _diff_mapping("library", before.get("libraries", {}), after["libraries"], show_values=True)
    if before.get("seed") != after["seed"]:
        changes.append(f"seed: {before.get('seed')} → {after['seed']}")
    if before.get("outside") != after["outside"]:
        changes.append("its external data changed")
    for port, inputs in after["inputs"].items():
        previous_inputs = before.get("inputs", {}).get(port)
        if previous_inputs is None or len(previous_inputs) != len(inputs):
            changes.append(f"other steps are connected to '{port}'")
            continue
        for old, new in zip(previous_inputs, inputs, strict=True):
            changes += [f"input '{port}': {change}" for change in _diff_input(old, new)]
    return changes


def _diff_input(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    if "value" in after or "value" in before:
        return ["the value changed"] if before != after else []
    changes = _diff_mapping("column", before["columns"], after["columns"])
    if before.get("keys") != after.get("keys"):
        changes.append("the items or their order changed")
    if before.get("schema") != after.get("schema"):
        changes.append("the classes or the kinds of columns changed")
    return changes


def _diff_mapping(
    what: str, before: Mapping[str, Any], after: Mapping[str, Any], *, show_values: bool = False
) -> list[str]:
    changes = []
    for name in sorted({*before, *after}):
        if before.get(name) == after.get(name):
            continue
        if show_values:
            changes.append(f"{what} {name}: {before.get(name, 'none')!r} → {after.get(name, 'none')!r}")
        elif name not in before:
            changes.append(f"{what} {name} was added")
        else:
            changes.append(f"{what} {name} {'changed' if name in after else 'was removed'}")
    return changes
