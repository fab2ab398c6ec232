"""Names and references: ``cells``, ``cells@7``, ``cells@latest``, ``cells@production``.

A reference is a name, optionally with a selector: a version number, ``latest``, an alias or a branch. An exact
reference has a version number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from saccade.core.errors import InvalidValueError, NotFoundError, suggest

MAIN = "main"
LATEST = "latest"
MODEL_PREFIX = "model:"
DATASET_PREFIX = "dataset:"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,199}")


def check_name(what: str, name: str) -> str:
    """Check the name of a dataset, model, project, branch or alias, and return it.

    Args:
        what: what is named, for the error message.
        name: the name.

    Raises:
        InvalidValueError: the name is empty, too long, or contains other characters.
    """
    if not _NAME.fullmatch(name):
        raise InvalidValueError(
            f"The {what} may not be called {name!r}.",
            hint="Use at most 200 ASCII letters, digits, '_', '-' and '.'; begin with a letter, a digit or '_'.",
        )
    return name


def check_selector(what: str, name: str) -> str:
    """Check the name of a branch or alias, and return it.

    Args:
        what: "branch" or "alias", for the error message.
        name: the name.

    Raises:
        InvalidValueError: the name is not valid, is a number or is 'latest'.
    """
    if check_name(what, name).isdigit() or name == LATEST:
        raise InvalidValueError(f"The {what} may not be called '{name}': that already selects a version.")
    return name


def split_ref(ref: str) -> tuple[str, str]:
    """Split a reference into name and selector; the selector is 'latest' if there is none.

    Raises:
        InvalidValueError: the name or the selector is empty.
    """
    name, at, selector = ref.partition("@")
    if not name or (at and not selector):
        raise InvalidValueError(f"{ref!r} is not a reference.", hint="Write name, name@7, name@latest or name@alias.")
    return name, selector or LATEST


def split_branch_ref(ref: str, branch: str | None = None) -> tuple[str, str]:
    """Split the target of a write into the name of the dataset and the branch.

    Args:
        ref: ``cells`` or ``cells@latest`` (the main branch), or ``cells@review``.
        branch: the branch, if ``ref`` is only the name of the dataset.

    Returns:
        The name and the branch; whether the branch exists is not checked.

    Raises:
        InvalidValueError: the reference is malformed, or names another branch than ``branch``.
    """
    name, selector = split_ref(ref)
    if "@" not in ref:
        return name, branch or MAIN
    ref_branch = MAIN if selector == LATEST else selector
    if branch not in (None, ref_branch):
        raise InvalidValueError(
            f"'{ref}' and the branch '{branch}' contradict each other.", hint="Name the branch only once."
        )
    return name, ref_branch


def parse_version_number(selector: str) -> int | None:
    """Return the version number that a selector is, or None if it is not a number."""
    # isdigit alone accepts digits of other scripts; the length keeps the number within the column's 32 bits.
    return int(selector) if selector.isascii() and selector.isdigit() and len(selector) < 10 else None


def format_ref(name: str, number: int) -> str:
    """Format an exact reference, as ``cells@7``."""
    return f"{name}@{number}"


def version_not_found(what: str, name: str, selector: str, known: Iterable[str], hint: str = "") -> NotFoundError:
    """Build the error for a selector that names no version.

    Args:
        what: "dataset" or "model".
        name: its name.
        selector: the selector.
        known: the selectors that exist; the closest ones are suggested.
        hint: further advice.
    """
    kinds = "branch or version" if what == "dataset" and parse_version_number(selector) is None else "version"
    return NotFoundError(
        f"The {what} '{name}' has no {kinds} '{selector}'.", hint=f"{suggest(selector, known)} {hint}".strip()
    )
