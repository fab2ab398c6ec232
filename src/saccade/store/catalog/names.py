"""Names and references: ``cells``, ``cells@7``, ``cells@latest``, ``cells@production``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from saccade.core.errors import InvalidValueError, NotFoundError, nearest

MAIN = "main"
LATEST = "latest"
MODEL_PREFIX = "model:"
DATASET_PREFIX = "dataset:"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}")


def check_name(what: str, name: str) -> str:
    """The name of a dataset, model, branch or alias, or InvalidValueError."""
    if not _NAME.fullmatch(name):
        raise InvalidValueError(
            f"A {what} may not be called {name!r}.",
            hint="Use letters, digits, '_', '-' and '.', at most 200, beginning with a letter, digit or '_'.",
        )
    return name


def check_selector(what: str, name: str) -> str:
    """The name of a branch or alias: as any other, but neither a number nor 'latest'."""
    if check_name(what, name).isdigit() or name == LATEST:
        raise InvalidValueError(f"A {what} may not be called '{name}': that names a version already.")
    return name


def split_ref(ref: str) -> tuple[str, str]:
    """Name and selector of a reference; no selector is 'latest'."""
    name, at, selector = ref.partition("@")
    if not name or (at and not selector):
        raise InvalidValueError(f"{ref!r} is not a reference.", hint="Write name, name@7, name@latest or name@alias.")
    return name, selector or LATEST


def numbered(selector: str) -> int | None:
    """The number that a selector is, as version numbers are written; None for any other."""
    return int(selector) if selector.isascii() and selector.isdigit() and len(selector) < 10 else None


def exact(name: str, number: int) -> str:
    return f"{name}@{number}"


def missing_version(what: str, name: str, selector: str, known: Iterable[str], hint: str = "") -> NotFoundError:
    """The error for a selector that names nothing; lists the nearest that there are."""
    return NotFoundError(
        f"The {what} '{name}' has no version '{selector}'.", hint=f"{nearest(selector, known)} {hint}".strip()
    )
