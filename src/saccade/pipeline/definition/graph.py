"""Pipelines as plain data: steps, each an operation with parameters, and the edges between them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from saccade.core.errors import NotFoundError, PipelineError, SaccadeError, suggest
from saccade.operations.base import Operation, Parameters, Port
from saccade.pipeline.definition.loader import load_operation

_STEP_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*(/[A-Za-z_][A-Za-z0-9_\-]*)*")


@dataclass(frozen=True)
class Step:
    """A step of a pipeline.

    Attributes:
        operation: the name of a registered operation, or ``FILE.py:NAME``.
        parameters: the parameters, not validated yet.
        inputs: the names of the source steps, by port name.
        failures: the number of items that may fail before the step fails: a share if below 1, otherwise a count.
        seconds: for isolated code, the time limit per item in seconds; None: no limit.
        memory: for isolated code, the memory limit in bytes; None: no limit.
        seed: the seed for random numbers.
        folder: the base folder of relative paths in the parameters.
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
    """A pipeline: its steps in topological order, validated as far as possible without data.

    Raises:
        PipelineError: a step is invalid; the message names the step.
    """

    name: str
    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", _topological_order(self.steps))
        for step in self.steps:
            self._check_step(step)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __getitem__(self, name: str) -> Step:
        for step in self.steps:
            if step.name == name:
                return step
        raise NotFoundError(f"The pipeline '{self.name}' has no step '{name}'.", hint=suggest(name, self.names))

    @property
    def names(self) -> list[str]:
        return [step.name for step in self.steps]

    @cached_property  # not a field: the dataclass is frozen and compared by its fields
    def _operation_cache(self) -> dict[str, Operation]:
        return {}

    def operation(self, step: Step) -> Operation:
        """Return the operation of a step.

        Raises:
            PipelineError: the operation does not exist.
        """
        if step.name not in self._operation_cache:
            try:
                self._operation_cache[step.name] = load_operation(step.operation)
            except SaccadeError as error:
                raise PipelineError(error.message, step=step.name, hint=error.hint) from None
        return self._operation_cache[step.name]

    def parameters(self, step: Step) -> Parameters:
        """Validate the parameters of a step.

        Raises:
            PipelineError: a parameter is missing, unknown or invalid.
        """
        model = self.operation(step).parameters
        values = {name: _resolve_path(step, model, name, value) for name, value in step.parameters.items()}
        try:
            return model.model_validate(values)
        except ValidationError as error:
            message = _describe_validation_error(error, model)
            raise PipelineError(message, step=step.name, hint=_parameter_hint(model)) from None

    def _check_step(self, step: Step) -> None:
        operation = self.operation(step)
        self.parameters(step)
        for name, sources in step.inputs.items():
            try:
                port = operation.port(name)
            except NotFoundError as error:
                raise PipelineError(error.message, step=step.name, hint=error.hint) from None
            if len(sources) > 1 and not port.multiple:
                raise PipelineError(f"its input '{name}' accepts one step, not {len(sources)}.", step=step.name)
            for source in sources:
                self._check_port_type(step, port, self[source])
        for port in operation.inputs:
            if not port.optional and not step.inputs.get(port.name):
                raise PipelineError(
                    f"its input '{port.name}' ({port.type}) is not connected.",
                    step=step.name,
                    hint=f"Name the source step: 'from: {{{port.name}: STEP}}'.",
                )

    def _check_port_type(self, step: Step, port: Port, source: Step) -> None:
        output = self.operation(source).output
        if output is not port.type:
            raise PipelineError(
                f"its input '{port.name}' expects a {port.type}, but '{source.name}' ({source.operation}) outputs a"
                f" {output}.",
                step=step.name,
            )

    def subgraph(self, targets: Sequence[str]) -> Graph:
        """Return the graph of the target steps and everything that they depend on."""
        names = {self[name].name for name in targets}
        for step in reversed(self.steps):
            if step.name in names:
                names |= {source for sources in step.inputs.values() for source in sources}
        return Graph(self.name, tuple(step for step in self.steps if step.name in names))


def _resolve_path(step: Step, model: type[Parameters], name: str, value: Any) -> Any:
    """Resolve a relative path parameter against the step's folder; return any other value unchanged."""
    info = model.model_fields.get(name)
    if info is None or not is_path_type(info.annotation) or not isinstance(value, str) or "://" in value:
        return value
    return str(step.folder / Path(value).expanduser())


def is_path_type(annotation: Any) -> bool:
    """Whether a parameter of this type is a path."""
    return annotation is Path or Path in getattr(annotation, "__args__", ())


def _topological_order(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Sort the steps so that each comes after its sources; otherwise keep their order."""
    by_name: dict[str, Step] = {}
    for step in steps:
        if not _STEP_NAME.fullmatch(step.name):
            raise PipelineError(
                f"Invalid step name {step.name!r}.",
                hint="Use letters, digits, '_' and '-', beginning with a letter.",
            )
        if step.name in by_name:
            raise PipelineError("two steps have this name.", step=step.name)
        by_name[step.name] = step
    ordered: dict[str, Step] = {}

    def visit(step: Step, path: tuple[str, ...]) -> None:
        if step.name in path:
            cycle = " → ".join([*path[path.index(step.name) :], step.name])
            raise PipelineError(f"it is part of a cycle: {cycle}.", step=step.name)
        if step.name in ordered:
            return
        for sources in step.inputs.values():
            for name in sources:
                if name not in by_name:
                    raise PipelineError(f"unknown step '{name}'.", step=step.name, hint=suggest(name, by_name))
                visit(by_name[name], (*path, step.name))
        ordered[step.name] = step

    for step in steps:
        visit(step, ())
    return tuple(ordered.values())


def _describe_validation_error(error: ValidationError, model: type[Parameters]) -> str:
    messages = []
    for detail in error.errors():
        name = ".".join(map(str, detail["loc"]))
        if detail["type"] == "missing":
            messages.append(f"the parameter '{name}' is missing")
        elif detail["type"] == "extra_forbidden":
            messages.append(f"unknown parameter '{name}'. {suggest(name, model.model_fields)}".rstrip("."))
        else:
            messages.append(f"invalid value {detail['input']!r} for the parameter '{name}': {detail['msg']}")
    return "; ".join(messages) + "."


def _parameter_hint(model: type[Parameters]) -> str:
    names = ", ".join(model.model_fields)
    return f"Parameters: {names}." if names else "The operation has no parameters."
