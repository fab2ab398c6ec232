"""The code that an operation consists of: the function and everything of its own program that it reaches.

Found without running it: from a definition to the names it uses, to their definitions in the same module or in one
that is imported, and on. What counts is the program, so comments, docstrings, annotations of arguments and formatting
do not. Modules of other packages count by their version, where an operation declares them.

Names that are only made while a program runs, as by ``getattr`` or from a registry, are not seen.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from saccade.core.digest import digest_bytes, digest_json
from saccade.core.errors import SaccadeError

_OWN = "saccade"
_DECLARING = frozenset(
    {f"{_OWN}.{name}" for name in ("operations.base", "core.errors", "core.progress", "core.registry")}
)
"""Modules with whose words operations are declared and complain, and which make no result."""


@dataclass(frozen=True)
class Code:
    """What an operation's code is.

    Attributes:
        digest: of all parts.
        parts: the digest of each definition, by ``module:name``.
        files: the digest of each module that was looked into.
    """

    digest: str
    parts: Mapping[str, str]
    files: Mapping[str, str]


@dataclass
class _Module:
    """A module's definitions at its top, and what its imports stand for."""

    name: str
    is_package: bool
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    """For a name the module, and the name in it (None for the module itself)."""
    stars: list[str] = field(default_factory=list)


class _Sources:
    """The modules of one program: those of a package, of Saccade, and of a file's folder."""

    def __init__(self, root: str, folder: Path | None) -> None:
        self._packages = {root.partition(".")[0], _OWN}
        self._folder = folder
        self._modules: dict[str, _Module | None] = {}
        self.files: dict[str, str] = {}

    def path_of(self, name: str) -> Path | None:
        """The file of a module that belongs to the program; None for any other."""
        if self._folder is not None:
            base = self._folder.joinpath(*name.split("."))
            for path in (base.with_suffix(".py"), base / "__init__.py"):
                if path.is_file():
                    return path
        if name.partition(".")[0] not in self._packages:
            return None
        loaded = sys.modules.get(name)
        found = getattr(loaded, "__file__", None) if loaded is not None else _find(name)
        return Path(found) if found and str(found).endswith(".py") else None

    def module(self, name: str) -> _Module | None:
        if name in _DECLARING:
            return None
        if name not in self._modules:
            path = self.path_of(name)
            self._modules[name] = None if path is None else self._parsed(name, path)
        return self._modules[name]

    def _parsed(self, name: str, path: Path) -> _Module:
        source = path.read_bytes()
        self.files[name] = digest_bytes(source)
        try:
            tree = ast.parse(source)
        except SyntaxError as error:
            raise SaccadeError(f"{path} is not Python: {error}.") from None
        module = _Module(name, path.name == "__init__.py")
        for statement in _top(tree.body):
            _enter(module, statement)
        return module


@lru_cache(maxsize=4096)
def _find(name: str) -> str | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return None if spec is None else spec.origin


def _top(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported, those within a condition too."""
    for statement in body:
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            for name in ("body", "orelse", "finalbody"):
                yield from _top(getattr(statement, name, []))
            for handler in getattr(statement, "handlers", []):
                yield from _top(handler.body)
            if isinstance(statement, ast.For | ast.While | ast.With):
                yield statement
        else:
            yield statement


def _enter(module: _Module, statement: ast.stmt) -> None:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        names, stars = _imported(statement, module)
        module.imports.update(names)
        module.stars += stars
        return
    for name in _names_defined(statement):
        module.definitions.setdefault(name, []).append(statement)


def _imported(
    statement: ast.Import | ast.ImportFrom, module: _Module
) -> tuple[dict[str, tuple[str, str | None]], list[str]]:
    """What an import binds, and the modules whose every name it takes."""
    found: dict[str, tuple[str, str | None]] = {}
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            found[alias.asname or alias.name.partition(".")[0]] = (
                alias.name if alias.asname else alias.name.partition(".")[0],
                None,
            )
        return found, []
    base = _absolute(statement, module)
    stars = [base for alias in statement.names if alias.name == "*"]
    for alias in statement.names:
        if alias.name != "*":
            found[alias.asname or alias.name] = (base, alias.name)
    return found, stars


def _absolute(statement: ast.ImportFrom, module: _Module) -> str:
    if not statement.level:
        return statement.module or ""
    parts = module.name.split(".")
    base = parts[: len(parts) - statement.level + module.is_package]
    return ".".join([*base, *([statement.module] if statement.module else [])])


def _names_defined(statement: ast.stmt) -> set[str]:
    """The names at the top of a module that a statement makes or changes."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Expr):  # as TABLE.update(...)
        call = statement.value
        return (
            {_root(call.func)} - {""} if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) else set()
        )
    stored = {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del)
    }
    changed = {
        _root(node)
        for node in ast.walk(statement)
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store)
    }
    return (stored | changed) - {""}


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


class _Plain(ast.NodeTransformer):
    """The program of a definition without docstrings and annotations of arguments."""

    def _body(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:] or [ast.Pass()]

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        self._body(node)
        node.returns = None
        every = node.args
        for argument in (*every.posonlyargs, *every.args, *every.kwonlyargs, every.vararg, every.kwarg):
            if argument is not None:
                argument.annotation = None
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self._body(node)
        return self.generic_visit(node)


class _Walk:
    """Goes from definition to definition."""

    def __init__(self, sources: _Sources) -> None:
        self._sources = sources
        self._seen: set[tuple[str, str]] = set()
        self.parts: dict[str, str] = {}

    def reach(self, module_name: str, name: str) -> None:
        waiting = [(module_name, name)]
        while waiting:
            place = waiting.pop()
            if place not in self._seen:
                self._seen.add(place)
                waiting += self._one(*place)

    def _one(self, module_name: str, name: str) -> Iterator[tuple[str, str]]:
        module = self._sources.module(module_name)
        if module is None:
            return
        if name in module.imports and name not in module.definitions:
            yield from self._through(module.imports[name], ())
        elif name in module.definitions:
            texts = []
            for statement in module.definitions[name]:
                yield from self._used(module, statement)
                texts.append(ast.unparse(_Plain().visit(_copied(statement))))
            self.parts[f"{module_name}:{name}"] = hashlib.sha256("\n".join(texts).encode()).hexdigest()
        else:
            for star in module.stars:
                yield star, name
            if self._sources.path_of(f"{module_name}.{name}") is not None:
                yield from self._everything(f"{module_name}.{name}")

    def _everything(self, module_name: str) -> Iterator[tuple[str, str]]:
        module = self._sources.module(module_name)
        yield from ((module_name, name) for name in (module.definitions if module is not None else ()))

    def _through(self, target: tuple[str, str | None], chain: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """What an imported name stands for: a definition elsewhere, or for a module the one that is asked of it."""
        base, name = target
        if name is not None:
            module = self._sources.module(base)
            if module is not None and (name in module.definitions or name in module.imports or module.stars):
                yield base, name
                return
            base = f"{base}.{name}"
        for at, attribute in enumerate(chain):
            module = self._sources.module(base)
            if module is not None and (attribute in module.definitions or attribute in module.imports):
                yield base, attribute
                return
            if self._sources.path_of(f"{base}.{attribute}") is None:
                if module is not None and at == 0:
                    yield from self._everything(base)
                return
            base = f"{base}.{attribute}"
        if not chain and self._sources.path_of(base) is not None:
            yield from self._everything(base)

    def _used(self, module: _Module, statement: ast.stmt) -> Iterator[tuple[str, str]]:
        imports = dict(module.imports)
        for node in ast.walk(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names, _ = _imported(node, module)
                imports.update(names)
        for root, chain in _mentioned(statement):
            if root in imports:
                yield from self._through(imports[root], chain)
            elif root in module.definitions:
                yield module.name, root
            else:
                yield from ((star, root) for star in module.stars)


def _mentioned(statement: ast.stmt) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The names that are used, each with the attributes that are asked of it."""
    inner: set[int] = set()
    for node in ast.walk(statement):
        if id(node) in inner:
            continue
        if isinstance(node, ast.Attribute):
            chain: list[str] = []
            at: ast.expr = node
            while isinstance(at, ast.Attribute):
                inner.add(id(at))
                chain.insert(0, at.attr)
                at = at.value
            if isinstance(at, ast.Name):
                inner.add(id(at))
                yield at.id, tuple(chain)
        elif isinstance(node, ast.Name):
            yield node.id, ()
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value, ()  # an annotation in quotes, or a name in a table


def _copied(statement: ast.stmt) -> ast.stmt:
    copied = ast.parse(ast.unparse(statement)).body[0]
    assert isinstance(copied, ast.stmt)
    return copied


def code_of(module_name: str, name: str, folder: Path | None = None) -> Code:
    """The code of the definition ``name`` in a module of the running program, or of a file in ``folder``."""
    sources = _Sources(module_name, folder)
    walk = _Walk(sources)
    walk.reach(module_name, name)
    return Code(digest_json(walk.parts), dict(sorted(walk.parts.items())), dict(sorted(sources.files.items())))


def is_current(code: Code, module_name: str, folder: Path | None = None) -> bool:
    """Whether every file that was looked into still has the same content."""
    sources = _Sources(module_name, folder)
    for name, digest in code.files.items():
        path = sources.path_of(name)
        if path is None or _digest_of(path) != digest:
            return False
    return True


def _digest_of(path: Path) -> str:
    try:
        facts = path.stat()
        return _digest_at(str(path), facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino)
    except OSError:
        return ""


@lru_cache(maxsize=4096)
def _digest_at(path: str, *_facts: int) -> str:
    return digest_bytes(Path(path).read_bytes())
