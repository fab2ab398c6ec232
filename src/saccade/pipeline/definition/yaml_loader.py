"""Pipeline files: YAML with variables, and with other pipeline files as steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from saccade.core.errors import PipelineError, suggest
from saccade.pipeline.definition.graph import Graph, Step

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SIZE = re.compile(r"\s*([0-9.]+)\s*([kmg]?)b?\s*", re.IGNORECASE)
_MAX_NESTING = 8


@dataclass(frozen=True)
class _File:
    """The content of a pipeline file."""

    path: Path
    name: str
    variables: dict[str, Any]
    inputs: tuple[str, ...]
    steps: dict[str, dict[str, Any]]
    output: str | None = None
    seed: int = 0


def load_graph(path: Path, variables: Mapping[str, Any] | None = None) -> Graph:
    """Load the pipeline of a YAML file.

    Args:
        path: the file.
        variables: values that override those of the file.

    Raises:
        PipelineError: the file cannot be read or is not a valid pipeline; the message names the step.
    """
    file = _parse_file(path)
    if file.inputs:
        raise PipelineError(
            f"{path} has inputs ({', '.join(file.inputs)}) and cannot run on its own.",
            hint="Use it as a step of another pipeline.",
        )
    steps: list[Step] = []
    _expand(file, variables or {}, {}, "", steps, 0)
    return Graph(file.name, tuple(steps))


def _parse_file(path: Path) -> _File:
    try:
        # safe_load creates plain data only, never Python objects.
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PipelineError(f"{path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise PipelineError(f"{path} is not valid YAML: {error}.") from None
    if not isinstance(data, dict) or not isinstance(data.get("steps"), dict) or not data["steps"]:
        raise PipelineError(
            f"{path} has no steps.", hint="Write 'steps:' and below it a name with 'use:' for each step."
        )
    _check_keys(path, data, {"name", "vars", "steps", "inputs", "output", "seed"})
    variables = data.get("vars") or {}
    inputs = data.get("inputs") or []
    if not isinstance(variables, dict) or not isinstance(inputs, list):
        raise PipelineError(f"{path}: 'vars' must be a mapping of names to values, and 'inputs' a list of names.")
    return _File(
        path,
        str(data.get("name") or path.stem),
        variables,
        tuple(map(str, inputs)),
        data["steps"],
        data.get("output"),
        _int("seed", data.get("seed", 0)),
    )


def _check_keys(location: Any, data: Mapping[str, Any], allowed: set[str]) -> None:
    for name in data:
        if name not in allowed:
            raise PipelineError(f"{location}: unknown key '{name}'.", hint=suggest(str(name), allowed))


def _int(name: str, value: Any) -> int:
    if type(value) is not int:  # isinstance would accept booleans
        raise PipelineError(f"'{name}' must be an integer, not {value!r}.")
    return value


def _expand(
    file: _File,
    overrides: Mapping[str, Any],
    inputs: Mapping[str, str],
    prefix: str,
    steps: list[Step],
    depth: int,
) -> str | None:
    """Add the steps of a file, and of the files that it includes, to ``steps``.

    Args:
        file: the pipeline file.
        overrides: values of its variables.
        inputs: the step that is connected to each input of the file.
        prefix: the prefix of its step names, such as ``outer/``.
        steps: the list to extend.
        depth: the nesting level.

    Returns:
        The name of the file's output step.
    """
    if depth > _MAX_NESTING:
        raise PipelineError(
            f"{file.path}: pipelines are nested more than {_MAX_NESTING} levels deep.",
            hint="Does a pipeline include itself?",
        )
    if unknown := overrides.keys() - file.variables.keys():
        name = min(map(str, unknown))
        raise PipelineError(f"{file.path} has no variable '{name}'.", hint=suggest(name, map(str, file.variables)))
    variables = {**file.variables, **overrides}
    names = dict(inputs)
    for name, body in file.steps.items():
        full_name = f"{prefix}{name}"
        if not isinstance(body, dict) or not isinstance(body.get("use"), str):
            raise PipelineError("it names no operation.", step=full_name, hint="Write 'use: OPERATION'.")
        _check_keys(f"Step '{full_name}'", body, {"use", "from", "with", "failures", "limits", "seed"})
        settings: dict[str, Any] = _substitute(body, variables, full_name)
        sources = _parse_sources(settings.get("from"), full_name)
        if str(settings["use"]).endswith((".yaml", ".yml")):
            included = _parse_file(file.path.parent / settings["use"])
            connections = {
                port: _single_source(names, source_names, full_name, prefix)
                for port, source_names in _resolve_ports(sources, included.inputs, full_name).items()
            }
            if missing := set(included.inputs) - connections.keys():
                raise PipelineError(f"its input '{min(missing)}' is not connected.", step=full_name)
            output = _expand(included, settings.get("with") or {}, connections, f"{full_name}/", steps, depth + 1)
            names[name] = output or full_name
            continue
        steps.append(_build_step(full_name, settings, sources, names, prefix, file))
        names[name] = full_name
    if file.output is not None and file.output not in names:
        raise PipelineError(f"{file.path}: the output '{file.output}' is not a step.", hint=suggest(file.output, names))
    return names[file.output] if file.output else (names[list(file.steps)[-1]] if file.steps else None)


def _resolve_ports(sources: Mapping[str, list[str]], ports: tuple[str, ...], step: str) -> dict[str, list[str]]:
    """Assign sources without a port name to the first port, and check the names of the others."""
    resolved = dict(sources)
    if "" in resolved:
        if not ports:
            raise PipelineError("it has no inputs.", step=step)
        resolved[ports[0]] = resolved.pop("")
    for port in resolved:
        if port not in ports:
            raise PipelineError(f"it has no input '{port}'.", step=step, hint=suggest(port, ports))
    return resolved


def _single_source(names: Mapping[str, str], sources: list[str], step: str, prefix: str) -> str:
    if len(sources) != 1:
        raise PipelineError(f"an input of a pipeline accepts one step, not {len(sources)}.", step=step)
    return names.get(sources[0], f"{prefix}{sources[0]}")


def _parse_sources(value: Any, step: str) -> dict[str, list[str]]:
    """Parse ``from`` into the names of the source steps by port; the port "" is the first one."""
    if value is None:
        return {}
    if isinstance(value, str | list):
        value = {"": value}
    if not isinstance(value, dict):
        raise PipelineError("'from' must be a step, a list of steps, or a mapping of inputs to steps.", step=step)
    sources = {}
    for port, entry in value.items():
        names = entry if isinstance(entry, list) else [entry]
        if not names or not all(isinstance(name, str) for name in names):
            setting = f"'from: {{{port}: …}}'" if port else "'from'"
            raise PipelineError(f"{setting} must name a step.", step=step)
        sources[str(port)] = names
    return sources


def _build_step(
    name: str,
    settings: Mapping[str, Any],
    sources: Mapping[str, list[str]],
    names: Mapping[str, str],
    prefix: str,
    file: _File,
) -> Step:
    limits = settings.get("limits") or {}
    parameters = settings.get("with") or {}
    if not isinstance(limits, dict) or not isinstance(parameters, dict):
        raise PipelineError("'with' and 'limits' must be mappings of names to values.", step=name)
    _check_keys(f"Step '{name}', limits", limits, {"seconds", "memory"})
    operation = str(settings["use"])
    path, _, operation_name = operation.rpartition(":")
    if path.endswith(".py"):
        operation = f"{(file.path.parent / path).resolve()}:{operation_name}"
    inputs = {
        port: tuple(names.get(source, f"{prefix}{source}") for source in source_names)
        for port, source_names in sources.items()
    }
    if "" in inputs:
        named = {port: value for port, value in inputs.items() if port}
        inputs = {**named, _first_port(operation, name): inputs[""]}
    defaults = Step(name, operation)
    return Step(
        name,
        operation,
        parameters,
        inputs,
        failures=_number("failures", settings.get("failures", defaults.failures), name),
        seconds=_number("seconds", limits["seconds"], name) if "seconds" in limits else defaults.seconds,
        memory=_bytes(limits["memory"], name) if "memory" in limits else defaults.memory,
        seed=_int("seed", settings.get("seed", file.seed)),
        folder=file.path.resolve().parent,
    )


def _first_port(operation: str, step: str) -> str:
    ports = Graph("", ()).operation(Step(step, operation)).inputs
    if not ports:
        raise PipelineError(f"'{operation}' has no inputs.", step=step)
    return ports[0].name


def _number(name: str, value: Any, step: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise PipelineError(f"'{name}' must be a number of at least 0, not {value!r}.", step=step)
    return float(value)


def _bytes(value: Any, step: str) -> int:
    match = _SIZE.fullmatch(str(value))
    try:
        if match is None:
            raise ValueError
        return int(float(match[1]) * _UNITS[match[2].lower()])
    except ValueError:
        raise PipelineError(f"'memory' must be a size such as 2GB, not {value!r}.", step=step) from None


def _substitute(value: Any, variables: Mapping[str, Any], step: str) -> Any:
    """Replace each ``${name}`` in a value; a text of just one ``${name}`` becomes the variable's value, of any type."""
    if isinstance(value, dict):
        return {key: _substitute(entry, variables, step) for key, entry in value.items()}
    if isinstance(value, list):
        return [_substitute(entry, variables, step) for entry in value]
    if not isinstance(value, str):
        return value
    match = _VARIABLE.fullmatch(value)
    if match is not None:
        return _lookup_variable(match[1], variables, step)
    return _VARIABLE.sub(lambda match: str(_lookup_variable(match[1], variables, step)), value)


def _lookup_variable(name: str, variables: Mapping[str, Any], step: str) -> Any:
    if name not in variables:
        raise PipelineError(f"unknown variable '{name}'.", step=step, hint=suggest(name, map(str, variables)))
    if variables[name] is None:
        raise PipelineError(f"the variable '{name}' has no value.", step=step, hint=f"Set it: --var {name}=VALUE")
    return variables[name]


def parse_variables(texts: list[str]) -> Iterator[tuple[str, Any]]:
    """Parse ``NAME=VALUE`` texts into names and values; the values are YAML.

    Raises:
        PipelineError: a text has no name or no valid value.
    """
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise PipelineError(f"Invalid variable '{text}': expected NAME=VALUE.")
        try:
            yield name, yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise PipelineError(f"The value of '{name}' is not valid YAML: {error}.") from None
