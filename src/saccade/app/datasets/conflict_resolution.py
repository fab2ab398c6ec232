"""Which side a merge takes in its conflicts, as users say it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from saccade.core.errors import InvalidValueError
from saccade.core.merge import Choose, Conflict, Side

_HINT = "Print the conflicts with --json, and give each a 'take' of 'ours' or 'theirs'."
_Place = tuple[str, str | None, str | None, str | None]


def chooser(take: str | None, resolutions: Path | None) -> Choose:
    """The choices of a file, and ``take`` for whatever it leaves open.

    Args:
        resolutions: JSON with ``conflicts``: a list of objects with key, column, object, class and take.
    """
    return _choose(take, {} if resolutions is None else _read(resolutions))


def choose_among(take: str | None, choices: Iterable[Mapping[str, Any]]) -> Choose:
    """The choices that are given, as in a file of them, and ``take`` for whatever they leave open."""
    return _choose(take, _chosen(choices))


def _choose(take: str | None, chosen: Mapping[_Place, Side]) -> Choose:
    rest = None if take is None else _side(take)
    return lambda conflict: chosen.get(conflict.place, rest)


def _side(text: object) -> Side:
    sides: dict[object, Side] = {"ours": "ours", "theirs": "theirs"}
    if isinstance(text, str) and text in sides:
        return sides[text]
    raise InvalidValueError(f"A conflict is settled with 'ours' or 'theirs', not {text!r}.")


def _read(path: Path) -> dict[_Place, Side]:
    try:
        return _chosen(json.loads(path.read_bytes())["conflicts"])
    except InvalidValueError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidValueError(f"'{path}' lists no conflicts: {error!r}.", hint=_HINT) from error


def _chosen(listed: Iterable[Mapping[str, Any]]) -> dict[_Place, Side]:
    """The sides by place; those without one are left out."""
    return {
        Conflict(one["key"], one["column"], one["object"], one["class"], "changed", "changed").place: _side(one["take"])
        for one in listed
        if one.get("take") is not None
    }
