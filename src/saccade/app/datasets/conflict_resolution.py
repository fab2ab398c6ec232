"""Merge conflict resolution from a file or from a list of choices."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from saccade.core.errors import InvalidValueError
from saccade.core.merge import Conflict, Resolver, Side

_HINT = "Print the conflicts with --json, and give each a 'resolution': 'ours' or 'theirs'."
_Location = tuple[str, str | None, str | None, str | None]


def resolver_from_file(default_side: str | None, path: Path | None) -> Resolver:
    """Create a resolver from a JSON file.

    Args:
        default_side: "ours" or "theirs" for conflicts without a choice; None leaves them unresolved.
        path: A JSON file with ``conflicts``: a list of objects with key, column, object, class and resolution.

    Raises:
        InvalidValueError: The file cannot be read, or a side is neither "ours" nor "theirs".
    """
    return _build_resolver(default_side, {} if path is None else _read_choices(path))


def resolver_from_choices(default_side: str | None, choices: Iterable[Mapping[str, Any]]) -> Resolver:
    """Create a resolver from choices in the format of :func:`resolver_from_file`.

    Raises:
        InvalidValueError: A side is neither "ours" nor "theirs".
    """
    return _build_resolver(default_side, _parse_choices(choices))


def _build_resolver(default_side: str | None, sides: Mapping[_Location, Side]) -> Resolver:
    default = None if default_side is None else _parse_side(default_side)
    return lambda conflict: sides.get(conflict.location, default)


def _parse_side(text: object) -> Side:
    sides: dict[object, Side] = {"ours": "ours", "theirs": "theirs"}
    if isinstance(text, str) and text in sides:
        return sides[text]
    raise InvalidValueError(f"The side of a conflict must be 'ours' or 'theirs', not {text!r}.")


def _read_choices(path: Path) -> dict[_Location, Side]:
    try:
        return _parse_choices(json.loads(path.read_bytes())["conflicts"])
    except InvalidValueError:
        raise
    except OSError as error:
        raise InvalidValueError(f"'{path}' cannot be read: {error.strerror or error}.", hint=_HINT) from error
    except ValueError as error:
        raise InvalidValueError(f"'{path}' is not valid JSON: {error}.", hint=_HINT) from error
    except KeyError as error:
        raise InvalidValueError(f"'{path}' is not a list of conflicts: {error} is missing.", hint=_HINT) from error
    except (TypeError, AttributeError) as error:
        raise InvalidValueError(f"'{path}' is not a list of conflicts.", hint=_HINT) from error


def _parse_choices(choices: Iterable[Mapping[str, Any]]) -> dict[_Location, Side]:
    return {
        Conflict(
            choice["key"], choice["column"], choice["object"], choice["class"], "changed", "changed"
        ).location: _parse_side(choice["resolution"])
        for choice in choices
        if choice.get("resolution") is not None
    }
