"""Pipeline files: YAML with variables, and with other files as steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from saccade.core.errors import PipelineError, nearest
from saccade.pipeline.definition.graph import Graph, Step

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SIZE = re.compile(r"\s*([0-9.]+)\s*([kmg]?)b?\s*", re.IGNORECASE)
_DEEPEST = 8


@dataclass(frozen=True)
class _File:
    """What stands in a pipeline file."""

    path: Path
    name: str
    variables: dict[str, Any]
    inputs: tuple[str, ...]
    steps: dict[str, dict[str, Any]]
    output: str | None = None
    seed: int = 0


@dataclass
class _Opened:
    """The steps of a file within others."""

    steps: list[Step] = field(default_factory=list)


def load_graph(path: Path, given: Mapping[str, Any] | None = None) -> Graph:
    """The pipeline of a file, with ``given`` in place of the values of its variables.

    Raises:
        PipelineError: it cannot be read, or is not a pipeline; the message names the step.
    """
    file = _read(path)
    if file.inputs:
        raise PipelineError(f"{path} takes inputs ({', '.join(file.inputs)}): it is a step of other pipelines.")
    opened = _Opened()
    _open(file, given or {}, {}, "", opened, 0)
    return Graph(file.name, tuple(opened.steps))


def _read(path: Path) -> _File:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PipelineError(f"{path} cannot be read: {error.strerror}.") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise PipelineError(f"{path} is not YAML: {error}.") from None
    if not isinstance(data, dict) or not isinstance(data.get("steps"), dict) or not data["steps"]:
        raise PipelineError(f"{path} has no steps.", hint="Write 'steps:' and under it a name with 'use:' for each.")
    _refuse_others(path, data, {"name", "vars", "steps", "inputs", "output", "seed"})
    variables = data.get("vars") or {}
    inputs = data.get("inputs") or []
    if not isinstance(variables, dict) or not isinstance(inputs, list):
        raise PipelineError(f"{path}: 'vars' is a table of names and values, 'inputs' a list of names.")
    return _File(
        path,
        str(data.get("name") or path.stem),
        variables,
        tuple(map(str, inputs)),
        data["steps"],
        data.get("output"),
        _whole("seed", data.get("seed", 0)),
    )


def _refuse_others(place: Any, data: Mapping[str, Any], known: set[str]) -> None:
    for name in data:
        if name not in known:
            raise PipelineError(f"{place}: there is no setting '{name}'.", hint=nearest(str(name), known))


def _whole(name: str, value: Any) -> int:
    if type(value) is not int:
        raise PipelineError(f"'{name}' is a whole number, not {value!r}.")
    return value


def _open(
    file: _File, given: Mapping[str, Any], inputs: Mapping[str, str], prefix: str, opened: _Opened, depth: int
) -> str | None:
    """Add the steps of a file; returns the name of the one that is its output."""
    if depth > _DEEPEST:
        raise PipelineError(
            f"{file.path}: pipelines within pipelines go deeper than {_DEEPEST}.", hint="Is it a circle?"
        )
    if unknown := given.keys() - file.variables.keys():
        name = min(map(str, unknown))
        raise PipelineError(f"{file.path} has no variable '{name}'.", hint=nearest(name, map(str, file.variables)))
    variables = {**file.variables, **given}
    names = dict(inputs)
    for name, written in file.steps.items():
        full, body = f"{prefix}{name}", written
        if not isinstance(body, dict) or not isinstance(body.get("use"), str):
            raise PipelineError("it does not say which operation to use.", step=full, hint="Write 'use: OPERATION'.")
        _refuse_others(f"Step '{full}'", body, {"use", "from", "with", "failures", "limits", "seed"})
        filled: dict[str, Any] = _filled(body, variables, full)
        sources = _sources(filled.get("from"), full)
        if str(filled["use"]).endswith((".yaml", ".yml")):
            inner = _read(file.path.parent / filled["use"])
            leads = {
                port: _one(names, steps, full, prefix) for port, steps in _named(sources, inner.inputs, full).items()
            }
            if missing := set(inner.inputs) - leads.keys():
                raise PipelineError(f"nothing leads to its input '{min(missing)}'.", step=full)
            last = _open(inner, filled.get("with") or {}, leads, f"{full}/", opened, depth + 1)
            names[name] = last or full
            continue
        opened.steps.append(_step(full, filled, sources, names, prefix, file))
        names[name] = full
    if file.output is not None and file.output not in names:
        raise PipelineError(f"{file.path}: its output '{file.output}' is no step.", hint=nearest(file.output, names))
    return names[file.output] if file.output else (names[list(file.steps)[-1]] if file.steps else None)


def _named(sources: Mapping[str, list[str]], ports: tuple[str, ...], step: str) -> dict[str, list[str]]:
    """Sources by port, where a single one needs no name."""
    found = dict(sources)
    if "" in found:
        if not ports:
            raise PipelineError("it takes no inputs.", step=step)
        found[ports[0]] = found.pop("")
    for port in found:
        if port not in ports:
            raise PipelineError(f"it has no input '{port}'.", step=step, hint=nearest(port, ports))
    return found


def _one(names: Mapping[str, str], steps: list[str], step: str, prefix: str) -> str:
    if len(steps) != 1:
        raise PipelineError("only one step may lead to an input of a pipeline.", step=step)
    return names.get(steps[0], f"{prefix}{steps[0]}")


def _sources(given: Any, step: str) -> dict[str, list[str]]:
    """What leads to a step: by port a list of names; "" stands for the first port."""
    if given is None:
        return {}
    if isinstance(given, str | list):
        given = {"": given}
    if not isinstance(given, dict):
        raise PipelineError("'from' is a step, a list of steps, or a table of inputs and steps.", step=step)
    found = {}
    for port, value in given.items():
        steps = value if isinstance(value, list) else [value]
        if not steps or not all(isinstance(one, str) for one in steps):
            raise PipelineError(f"what leads to '{port or 'it'}' is to be the name of a step.", step=step)
        found[str(port)] = steps
    return found


def _step(
    full: str,
    body: Mapping[str, Any],
    sources: Mapping[str, list[str]],
    names: Mapping[str, str],
    prefix: str,
    file: _File,
) -> Step:
    limits = body.get("limits") or {}
    parameters = body.get("with") or {}
    if not isinstance(limits, dict) or not isinstance(parameters, dict):
        raise PipelineError("'with' and 'limits' are tables of names and values.", step=full)
    _refuse_others(f"Step '{full}', limits", limits, {"seconds", "memory"})
    use = str(body["use"])
    path, _, inner = use.rpartition(":")
    if path.endswith(".py"):
        use = f"{(file.path.parent / path).resolve()}:{inner}"
    inputs = {port: tuple(names.get(one, f"{prefix}{one}") for one in steps) for port, steps in sources.items()}
    if "" in inputs:
        inputs = {**{port: value for port, value in inputs.items() if port}, _first_port(use, full): inputs[""]}
    defaults = Step(full, use)
    return Step(
        full,
        use,
        parameters,
        inputs,
        failures=_number("failures", body.get("failures", defaults.failures), full),
        seconds=_number("seconds", limits["seconds"], full) if "seconds" in limits else defaults.seconds,
        memory=_bytes(limits["memory"], full) if "memory" in limits else defaults.memory,
        seed=_whole("seed", body.get("seed", file.seed)),
        folder=file.path.resolve().parent,
    )


def _first_port(use: str, step: str) -> str:
    ports = Graph("", ()).operation(Step(step, use)).inputs
    if not ports:
        raise PipelineError(f"'{use}' takes no inputs.", step=step)
    return ports[0].name


def _number(name: str, value: Any, step: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise PipelineError(f"'{name}' is a number from 0 on, not {value!r}.", step=step)
    return float(value)


def _bytes(value: Any, step: str) -> int:
    match = _SIZE.fullmatch(str(value))
    try:
        if match is None:
            raise ValueError
        return int(float(match[1]) * _UNITS[match[2].lower()])
    except ValueError:
        raise PipelineError(f"'memory' is a size such as 2GB, not {value!r}.", step=step) from None


def _filled(value: Any, variables: Mapping[str, Any], step: str) -> Any:
    """A value with every ``${name}`` replaced; a text that is nothing else becomes the variable's own value."""
    if isinstance(value, dict):
        return {key: _filled(one, variables, step) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, variables, step) for one in value]
    if not isinstance(value, str):
        return value
    whole = _VARIABLE.fullmatch(value)
    if whole is not None:
        return _variable(whole[1], variables, step)
    return _VARIABLE.sub(lambda match: str(_variable(match[1], variables, step)), value)


def _variable(name: str, variables: Mapping[str, Any], step: str) -> Any:
    if name not in variables:
        raise PipelineError(f"there is no variable '{name}'.", step=step, hint=nearest(name, map(str, variables)))
    if variables[name] is None:
        raise PipelineError(f"the variable '{name}' has no value.", step=step, hint=f"Give one: --var {name}=VALUE")
    return variables[name]


def parse_variables(texts: list[str]) -> Iterator[tuple[str, Any]]:
    """``NAME=VALUE`` as names and values, the values read as YAML."""
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise PipelineError(f"'{text}' is not of the form NAME=VALUE.")
        try:
            yield name, yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise PipelineError(f"The value of '{name}' is not YAML: {error}.") from None
