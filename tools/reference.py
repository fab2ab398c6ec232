"""Write docs/reference/ from the program itself, or with --check say what is out of date.

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
from saccade.client.remote_workspace import RESOURCES as PARTS_OF_SITE
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
    """A Markdown table; bars in cells are escaped."""
    heads = list(headings)
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += [
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows
    ]
    return "\n".join(lines)


def page(title: str, introduction: str, parts: Iterable[str]) -> str:
    """A page of the reference."""
    return "\n\n".join([_NOTE, f"# {title}", introduction, *parts]) + "\n"


def commands() -> str:
    """Every command with its arguments and options."""
    root = typer.main.get_command(app)
    return page(
        "Commands",
        "Every command takes `--help`. Errors go to standard error with exit code 1, wrong usage with 2, Ctrl-C with "
        '130; with `--json` an error is `{"error": {"code", "message", "hint"}}` on standard output. See '
        "[errors](errors.md).",
        (_command(path, found) for path, found in _walk(root, ("saccade",))),
    )


def _walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, found in sorted(getattr(command, "commands", {}).items()):
        if hasattr(found, "commands"):
            yield from _walk(found, (*path, name))
        else:
            yield (*path, name), found


def _command(path: tuple[str, ...], command: Any) -> str:
    arguments, options = [], []
    for parameter in command.params:
        default = parameter.default
        shown = "" if default in (None, "", False) or callable(default) else f" Default: `{default}`."
        row = [f"{parameter.help or ''}{shown}"]
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
    """Every setting of a recipe."""
    return page(
        "Settings of a recipe",
        "A recipe is a YAML file; a misspelt setting is an error. `--set path=value` changes one from the command "
        "line. See [recipes](../recipes.md) for how they fit together, and [components](components.md) for what "
        "`type` may be.",
        [table(("Setting", "Type", "Default", "What"), _settings(Recipe, ""))],
    )


def _settings(model: type[BaseModel], prefix: str) -> Iterator[list[str]]:
    for name, field in model.model_fields.items():
        place = f"{prefix}{field.alias or name}"
        inner = next((part for part in _parts(field.annotation) if _is_model(part)), None)
        if inner is None or inner is ComponentSpec:
            yield [f"`{place}`", _type(field.annotation), _default(field), _meaning(field)]
        else:
            yield [f"`{place}`", "group", "" if field.is_required() else _default(field, group=True), _first(inner)]
            yield from _settings(inner, f"{place}.")


def _parts(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (UnionType, Union) else (annotation,)


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


_WORDS: dict[Any, str] = {
    str: "text",
    Path: "path",
    int: "whole number",
    float: "number",
    bool: "true or false",
    ComponentSpec: "component",
}


def _type(annotation: Any) -> str:
    """A type in words."""
    arguments = get_args(annotation)
    match get_origin(annotation):
        case None:
            words = _group(annotation) if _is_model(annotation) else _WORDS.get(annotation, "any value")
        case found if found is Annotated:
            words = _type(arguments[0])
        case found if found is Literal:
            words = ", ".join(f"`{value}`" for value in arguments)
        case found if found in (UnionType, Union):
            words = " or ".join("none" if part is type(None) else _type(part) for part in arguments)
        case found if found is dict:
            words = "mapping of names to components" if arguments[1] is ComponentSpec else "mapping"
        case _:
            inner = _type(arguments[0])
            is_list = arguments[-1] is Ellipsis or get_origin(annotation) is list
            several = inner if inner.endswith("`") else f"{inner}s"
            words = f"list of {several}" if is_list else f"{len(arguments)} {several}"
    return words


def _group(model: type[BaseModel]) -> str:
    """The names of a group that is one of several; where it is told from the others by a word, that word."""
    words = {name: get_args(field.annotation) for name, field in model.model_fields.items()}
    names = [
        f"{name}: {found[0]}"
        if len(found) == 1 and isinstance(found[0], str)
        else model.model_fields[name].alias or name
        for name, found in words.items()
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


def _meaning(field: FieldInfo) -> str:
    limits = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
    said = [
        f"{words} {getattr(limit, name):g}"
        for limit in field.metadata
        for name, words in limits.items()
        if hasattr(limit, name)
    ]
    return "; ".join(part for part in ((field.description or "").rstrip("." if said else ""), ", ".join(said)) if part)


def _first(part: Any) -> str:
    return (inspect.getdoc(part) or "").split("\n\n")[0].replace("\n", " ")


def parameters_of(builder: Callable[..., Any]) -> type[BaseModel]:
    """The model that a builder checks its parameters with, found among the names that its code uses."""
    known = builder.__globals__
    for name in builder.__code__.co_names:
        if _is_model(known.get(name)):
            found: type[BaseModel] = known[name]
            return found
    raise LookupError(f"{builder.__qualname__} checks its parameters with no model")


def components() -> str:
    """Every component that a recipe may name."""
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
            rows = list(_settings(parameters_of(builder), ""))
            settings = table(("Setting", "Type", "Default", "What"), rows) if rows else "No settings."
            parts.append(f"### {name}\n\n{inspect.getdoc(builder)}\n\n{settings}")
    return page("Components", "What `type` may be in a recipe, each with its own settings.", parts)


def formats() -> str:
    """Every format that is read and written."""
    parts = []
    for found in FORMATS:
        module = inspect.getdoc(inspect.getmodule(type(found))) or ""
        parts.append(f"## {found.name}\n\n**{found.title}** supports {found.supports}.\n\n{module}")
    introduction = (
        "`saccade import --format auto` tries each and says why it chose one. What a format cannot hold is listed by "
        "the export; see [formats](../formats.md)."
    )
    return page("Formats", introduction, parts)


def operations() -> str:
    """Every operation of pipelines."""
    parts = []
    for name in OPERATIONS.names():
        one = OPERATIONS.get(name)
        ports = []
        for port in one.inputs:
            more = f"{', any number' if port.multiple else ''}{', optional' if port.optional else ''}"
            ports.append(f"`{port.name}` ({port.type}{more})")
        facts = f"By {one.granularity}. Takes {', '.join(ports) or 'nothing'}; gives a {one.output}."
        rows = list(_settings(one.parameters, ""))
        settings = table(("Parameter", "Type", "Default", "What"), rows) if rows else "No parameters."
        parts.append(f"## {name}\n\n{one.help}\n\n{facts}\n\n{settings}")
    return page(
        "Operations",
        "What `use:` may be in a pipeline; a Python file adds its own as `FILE.py:NAME`, a package by the entry point "
        f"`{OPERATIONS.group}`. See [pipelines](../guide/pipelines.md).",
        parts,
    )


def panels() -> str:
    """Every panel and every block."""
    from saccade.app.panels import PANELS, blocks

    parts = ["## Panels"]
    for panel in PANELS:
        rows = list(_settings(panel.parameters, ""))
        settings = table(("Parameter", "Type", "Default", "What"), rows) if rows else "No parameters."
        facts = f"On the page of: {panel.slot}. For {panel.role} and above."
        parts.append(f"### {panel.name}\n\n**{panel.title}**: {panel.help} {facts}\n\n{settings}")
    parts.append("## Blocks\n\nfrom `saccade.app.panels`")
    kinds: list[type[BaseModel]] = [*blocks.Block.__subclasses__(), blocks.Figure, blocks.Series]
    for block in kinds:
        rows = [
            [f"`{name}`", "needed" if field.is_required() else _default(field)]
            for name, field in block.model_fields.items()
            if name != "kind"
        ]
        parts.append(f"### {block.__name__}\n\n{inspect.getdoc(block)}\n\n{table(('Field', 'Default'), rows)}")
    return page(
        "Panels",
        f"What the web app shows of packages; one adds a panel by the entry point `{PANELS.group}`. See "
        "[panels](../guide/panels.md).",
        parts,
    )


def api() -> str:
    """Every route of the API, with who may call it and what it takes."""
    from saccade.server.permissions import REQUIRED_ROLES, ROUTE_PERMISSIONS, Permission

    parts = []
    for path, methods in described()["paths"].items():
        for method, facts in methods.items():
            route = f"{method.upper()} {path}"
            action = ROUTE_PERMISSIONS[route]
            of_all = {Permission.PUBLIC: "everybody", Permission.AUTHENTICATED: "whoever is signed in"}
            who = of_all[action] if action in of_all else f"{REQUIRED_ROLES[action]} and above"
            given = [
                f"`{one['name']}`" + ("" if one.get("required") else " (optional)")
                for one in facts.get("parameters", [])
            ]
            body = facts.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if body:
                given.append(f"a body {body['$ref'].rpartition('/')[2]}")
            takes = f"\n\nTakes {', '.join(given)}." if given else ""
            parts.append(f"## {route}\n\n{facts['description']} For {who}.{takes}")
    parts += [_job(name, kind) for name, kind in sorted(JOB_TYPES.items())]
    return page(
        "HTTP API",
        "`saccade serve` serves it. Programs send `Authorization: Bearer TOKEN`; browsers have a cookie, and send the "
        "header `X-Saccade-Guard` with whatever changes something. Every error is "
        '`{"error": {"code", "message", "hint", "fields"}}`. See [the server](../guide/server.md).',
        parts,
    )


def _job(name: str, kind: JobType) -> str:
    """A kind of job with its parameters."""
    rows = list(_settings(kind.parameters, ""))
    given = "\n\n" + table(("Parameter", "Type", "Default", "What"), rows) if rows else ""
    return f"## A job: {name}\n\n{inspect.getdoc(kind.run)} For {kind.required_role} and above.{given}"


def described() -> dict[str, Any]:
    """The API in OpenAPI's words."""
    from fastapi import FastAPI

    from saccade import __version__
    from saccade.server.app import ERROR_RESPONSES, ROUTERS
    from saccade.server.middleware.idempotency import document_idempotency

    served = FastAPI(title="Saccade", version=__version__, responses=ERROR_RESPONSES)
    for router in ROUTERS:
        served.include_router(router)
    for name in (*EVENTS, PING):
        served.webhooks.add_api_route(f"/{name}", _told(name), methods=["POST"], status_code=204)
    found = served.openapi()
    document_idempotency(found)
    found["webhooks"] = {path.strip("/"): facts for path, facts in found["webhooks"].items()}
    for facts in found["webhooks"].values():
        facts["post"]["responses"] = {"2XX": {"description": "It was accepted."}}
    return found


def _told(name: str) -> Callable[..., None]:
    """A route of receivers, of which the description of an event is made."""
    kind = type(SAMPLES[name])
    fields: dict[str, Any] = {"type": Literal[name], "timestamp": datetime, "project": str, "data": kind}
    body = create_model("".join(map(str.title, name.split("."))) + "Event", **fields)

    def told(event: Any) -> None:
        pass

    told.__annotations__["event"] = body
    told.__name__, told.__doc__ = f"told_{name.replace('.', '_')}", inspect.getdoc(kind)
    return told


def webhooks() -> str:
    """Every event of webhooks with what it says."""
    parts = []
    for name in (*EVENTS, PING):
        sample = SAMPLES[name]
        hints = get_type_hints(type(sample))
        fields = table(
            ("In `data`", "Type"), [[f"`{one.name}`", _type(hints[one.name])] for one in dataclasses.fields(sample)]
        )
        told = json.loads(serialize_event(name, datetime(2026, 11, 5, 9, 30, tzinfo=UTC), "default", sample))
        parts.append(
            f"## {name}\n\n{inspect.getdoc(type(sample))}\n\n{fields}\n\n```json\n{json.dumps(told, indent=2)}\n```"
        )
    return page(
        "Events of webhooks",
        "What is sent, by its `type`. Each has the `timestamp` at which it happened, the `project`, and `data`; "
        "more may be added to `data` in time. See [webhooks](../guide/webhooks.md).",
        parts,
    )


def openapi() -> str:
    """The API's description for programs, of which the web app's client is made."""
    return json.dumps(described(), indent=1, sort_keys=True) + "\n"


def error_codes() -> str:
    """Every error with its code."""
    found = [part for part in vars(errors).values() if isinstance(part, type) and issubclass(part, errors.SaccadeError)]
    meanings = dict(line.strip("├└─ ").split(None, 1) for line in (errors.__doc__ or "").splitlines() if "──" in line)
    rows = [[f"`{error.code}`", f"`{error.__name__}`", meanings.get(error.__name__, _first(error))] for error in found]
    rows += [
        ["`io`", "`OSError`", "the disk or the operating system refused something"],
        ["`extra`", "`ModuleNotFoundError`", "an optional library is not installed"],
        ["`stopped`", "`KeyboardInterrupt`", "Ctrl-C; what was not finished is as it was before"],
    ]
    return page(
        "Errors",
        "The codes of `--json`, and the exceptions of Python. All but the last three are a `saccade.SaccadeError`. See "
        "[troubleshooting](../troubleshooting.md).",
        [table(("Code", "Exception", "When"), rows)],
    )


def python() -> str:
    """Every public name of the package."""
    parts = []
    for name in (name for name in saccade.__all__ if name != "__version__"):
        part = getattr(saccade, name)
        try:
            signature = str(inspect.signature(part)) if inspect.isfunction(part) else ""
        except ValueError:
            signature = ""
        shown = f"```python\n{name}{signature}\n```\n\n" if signature else ""
        methods = "" if inspect.isfunction(part) else _methods(part)
        parts.append(f"## {name}\n\nfrom `{part.__module__}`\n\n{shown}{inspect.getdoc(part) or ''}{methods}")
    parts += [_part_of_site(name, part) for name, part in PARTS_OF_SITE.items()]
    return page("Python", "What `import saccade` offers. See [the guide](../guide/python.md).", parts)


def _part_of_site(name: str, part: type) -> str:
    where = f"of a `Site`, `{part.__module__}.{part.__name__}`"
    return f"## site.{name}\n\n{where}\n\n{inspect.getdoc(part)}{_methods(part, True)}"


def _methods(part: type, signed: bool = False) -> str:
    rows = []
    for name, found in vars(part).items():
        if name.startswith("_") or name.startswith("model_"):
            continue
        function = found.__func__ if isinstance(found, classmethod | staticmethod) else found
        function = function.fget if isinstance(function, property) else function
        if inspect.isfunction(function) and function.__module__.startswith("saccade"):
            rows.append([f"`{name}{_arguments(function) if signed else ''}`", _first(function)])
    return "\n\n" + table(("Method", "What"), rows) if rows else ""


def _arguments(function: Any) -> str:
    """The arguments of a method by their names, as it is called."""
    given = list(inspect.signature(function).parameters.values())[1:]
    named = [
        f"{one.name}=…" if one.default is not one.empty or one.kind is one.KEYWORD_ONLY else one.name for one in given
    ]
    return f"({', '.join(named)})"


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
    """Names of pages that differ from what the program is."""
    return [
        name
        for name, make in PAGES.items()
        if not (folder / name).exists() or (folder / name).read_text("utf-8") != make()
    ]


def main() -> None:
    """Write the pages, or with --check only compare them."""
    if "--check" in sys.argv:
        if wrong := out_of_date():
            sys.exit(f"out of date: {', '.join(wrong)}; run `make docs`")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, make in PAGES.items():
        (FOLDER / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
