"""The server and the command line write to a workspace through ``saccade.app`` only; they read through the store.

Import contracts cannot see method calls, so the source is analyzed: the methods that write are those of the store's
classes that open a write transaction, directly or through another method or function of the store.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

import saccade

SOURCE = Path(saccade.__file__).parent
WRITE_TRANSACTIONS = ("write_tx", "essential_tx")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Store:
    """What the source of the store defines: its classes, the functions of its modules, and the facade's attributes."""

    bases: dict[str, list[str]] = field(default_factory=dict)
    methods: dict[str, dict[str, _Function]] = field(default_factory=dict)
    functions: dict[str, _Function] = field(default_factory=dict)
    facade: dict[str, str] = field(default_factory=dict)
    writers: set[tuple[str, str]] = field(default_factory=set)
    """Pairs of a class and a method, and of "" and a function."""

    def resolve(self, class_name: str, method: str) -> tuple[str, str] | None:
        """Find the class that defines a method: the class itself or one of its bases."""
        if method in self.methods.get(class_name, {}):
            return class_name, method
        found = (self.resolve(base, method) for base in self.bases.get(class_name, []))
        return next((definition for definition in found if definition is not None), None)

    def is_writer(self, class_name: str, method: str) -> bool:
        return self.resolve(class_name, method) in self.writers


@cache
def load_store() -> Store:
    """Analyze the source of the store."""
    store = Store()
    for path in sorted((SOURCE / "store").rglob("*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef):
                store.bases[node.name] = [base.id for base in node.bases if isinstance(base, ast.Name)]
                store.methods[node.name] = {child.name: child for child in node.body if isinstance(child, _Function)}
            elif isinstance(node, _Function):
                store.functions[node.name] = node
    for statement in ast.walk(store.methods["Workspace"]["_bind"]):
        match statement:
            case ast.Assign(targets=[ast.Attribute(attr=name)], value=ast.Call(func=ast.Name(id=class_name))):
                store.facade[name] = class_name
    definitions = [("", name, function) for name, function in store.functions.items()]
    for class_name, methods in store.methods.items():
        definitions += [(class_name, name, function) for name, function in methods.items()]
    while True:  # until no further definition is found to write
        count = len(store.writers)
        for class_name, name, function in definitions:
            if any(_writes(store, class_name, node) for node in ast.walk(function)):
                store.writers.add((class_name, name))
        if len(store.writers) == count:
            return store


def _writes(store: Store, class_name: str, node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=method):
            return store.is_writer(class_name, method)
        case ast.Attribute(attr=attribute):
            return attribute in WRITE_TRANSACTIONS
        case ast.Name(id=name):
            return ("", name) in store.writers
    return False


def find_writes(source: str, store: Store) -> Iterator[str]:
    """Find the uses of the store's writing methods in the source of a module."""
    tree = ast.parse(source)
    types = dict(_declared_types(tree, store))

    def type_of(node: ast.expr) -> str:
        match node:
            case ast.Name(id=name):
                return types.get(name, "")
            case ast.Attribute(attr=name):
                return store.facade.get(name) or types.get(name, "")
        return ""

    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) if name in WRITE_TRANSACTIONS:
                yield f"line {node.lineno}: {name}"
            case ast.Attribute(value=receiver, attr=method) if store.is_writer(type_of(receiver), method):
                yield f"line {node.lineno}: {type_of(receiver)}.{method}"


def _declared_types(tree: ast.Module, store: Store) -> Iterator[tuple[str, str]]:
    """Find the names that are declared as an object of the store, or assigned from an attribute of the workspace."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.arg(arg=name, annotation=ast.expr() as annotation)
                | ast.AnnAssign(target=ast.Name(id=name), annotation=annotation)
            ):
                classes = (part.id for part in ast.walk(annotation) if isinstance(part, ast.Name))
                yield from ((name, part) for part in classes if part in store.methods)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Attribute(attr=attribute)):
                if attribute in store.facade:
                    yield name, store.facade[attribute]


def modules(*packages: str) -> list[Path]:
    return [path for package in packages for path in sorted((SOURCE / package).rglob("*.py"))]


@pytest.mark.parametrize("path", modules("server", "cli"), ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_server_and_the_command_line_write_through_app_only(path: Path) -> None:
    writes = list(find_writes(path.read_text("utf-8"), load_store()))
    assert not writes, "Move these writes to a function of saccade.app, and call that."


def test_the_writing_methods_are_derived_from_the_transactions_of_the_store() -> None:
    store = load_store()
    writing = {
        ("Datasets", "write"),
        ("Datasets", "merge"),
        ("Datasets", "delete_view"),
        ("UserStore", "sign_in"),
        ("UserStore", "accept_invitation"),
        ("Jobs", "cancel"),
        ("SsoStore", "pop_pending"),
    }
    reading = {
        ("Datasets", "open"),
        ("Datasets", "diff"),
        ("Datasets", "branches"),
        ("UserStore", "list"),
        ("UserStore", "authenticate_session"),
        ("Jobs", "get"),
        ("SsoStore", "pending_link"),
    }
    assert {pair for pair in writing | reading if store.is_writer(*pair)} == writing
    assert all(store.resolve(*pair) for pair in reading), "a reading method was renamed"
    assert store.facade["users"] == "UserStore"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("workspace.datasets.delete_view(ref, name)", ["line 1: Datasets.delete_view"]),
        ("run_in_threadpool(workspace.sso.start_login, project, path)", ["line 1: SsoStore.start_login"]),
        ("users = current_workspace(request).users\nusers.sign_out(secret)", ["line 2: UserStore.sign_out"]),
        ("def begin(store: IdempotencyStore | None): store.begin(key)", ["line 1: IdempotencyStore.begin"]),
        (
            "class A:\n  store: IdempotencyStore\n  def a(self): self.store.release(1)",
            ["line 3: IdempotencyStore.release"],
        ),
        ("workspace.catalog.write_tx()", ["line 1: write_tx"]),
        ("workspace.datasets.open(ref)", []),
        ("buffer.write(chunk)\nnames.add(name)\npending.pop()", []),
        ("from saccade.app.datasets.refs import delete_view\ndelete_view(workspace, ref, name)", []),
    ],
)
def test_writes_are_found_in_any_form(source: str, expected: list[str]) -> None:
    assert list(find_writes(source, load_store())) == expected
