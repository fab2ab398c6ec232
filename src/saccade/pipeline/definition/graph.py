"""Pipelines as plain data: steps, each an operation with parameters, and what leads from one to another."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from saccade.core.errors import NotFoundError, PipelineError, SaccadeError, nearest
from saccade.operations.base import Operation, Parameters, Port
from saccade.pipeline.definition.loader import find_operation

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*(/[A-Za-z_][A-Za-z0-9_\-]*)*")


@dataclass(frozen=True)
class Step:
    """One step.

    Attributes:
        operation: the name of a registered one, or ``FILE.py:NAME``.
        parameters: as they were given.
        inputs: by port the names of the steps that lead there.
        failures: how many items may fail before the step does: a share below 1, else a number.
        seconds, memory: for strange code the most seconds an item and bytes.
        folder: what relative paths in parameters are relative to.
    """

    name: str
    operation: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    failures: float = 0.1
    seconds: float | None = 300.0
    memory: int | None = 4 << 30
    seed: int = 0
    folder: Path = field(default_factory=Path)


@dataclass(frozen=True)
class Graph:
    """A pipeline: its steps in an order in which they can run, checked as far as that goes without data."""

    name: str
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", _in_order(self.steps))
        for step in self.steps:
            self._check(step)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __getitem__(self, name: str) -> Step:
        for step in self.steps:
            if step.name == name:
                return step
        raise NotFoundError(f"The pipeline '{self.name}' has no step '{name}'.", hint=nearest(name, self.names))

    @property
    def names(self) -> list[str]:
        return [step.name for step in self.steps]

    @cached_property
    def _operations(self) -> dict[str, Operation]:
        return {}

    def operation(self, step: Step) -> Operation:
        """The operation of a step; PipelineError where there is none."""
        if step.name not in self._operations:
            try:
                self._operations[step.name] = find_operation(step.operation)
            except SaccadeError as error:
                raise PipelineError(error.message, step=step.name, hint=error.hint) from None
        return self._operations[step.name]

    def parameters(self, step: Step) -> Parameters:
        """The checked parameters of a step."""
        model = self.operation(step).parameters
        given = {name: _resolved(step, model, name, value) for name, value in step.parameters.items()}
        try:
            return model.model_validate(given)
        except ValidationError as error:
            raise PipelineError(_words(error, model), step=step.name, hint=_parameter_hint(model)) from None

    def _check(self, step: Step) -> None:
        operation = self.operation(step)
        self.parameters(step)
        ports = {port.name: port for port in operation.inputs}
        for name, sources in step.inputs.items():
            try:
                port = operation.port(name)
            except NotFoundError as error:
                raise PipelineError(error.message, step=step.name, hint=error.hint) from None
            if len(sources) > 1 and not port.several:
                raise PipelineError(f"only one step may lead to '{name}', not {len(sources)}.", step=step.name)
            for source in sources:
                self._fits(step, port, self[source])
        for port in ports.values():
            if not port.optional and not step.inputs.get(port.name):
                raise PipelineError(
                    f"nothing leads to its input '{port.name}' ({port.type}).",
                    step=step.name,
                    hint=f"Say where it comes from: 'from: {{{port.name}: STEP}}'.",
                )

    def _fits(self, step: Step, port: Port, source: Step) -> None:
        found = self.operation(source).output
        if found is not port.type:
            raise PipelineError(
                f"its input '{port.name}' takes a {port.type}; '{source.name}' ({source.operation}) gives a {found}.",
                step=step.name,
            )

    def upto(self, names: Sequence[str]) -> Graph:
        """The steps that these need, with these."""
        wanted = {self[name].name for name in names}
        for step in reversed(self.steps):
            if step.name in wanted:
                wanted |= {source for sources in step.inputs.values() for source in sources}
        return Graph(self.name, tuple(step for step in self.steps if step.name in wanted))


def _resolved(step: Step, model: type[Parameters], name: str, value: Any) -> Any:
    """A path relative to the step's folder as one that is absolute."""
    info = model.model_fields.get(name)
    if info is None or not is_path(info.annotation) or not isinstance(value, str) or "://" in value:
        return value
    return str(step.folder / Path(value).expanduser())


def is_path(annotation: Any) -> bool:
    """Whether a parameter is a path."""
    return annotation is Path or Path in getattr(annotation, "__args__", ())


def _in_order(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps, each after those that lead to it; otherwise as they are written."""
    by_name: dict[str, Step] = {}
    for step in steps:
        if not _NAME.fullmatch(step.name):
            raise PipelineError(
                f"A step may not be called {step.name!r}.",
                hint="Use letters, digits, '_' and '-', beginning with a letter.",
            )
        if step.name in by_name:
            raise PipelineError("there are two steps of that name.", step=step.name)
        by_name[step.name] = step
    done: dict[str, Step] = {}

    def visit(step: Step, path: tuple[str, ...]) -> None:
        if step.name in path:
            circle = " → ".join([*path[path.index(step.name) :], step.name])
            raise PipelineError(f"it leads back to itself: {circle}.", step=step.name)
        if step.name in done:
            return
        for sources in step.inputs.values():
            for name in sources:
                if name not in by_name:
                    raise PipelineError(f"there is no step '{name}'.", step=step.name, hint=nearest(name, by_name))
                visit(by_name[name], (*path, step.name))
        done[step.name] = step

    for step in steps:
        visit(step, ())
    return tuple(done.values())


def _words(error: ValidationError, model: type[Parameters]) -> str:
    """What is wrong with parameters, in words."""
    said = []
    for fault in error.errors():
        name = ".".join(map(str, fault["loc"]))
        if fault["type"] == "missing":
            said.append(f"the parameter '{name}' is missing")
        elif fault["type"] == "extra_forbidden":
            said.append(f"there is no parameter '{name}'. {nearest(name, model.model_fields)}".rstrip("."))
        else:
            said.append(f"the parameter '{name}' is wrong ({fault['input']!r}): {fault['msg']}")
    return "; ".join(said) + "."


def _parameter_hint(model: type[Parameters]) -> str:
    names = ", ".join(model.model_fields)
    return f"Parameters: {names}." if names else "It has no parameters."
