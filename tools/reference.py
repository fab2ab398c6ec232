"""Generate docs/reference/ from the code, or with --check report which pages are out of date.

usage: python tools/reference.py [--check]
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

import saccade
from saccade.app.jobs.job_type import JobType
from saccade.app.jobs.registry import JOB_TYPES
from saccade.cli.main import app
from saccade.client.remote_workspace import RESOURCES
from saccade.core import errors
from saccade.core.registry import Registry
from saccade.core.webhooks.events import EVENTS, PING, SAMPLES, serialize_event
from saccade.formats.base import FORMATS
from saccade.models.components.base import ENCODERS, HEADS, NECKS
from saccade.models.spec import ComponentSpec
from saccade.operations.base import OPERATIONS
from saccade.training.augment import AUGMENTATIONS
from saccade.training.recipe import Recipe

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
_NOTE = "<!-- Written by tools/reference.py; change the program, then run `make docs`. -->"


def table(headings: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Build a Markdown table; pipes in cells are escaped."""
    heads = list(headings)
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += [
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    ]
    return "\n".join(lines)


def page(title: str, introduction: str, parts: Iterable[str]) -> str:
    """Build a page of the reference."""
    return "\n\n".join([_NOTE, f"# {title}", introduction, *parts]) + "\n"


def commands() -> str:
    """Document all commands with their arguments and options."""
    root = typer.main.get_command(app)
    return page(
        "Commands",
        "Every command takes `--help`. Errors go to standard error with exit code 1, wrong usage with 2, Ctrl-C with "
        '130; with `--json` an error is `{"error": {"code", "message", "hint"}}` on standard output. See '
        "[errors](errors.md).",
        (_command(path, command) for path, command in _walk_commands(root, ("saccade",))),
    )


def _walk_commands(group: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in sorted(getattr(group, "commands", {}).items()):
        if hasattr(command, "commands"):
            yield from _walk_commands(command, (*path, name))
        else:
            yield (*path, name), command


def _command(path: tuple[str, ...], command: Any) -> str:
    arguments, options = [], []
    for parameter in command.params:
        default = parameter.default
        default_text = "" if default in (None, "", False) or callable(default) else f" Default: `{default}`."
        row = [f"{parameter.help or ''}{default_text}"]
        if parameter.param_type_name == "argument":
            name = parameter.name.rstrip("_")
            arguments.append(f"<{name}>" if parameter.required else f"[{name}]")
            options.append([f"`{name}`", *row])
        elif "--help" not in parameter.opts:
            options.append([", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts)), *row])
    usage = " ".join([*path, *arguments, "[options]"])
    return f"## {' '.join(path)}\n\n{inspect.cleandoc(command.help)}\n\n```text\n{usage}\n```\n\n" + table(
        ("", "What"), options
    )


def recipe() -> str:
    """Document all settings of a recipe."""
    return page(
        "Settings of a recipe",
        "A recipe is a YAML file; a misspelt setting is an error. `--set path=value` changes one from the command "
        "line. See [recipes](../recipes.md) for how they fit together, and [components](components.md) for what "
        "`type` may be.",
        [table(("Setting", "Type", "Default", "What"), _settings(Recipe, ""))],
    )


def _settings(model: type[BaseModel], prefix: str) -> Iterator[list[str]]:
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        group = next((member for member in _union_members(field.annotation) if _is_model(member)), None)
        if group is None or group is ComponentSpec:
            yield [f"`{path}`", _type_name(field.annotation), _default(field), _description(field)]
        else:
            yield [f"`{path}`", "group", "" if field.is_required() else _default(field, group=True), _summary(group)]
            yield from _settings(group, f"{path}.")


def _union_members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (UnionType, Union) else (annotation,)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


_TYPE_NAMES: dict[Any, str] = {
    str: "text",
    Path: "path",
    int: "whole number",
    float: "number",
    bool: "true or false",
    ComponentSpec: "component",
}


def _type_name(annotation: Any) -> str:
    """Describe a type annotation in plain English."""
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if origin is None:
        return _model_outline(annotation) if _is_model(annotation) else _TYPE_NAMES.get(annotation, "any value")
    if origin is Annotated:
        return _type_name(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (UnionType, Union):
        return " or ".join("none" if member is type(None) else _type_name(member) for member in arguments)
    if origin is dict:
        return "mapping of names to components" if arguments[1] is ComponentSpec else "mapping"
    element = _type_name(arguments[0])
    plural = element if element.endswith("`") else f"{element}s"
    is_list = arguments[-1] is Ellipsis or origin is list
    return f"list of {plural}" if is_list else f"{len(arguments)} {plural}"


def _model_outline(model: type[BaseModel]) -> str:
    """List the field names of a member of a union, its discriminator (a literal of one value) first."""
    literals = {name: get_args(field.annotation) for name, field in model.model_fields.items()}
    names = [
        f"{name}: {values[0]}"
        if len(values) == 1 and isinstance(values[0], str)
        else model.model_fields[name].alias or name
        for name, values in literals.items()
    ]
    return f"`{{{', '.join(sorted(names, key=lambda name: ':' not in name))}}}`"


def _default(field: FieldInfo, group: bool = False) -> str:
    if field.is_required():
        return "required"
    value = field.default if field.default is not PydanticUndefined else field.get_default(call_default_factory=True)
    if value is None:
        return "none"
    if group:
        return ""
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    if value == "":
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _description(field: FieldInfo) -> str:
    phrases = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    bounds = [
        f"{phrase} {getattr(constraint, name):g}"
        for constraint in field.metadata
        for name, phrase in phrases.items()
        if hasattr(constraint, name)
    ]
    description = (field.description or "").rstrip("." if bounds else "")
    return "; ".join(text for text in (description, ", ".join(bounds)) if text)


def _summary(symbol: Any) -> str:
    return (inspect.getdoc(symbol) or "").split("\n\n")[0].replace("\n", " ")


def parameter_model(builder: Callable[..., Any]) -> type[BaseModel]:
    """Return the model that a builder validates its parameters with: the first model that its code refers to.

    Raises:
        LookupError: the code refers to no model.
    """
    names = builder.__globals__
    for name in builder.__code__.co_names:
        if _is_model(names.get(name)):
            model: type[BaseModel] = names[name]
            return model
    raise LookupError(f"{builder.__qualname__} does not validate its parameters with a model")


def components() -> str:
    """Document all components of recipes."""
    families: dict[str, tuple[Registry[Any], str]] = {
        "Encoders": (ENCODERS, "`model.encoder`: images in, feature maps out."),
        "Necks": (NECKS, "`model.neck`: mixes the maps of different scales."),
        "Heads": (HEADS, "`model.heads.NAME`: predicts the column NAME."),
        "Augmentations": (AUGMENTATIONS, "`augment`: applied to each training sample, in order."),
    }
    parts = []
    for title, (registry, use) in families.items():
        parts.append(f"## {title}\n\n{use} A package adds one by the entry point `{registry.group}`.")
        for name in registry.names():
            builder = registry.get(name)
            rows = list(_settings(parameter_model(builder), ""))
            settings = table(("Setting", "Type", "Default", "What"), rows) if rows else "No settings."
            parts.append(f"### {name}\n\n{inspect.getdoc(builder)}\n\n{settings}")
    return page("Components", "What `type` may be in a recipe, each with its own settings.", parts)


def formats() -> str:
    """Document all import and export formats."""
    parts = []
    for format in FORMATS:
        description = inspect.getdoc(inspect.getmodule(type(format))) or ""
        parts.append(f"## {format.name}\n\n**{format.title}** supports {format.supports}.\n\n{description}")
    introduction = (
        "`saccade import --format auto` tries each and says why it chose one. What a format cannot hold is listed by "
        "the export; see [formats](../formats.md)."
    )
    return page("Formats", introduction, parts)


def operations() -> str:
    """Document all pipeline operations."""
    parts = []
    for name in OPERATIONS.names():
        operation = OPERATIONS.get(name)
        ports = []
        for port in operation.inputs:
            suffix = f"{', any number' if port.multiple else ''}{', optional' if port.optional else ''}"
            ports.append(f"`{port.name}` ({port.type}{suffix})")
        signature = (
            f"Granularity: {operation.granularity}. Inputs: {', '.join(ports) or 'none'}. Output: {operation.output}."
        )
        rows = list(_settings(operation.parameters, ""))
        settings = table(("Parameter", "Type", "Default", "What"), rows) if rows else "No parameters."
        parts.append(f"## {name}\n\n{operation.help}\n\n{signature}\n\n{settings}")
    return page(
        "Operations",
        "What `use:` may be in a pipeline; a Python file adds its own as `FILE.py:NAME`, a package by the entry point "
        f"`{OPERATIONS.group}`. See [pipelines](../guide/pipelines.md).",
        parts,
    )


def panels() -> str:
    """Document all panels and blocks."""
    from saccade.app.panels import PANELS, blocks

    parts = ["## Panels"]
    for panel in PANELS:
        rows = list(_settings(panel.parameters, ""))
        settings = table(("Parameter", "Type", "Default", "What"), rows) if rows else "No parameters."
        access = f"On the page of: {panel.slot}. Requires the role {panel.role} or above."
        parts.append(f"### {panel.name}\n\n**{panel.title}**: {panel.help} {access}\n\n{settings}")
    parts.append("## Blocks\n\nfrom `saccade.app.panels`")
    block_types: list[type[BaseModel]] = [*blocks.Block.__subclasses__(), blocks.Figure, blocks.Series]
    for block in block_types:
        rows = [
            [f"`{name}`", "required" if field.is_required() else _default(field)]
            for name, field in block.model_fields.items()
            if name != "kind"
        ]
        parts.append(f"### {block.__name__}\n\n{inspect.getdoc(block)}\n\n{table(('Field', 'Default'), rows)}")
    return page(
        "Panels",
        f"Panels of packages in the web app. A package adds one by the entry point `{PANELS.group}`. See "
        "[panels](../guide/panels.md).",
        parts,
    )


def api() -> str:
    """Document all routes of the API with their required roles and parameters."""
    from saccade.server.permissions import REQUIRED_ROLES, ROUTE_PERMISSIONS, Permission

    parts = []
    access_without_role = {
        Permission.PUBLIC: "Public: no sign-in is required.",
        Permission.AUTHENTICATED: "Requires a signed-in user.",
    }
    for path, methods in openapi_schema()["paths"].items():
        for method, route_schema in methods.items():
            route = f"{method.upper()} {path}"
            permission = ROUTE_PERMISSIONS[route]
            if permission in access_without_role:
                access = access_without_role[permission]
            else:
                access = f"Requires the role {REQUIRED_ROLES[permission]} or above."
            parameters = [
                f"`{parameter['name']}`" + ("" if parameter.get("required") else " (optional)")
                for parameter in route_schema.get("parameters", [])
            ]
            body = route_schema.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if body:
                parameters.append(f"a body {body['$ref'].rpartition('/')[2]}")
            parameter_text = f"\n\nParameters: {', '.join(parameters)}." if parameters else ""
            parts.append(f"## {route}\n\n{route_schema['description']} {access}{parameter_text}")
    parts += [_job(name, job_type) for name, job_type in sorted(JOB_TYPES.items())]
    return page(
        "HTTP API",
        "The API of `saccade serve`. Programs authenticate with the header `Authorization: Bearer TOKEN`. Browsers use "
        "a session cookie and send the CSRF token in the header `X-CSRF-Token` with every request that changes "
        'something. Every error has the body `{"error": {"code", "message", "hint", "fields"}}`. See '
        "[the server](../guide/server.md).",
        parts,
    )


def _job(name: str, job_type: JobType) -> str:
    rows = list(_settings(job_type.parameters, ""))
    parameters = "\n\n" + table(("Parameter", "Type", "Default", "What"), rows) if rows else ""
    access = f"Requires the role {job_type.required_role} or above."
    return f"## Job: {name}\n\n{inspect.getdoc(job_type.run)} {access}{parameters}"


def openapi_schema() -> dict[str, Any]:
    """Build the OpenAPI schema, without starting a server."""
    from fastapi import FastAPI

    from saccade import __version__
    from saccade.server.app import ERROR_RESPONSES, ROUTERS
    from saccade.server.middleware.idempotency import document_idempotency

    server = FastAPI(title="Saccade", version=__version__, responses=ERROR_RESPONSES)
    for router in ROUTERS:
        server.include_router(router)
    for name in (*EVENTS, PING):
        server.webhooks.add_api_route(f"/{name}", _webhook_route(name), methods=["POST"], status_code=204)
    schema = server.openapi()
    document_idempotency(schema)
    schema["webhooks"] = {path.strip("/"): methods for path, methods in schema["webhooks"].items()}
    for methods in schema["webhooks"].values():
        methods["post"]["responses"] = {"2XX": {"description": "The delivery was accepted."}}
    return schema


def _webhook_route(name: str) -> Callable[..., None]:
    """Create the route of a webhook receiver, from which FastAPI derives the schema of an event."""
    data_type = type(SAMPLES[name])
    fields: dict[str, Any] = {"type": Literal[name], "timestamp": datetime, "project": str, "data": data_type}
    body = create_model("".join(map(str.title, name.split("."))) + "Event", **fields)

    def receive(event: Any) -> None:
        pass

    receive.__annotations__["event"] = body
    # The operation id and the summary in the schema come from the name, the description from the docstring.
    receive.__name__ = f"told_{name.replace('.', '_')}"
    receive.__doc__ = inspect.getdoc(data_type)
    return receive


def webhooks() -> str:
    """Document all webhook events with their fields."""
    parts = []
    for name in (*EVENTS, PING):
        sample = SAMPLES[name]
        hints = get_type_hints(type(sample))
        fields = table(
            ("In `data`", "Type"),
            [[f"`{field.name}`", _type_name(hints[field.name])] for field in dataclasses.fields(sample)],
        )
        body = json.loads(serialize_event(name, datetime(2026, 11, 5, 9, 30, tzinfo=UTC), "default", sample))
        parts.append(
            f"## {name}\n\n{inspect.getdoc(type(sample))}\n\n{fields}\n\n```json\n{json.dumps(body, indent=2)}\n```"
        )
    return page(
        "Webhook events",
        "Events by `type`. Each event has the `timestamp` at which it happened, the `project`, and `data`; later "
        "versions may add fields to `data`. See [webhooks](../guide/webhooks.md).",
        parts,
    )


def openapi() -> str:
    """Serialize the OpenAPI schema, from which the web app's client is generated."""
    return json.dumps(openapi_schema(), indent=1, sort_keys=True) + "\n"


def error_codes() -> str:
    """Document all errors with their codes."""
    classes = [
        symbol
        for symbol in vars(errors).values()
        if isinstance(symbol, type) and issubclass(symbol, errors.SaccadeError)
    ]
    meanings = dict(line.strip("├└─ ").split(None, 1) for line in (errors.__doc__ or "").splitlines() if "──" in line)
    rows = [
        [f"`{error.code}`", f"`{error.__name__}`", meanings.get(error.__name__, _summary(error))] for error in classes
    ]
    rows += [
        ["`io`", "`OSError`", "the disk or the operating system reported an error"],
        ["`extra`", "`ModuleNotFoundError`", "an optional library is not installed"],
        ["`stopped`", "`KeyboardInterrupt`", "Ctrl-C; unfinished changes were not applied"],
    ]
    return page(
        "Errors",
        "Error codes of `--json` and the Python exceptions. All but the last three are a `saccade.SaccadeError`. See "
        "[troubleshooting](../troubleshooting.md).",
        [table(("Code", "Exception", "When"), rows)],
    )


def python() -> str:
    """Document all public names of the package."""
    parts = []
    for name in (name for name in saccade.__all__ if name != "__version__"):
        symbol = getattr(saccade, name)
        try:
            signature = str(inspect.signature(symbol)) if inspect.isfunction(symbol) else ""
        except ValueError:
            signature = ""
        code = f"```python\n{name}{signature}\n```\n\n" if signature else ""
        methods = "" if inspect.isfunction(symbol) else _methods(symbol)
        parts.append(f"## {name}\n\nfrom `{symbol.__module__}`\n\n{code}{inspect.getdoc(symbol) or ''}{methods}")
    parts += [_remote_resource(name, resource) for name, resource in RESOURCES.items()]
    return page("Python", "The public API of `import saccade`. See [the guide](../guide/python.md).", parts)


def _remote_resource(name: str, resource: type) -> str:
    """Document an attribute of ``saccade.RemoteWorkspace``."""
    heading = f"of a `RemoteWorkspace`, `{resource.__module__}.{resource.__name__}`"
    methods = _methods(resource, with_arguments=True)
    return f"## remote.{name}\n\n{heading}\n\n{inspect.getdoc(resource)}{methods}"


def _methods(cls: type, *, with_arguments: bool = False) -> str:
    rows = []
    for name, member in vars(cls).items():
        if name.startswith("_") or name.startswith("model_"):
            continue
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        function = function.fget if isinstance(function, property) else function
        if inspect.isfunction(function) and function.__module__.startswith("saccade"):
            rows.append([f"`{name}{_arguments(function) if with_arguments else ''}`", _summary(function)])
    return "\n\n" + table(("Method", "What"), rows) if rows else ""


def _arguments(function: Any) -> str:
    """List the arguments of a method as in a call."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    arguments = [
        f"{parameter.name}=…"
        if parameter.default is not parameter.empty or parameter.kind is parameter.KEYWORD_ONLY
        else parameter.name
        for parameter in parameters
    ]
    return f"({', '.join(arguments)})"


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": commands,
    "recipe.md": recipe,
    "components.md": components,
    "formats.md": formats,
    "operations.md": operations,
    "panels.md": panels,
    "api.md": api,
    "openapi.json": openapi,
    "webhooks.md": webhooks,
    "errors.md": error_codes,
    "python.md": python,
}


def out_of_date(folder: Path = FOLDER) -> list[str]:
    """Return the names of the pages that differ from the code."""
    return [
        name
        for name, build in PAGES.items()
        if not (folder / name).exists() or (folder / name).read_text("utf-8") != build()
    ]


def main() -> None:
    """Write the pages, or with --check only compare them."""
    if "--check" in sys.argv:
        if outdated := out_of_date():
            sys.exit(f"out of date: {', '.join(outdated)}; run `make docs`")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, build in PAGES.items():
        (FOLDER / name).write_text(build(), encoding="utf-8")


if __name__ == "__main__":
    main()
