"""The reasons on the page on format compatibility are those in the source code of the formats."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.support.format_page import code_spans, sections, table

from saccade.core.report import FindingType
from saccade.formats.base import FORMATS

SOURCES = Path(__file__).parents[2] / "src"
NAMES = frozenset(FORMATS.names())


class Reason(NamedTuple):
    """A reason that a module adds to a report.

    Attributes:
        type: the type of the finding; "" if it is only known at run time.
        text: the reason, with … for inserted values.
    """

    type: str
    text: str
    is_export: bool


MODULES = {"csv": "csv_boxes", "yaml": "boxes_yaml"}
"""Names of modules that differ from those of their formats."""


def module_path(name: str) -> Path | None:
    path = SOURCES / name.replace(".", "/")
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def imports_of(path: Path) -> frozenset[Path]:
    """Return the modules of formats that a module imports."""
    names = {node.module or "" for node in ast.walk(parse(path)) if isinstance(node, ast.ImportFrom)}
    paths = (module_path(name) for name in names if name.startswith("saccade.formats."))
    return frozenset(imported for imported in paths if imported is not None)


def reachable_modules(paths: set[Path]) -> set[Path]:
    """Return modules with all modules of formats that they import, also indirectly."""
    reached = set(paths)
    pending = list(paths)
    while pending:
        further = imports_of(pending.pop()) - reached
        reached |= further
        pending += further
    return reached


def modules_of(name: str) -> list[Path]:
    """Return the modules of a format itself."""
    path = module_path(f"saccade.formats.{MODULES.get(name, name)}")
    assert path is not None
    return sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else [path]


def string_constants(tree: ast.Module) -> dict[str, str]:
    return {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def texts_of(node: ast.AST, constants: dict[str, str]) -> list[str]:
    """Return the texts that an expression may have, with … for what is inserted."""
    match node:
        case ast.Constant(value=str(text)):
            return [text] if text else []
        case ast.JoinedStr(values=parts):
            return ["".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)]
        case ast.IfExp(body=body, orelse=orelse):
            return texts_of(body, constants) + texts_of(orelse, constants)
        case ast.Name(id=name) if name in constants:
            return [constants[name]]
        case _:
            return []


def added_reason(call: ast.Call) -> tuple[str, ast.expr] | None:
    """Return the type and the reason that a call adds to a report, or None if it is another call."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    match name, call.args:
        case "add" | "_add", [ast.Attribute(value=ast.Name(id="FindingType"), attr=type_name), reason, *_]:
            return type_name.lower(), reason
        case "add" | "_add", [ast.Name(id="type" | "action"), reason, *_]:
            return "", reason
        case "_add" | "_drop" | "drop", [(ast.Constant() | ast.JoinedStr() | ast.Name()) as reason, *_]:
            return "dropped", reason
        case _:
            return None


def reasons_of_function(function: ast.FunctionDef, constants: dict[str, str], is_export: bool) -> Iterator[Reason]:
    types_of_variable = set()
    for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
        type_name, expression = added_reason(call) or ("", None)
        if isinstance(expression, ast.Name) and expression.id == "reason":
            types_of_variable.add(type_name)
        elif expression is not None:
            yield from (Reason(type_name, text, is_export) for text in texts_of(expression, constants))
    for node in ast.walk(function):
        match node:
            case ast.Assign(targets=[ast.Name(id="reason")], value=value) if types_of_variable:
                type_name = next(iter(types_of_variable)) if len(types_of_variable) == 1 else ""
                yield from (Reason(type_name, text, is_export) for text in texts_of(value, constants))
            case ast.Return(value=ast.expr() as value) if function.name == "_invalid_reason":
                yield from (Reason("dropped", text, is_export) for text in texts_of(value, constants))


@cache
def reasons_of(path: Path) -> frozenset[Reason]:
    """Return the reasons in a module; those in writers and in functions that write are of the export."""
    tree = parse(path)
    constants = string_constants(tree)
    reasons: set[Reason] = set()

    def visit(node: ast.AST, is_export: bool) -> None:
        for child in ast.iter_child_nodes(node):
            child_is_export = is_export
            if isinstance(child, ast.ClassDef):
                child_is_export = is_export or "Writer" in child.name
            elif isinstance(child, ast.FunctionDef):
                child_is_export = is_export or child.name.startswith("write")
                reasons.update(reasons_of_function(child, constants, child_is_export))
            visit(child, child_is_export)

    visit(tree, path.stem.startswith("write"))
    return frozenset(reasons)


def own_reasons(name: str, is_export: bool) -> set[Reason]:
    return {reason for path in modules_of(name) for reason in reasons_of(path) if reason.is_export is is_export}


@cache
def known_reasons(name: str) -> frozenset[str]:
    """Return the reasons in the modules of a format, in those that it imports, and in the reading of any source."""
    paths = reachable_modules({*modules_of(name), SOURCES / "saccade/formats/reading.py"})
    return frozenset(reason.text for path in paths for reason in reasons_of(path))


def matches(text: str, known: frozenset[str]) -> bool:
    """Whether a reason is known, literally or with inserted values."""
    return text in known or any(
        "…" in pattern and re.fullmatch(re.escape(pattern).replace("…", ".+"), text) for pattern in known
    )


def formats_in(cell: str) -> set[str]:
    """Return the formats that a cell lists: names, "all", or "all but" names."""
    names = set(code_spans(cell))
    assert names <= NAMES, cell
    return set(NAMES) - names if cell.startswith("all") else names


@cache
def shared_reasons(direction: str) -> tuple[tuple[str, str, set[str]], ...]:
    """Return the reasons of several formats: reason, type and formats."""
    rows = table(f"Reasons of several formats: {direction}")
    return tuple((text, row["Type"], formats_in(row["Formats"])) for row in rows for text in code_spans(row["Reason"]))


def listed_reasons(name: str, direction: str) -> Iterator[tuple[str, str]]:
    """Iterate over the reasons below the heading of a format, with their types."""
    for line in sections().get(name, []):
        heading, _, reasons = line.partition(": ")
        if heading.startswith(f"- {direction.title()}, "):
            yield from ((text, heading.partition(", ")[2]) for text in code_spans(reasons))


@pytest.mark.parametrize("direction", ["import", "export"])
def test_reasons_of_several_formats_exist(direction: str) -> None:
    for text, type_name, names in shared_reasons(direction):
        assert type_name in set(FindingType)
        for name in names:
            assert matches(text, known_reasons(name)), f"{name} never reports {text!r}"


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("direction", ["import", "export"])
def test_every_reason_of_a_format_is_listed_and_exists(name: str, direction: str) -> None:
    listed = dict(listed_reasons(name, direction))
    for text in listed:
        assert matches(text, known_reasons(name)), f"{name} never reports {text!r}"
    shared = {text: type_name for text, type_name, names in shared_reasons(direction) if name in names}
    assert not listed.keys() & shared.keys()
    for reason in own_reasons(name, direction == "export"):
        types = {**shared, **listed}.get(reason.text)
        assert types is not None, f"{reason.text!r} of {name} is not listed"
        assert reason.type in types, f"{reason.text!r} of {name} is {reason.type}, not {types}"


def test_reasons_are_found_in_sources() -> None:
    """The look-up finds what is written in each of the usual ways."""
    assert own_reasons("kitti", True) == {
        Reason("dropped", "attribute", True),
        Reason("dropped", "split that is not train or test", True),
        Reason("repaired", "class changed to have no spaces", True),
    }
    assert "box outside the image" in known_reasons("yaml")
    assert "box outside the image" not in {reason.text for reason in own_reasons("yaml", False)}
    assert matches("shape of a mask, written as polygon", known_reasons("via"))
    assert not matches("shape of a mask", known_reasons("via"))
