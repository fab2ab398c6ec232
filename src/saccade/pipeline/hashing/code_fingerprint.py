"""Fingerprints of an operation's code: its function and everything of its own program that the function reaches.

The code is parsed, not run. From a definition the walk follows the names that it uses to their definitions, in the same
module or in imported ones. Comments, docstrings, argument annotations and formatting do not count. Modules of other
packages count by their version, if the operation declares them.

Names that exist only at run time, such as those accessed through ``getattr`` or a registry, are not seen.
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

_OWN_PACKAGE = "saccade"
_IGNORED_MODULES = frozenset(
    {f"{_OWN_PACKAGE}.{name}" for name in ("operations.base", "core.errors", "core.progress", "core.registry")}
)
"""Modules for declaring operations and reporting errors; they do not affect results."""


@dataclass(frozen=True)
class CodeFingerprint:
    """The fingerprint of an operation's code.

    Attributes:
        digest: the digest of all definitions together.
        definitions: the digest of each definition, by ``module:name``.
        files: the digest of each module file that was parsed, by module name.
    """

    digest: str
    definitions: Mapping[str, str]
    files: Mapping[str, str]


@dataclass
class _Module:
    """The top-level definitions and imports of a module.

    Attributes:
        imports: for each imported name, its module and its name there (None: the module itself).
        star_imports: the modules of ``from MODULE import *``.
    """

    name: str
    is_package: bool
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    star_imports: list[str] = field(default_factory=list)


class _ModuleIndex:
    """Parsed modules of one program: those of a package, of Saccade, and of a file's folder."""

    def __init__(self, root: str, folder: Path | None) -> None:
        self._packages = {root.partition(".")[0], _OWN_PACKAGE}
        self._folder = folder
        self._modules: dict[str, _Module | None] = {}
        self.files: dict[str, str] = {}

    def path_of(self, name: str) -> Path | None:
        """Return the source file of a module, or None if it does not belong to the program."""
        if self._folder is not None:
            base = self._folder.joinpath(*name.split("."))
            for path in (base.with_suffix(".py"), base / "__init__.py"):
                if path.is_file():
                    return path
        if name.partition(".")[0] not in self._packages:
            return None
        loaded = sys.modules.get(name)
        origin = getattr(loaded, "__file__", None) if loaded is not None else _find_origin(name)
        return Path(origin) if origin and str(origin).endswith(".py") else None

    def module(self, name: str) -> _Module | None:
        """Return a parsed module, or None if it does not belong to the program or is ignored."""
        if name in _IGNORED_MODULES:
            return None
        if name not in self._modules:
            path = self.path_of(name)
            self._modules[name] = None if path is None else self._parse(name, path)
        return self._modules[name]

    def _parse(self, name: str, path: Path) -> _Module:
        source = path.read_bytes()
        self.files[name] = digest_bytes(source)
        try:
            tree = ast.parse(source)
        except SyntaxError as error:
            raise SaccadeError(f"{path} is not valid Python: {error}.") from None
        module = _Module(name, path.name == "__init__.py")
        for statement in _module_statements(tree.body):
            _index_statement(module, statement)
        return module


@lru_cache(maxsize=4096)
def _find_origin(name: str) -> str | None:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    return None if spec is None else spec.origin


def _module_statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements that run on import, including those in conditions, loops and ``try`` blocks."""
    for statement in body:
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            for name in ("body", "orelse", "finalbody"):
                yield from _module_statements(getattr(statement, name, []))
            for handler in getattr(statement, "handlers", []):
                yield from _module_statements(handler.body)
            if isinstance(statement, ast.For | ast.While | ast.With):
                yield statement
        else:
            yield statement


def _index_statement(module: _Module, statement: ast.stmt) -> None:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        names, star_imports = _resolve_import(statement, module)
        module.imports.update(names)
        module.star_imports += star_imports
        return
    for name in _assigned_names(statement):
        module.definitions.setdefault(name, []).append(statement)


def _resolve_import(
    statement: ast.Import | ast.ImportFrom, module: _Module
) -> tuple[dict[str, tuple[str, str | None]], list[str]]:
    """Return the names that an import binds, and the modules of its star imports."""
    names: dict[str, tuple[str, str | None]] = {}
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            package = alias.name.partition(".")[0]
            names[alias.asname or package] = (alias.name if alias.asname else package, None)
        return names, []
    base = _absolute_module(statement, module)
    star_imports = [base for alias in statement.names if alias.name == "*"]
    for alias in statement.names:
        if alias.name != "*":
            names[alias.asname or alias.name] = (base, alias.name)
    return names, star_imports


def _absolute_module(statement: ast.ImportFrom, module: _Module) -> str:
    if not statement.level:
        return statement.module or ""
    parts = module.name.split(".")
    base = parts[: len(parts) - statement.level + module.is_package]
    return ".".join([*base, *([statement.module] if statement.module else [])])


def _assigned_names(statement: ast.stmt) -> set[str]:
    """Return the module-level names that a statement defines or modifies."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    if isinstance(statement, ast.Expr):  # a method call, such as TABLE.update(...)
        call = statement.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            return {_root_name(call.func)} - {""}
        return set()
    stored = {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del)
    }
    modified = {
        _root_name(node)
        for node in ast.walk(statement)
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store)
    }
    return (stored | modified) - {""}


def _root_name(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


class _AstNormalizer(ast.NodeTransformer):
    """Removes docstrings, argument annotations and return annotations from a definition."""

    def _strip_docstring(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        first = node.body[0]
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            node.body = node.body[1:] or [ast.Pass()]

    def _normalize_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        self._strip_docstring(node)
        node.returns = None
        arguments = node.args
        for argument in (
            *arguments.posonlyargs,
            *arguments.args,
            *arguments.kwonlyargs,
            arguments.vararg,
            arguments.kwarg,
        ):
            if argument is not None:
                argument.annotation = None
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        return self._normalize_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._normalize_function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self._strip_docstring(node)
        return self.generic_visit(node)


class _DependencyWalker:
    """Walks from a definition to all definitions that it depends on, and hashes each of them."""

    def __init__(self, modules: _ModuleIndex) -> None:
        self._modules = modules
        self._visited: set[tuple[str, str]] = set()
        self.definitions: dict[str, str] = {}

    def visit(self, module_name: str, name: str) -> None:
        pending = [(module_name, name)]
        while pending:
            target = pending.pop()
            if target not in self._visited:
                self._visited.add(target)
                pending += self._visit_definition(*target)

    def _visit_definition(self, module_name: str, name: str) -> Iterator[tuple[str, str]]:
        module = self._modules.module(module_name)
        if module is None:
            return
        if name in module.imports and name not in module.definitions:
            yield from self._follow_import(module.imports[name], ())
        elif name in module.definitions:
            sources = []
            for statement in module.definitions[name]:
                yield from self._dependencies(module, statement)
                sources.append(ast.unparse(_AstNormalizer().visit(_copy_statement(statement))))
            self.definitions[f"{module_name}:{name}"] = hashlib.sha256("\n".join(sources).encode()).hexdigest()
        else:
            for star_import in module.star_imports:
                yield star_import, name
            if self._modules.path_of(f"{module_name}.{name}") is not None:
                yield from self._all_definitions(f"{module_name}.{name}")

    def _all_definitions(self, module_name: str) -> Iterator[tuple[str, str]]:
        module = self._modules.module(module_name)
        yield from ((module_name, name) for name in (module.definitions if module is not None else ()))

    def _follow_import(self, target: tuple[str, str | None], attributes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """Resolve an imported name, with the attributes that are accessed on it, to definitions.

        If a module itself is passed around, all of its definitions count, since any of them may be used.
        """
        base, name = target
        if name is not None:
            module = self._modules.module(base)
            if module is not None and (name in module.definitions or name in module.imports or module.star_imports):
                yield base, name
                return
            base = f"{base}.{name}"
        for position, attribute in enumerate(attributes):
            module = self._modules.module(base)
            if module is not None and (attribute in module.definitions or attribute in module.imports):
                yield base, attribute
                return
            if self._modules.path_of(f"{base}.{attribute}") is None:
                if module is not None and position == 0:
                    yield from self._all_definitions(base)
                return
            base = f"{base}.{attribute}"
        if not attributes and self._modules.path_of(base) is not None:
            yield from self._all_definitions(base)

    def _dependencies(self, module: _Module, statement: ast.stmt) -> Iterator[tuple[str, str]]:
        imports = dict(module.imports)
        for node in ast.walk(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):  # an import within a function
                names, _ = _resolve_import(node, module)
                imports.update(names)
        for root, attributes in _referenced_names(statement):
            if root in imports:
                yield from self._follow_import(imports[root], attributes)
            elif root in module.definitions:
                yield module.name, root
            else:
                yield from ((star_import, root) for star_import in module.star_imports)


def _referenced_names(statement: ast.stmt) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the names that a statement uses, each with the attributes that are accessed on it."""
    visited: set[int] = set()
    for node in ast.walk(statement):
        if id(node) in visited:
            continue
        if isinstance(node, ast.Attribute):
            attributes: list[str] = []
            root: ast.expr = node
            while isinstance(root, ast.Attribute):
                visited.add(id(root))
                attributes.insert(0, root.attr)
                root = root.value
            if isinstance(root, ast.Name):
                visited.add(id(root))
                yield root.id, tuple(attributes)
        elif isinstance(node, ast.Name):
            yield node.id, ()
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            yield node.value, ()  # an annotation in quotes, or a name in a table


def _copy_statement(statement: ast.stmt) -> ast.stmt:
    # The normalizer modifies the tree, while the parsed module is shared by all definitions.
    copied = ast.parse(ast.unparse(statement)).body[0]
    assert isinstance(copied, ast.stmt)
    return copied


def fingerprint_code(module_name: str, name: str, folder: Path | None = None) -> CodeFingerprint:
    """Compute the fingerprint of a definition.

    Args:
        module_name: the module of the definition.
        name: its name in that module.
        folder: the folder of the module and its siblings, if it is a pipeline's own Python file.

    Raises:
        SaccadeError: a module of the program is not valid Python.
    """
    modules = _ModuleIndex(module_name, folder)
    walker = _DependencyWalker(modules)
    walker.visit(module_name, name)
    return CodeFingerprint(
        digest_json(walker.definitions), dict(sorted(walker.definitions.items())), dict(sorted(modules.files.items()))
    )


def is_up_to_date(fingerprint: CodeFingerprint, module_name: str, folder: Path | None = None) -> bool:
    """Whether every file that contributed to a fingerprint still has the same content.

    Args:
        fingerprint: the fingerprint to check.
        module_name: the module that it was computed for.
        folder: the folder of a pipeline's own Python file.
    """
    modules = _ModuleIndex(module_name, folder)
    for name, digest in fingerprint.files.items():
        path = modules.path_of(name)
        if path is None or _file_digest(path) != digest:
            return False
    return True


def _file_digest(path: Path) -> str:
    try:
        stat = path.stat()
        return _cached_file_digest(str(path), stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)
    except OSError:
        return ""


@lru_cache(maxsize=4096)
def _cached_file_digest(path: str, *_stat: int) -> str:
    return digest_bytes(Path(path).read_bytes())
