"""Which side a merge takes in its conflicts, as users say it."""

from __future__ import annotations

import json
from pathlib import Path

from saccade.core.errors import InvalidValueError
from saccade.core.merge import Conflict, Side
from saccade.store.merging import Choose

_HINT = "Print the conflicts with --json, and give each a 'take' of 'ours' or 'theirs'."


def chooser(take: str | None, resolutions: Path | None) -> Choose:
    """The choices of a file, and ``take`` for whatever it leaves open.

    Args:
        resolutions: JSON with ``conflicts``: a list of objects with key, column, object, class and take.
    """
    rest = None if take is None else _side(take)
    chosen = {} if resolutions is None else _read(resolutions)
    return lambda conflict: chosen.get(conflict.place, rest)


def _side(text: object) -> Side:
    sides: dict[object, Side] = {"ours": "ours", "theirs": "theirs"}
    if isinstance(text, str) and text in sides:
        return sides[text]
    raise InvalidValueError(f"A conflict is settled with 'ours' or 'theirs', not {text!r}.")


def _read(path: Path) -> dict[tuple[str, str | None, str | None, str | None], Side]:
    try:
        listed = json.loads(path.read_bytes())["conflicts"]
        places = [Conflict(one["key"], one["column"], one["object"], one["class"], "changed", "changed").place
                  for one in listed]  # fmt: skip
        sides = [one.get("take") for one in listed]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidValueError(f"'{path}' lists no conflicts: {error!r}.", hint=_HINT) from error
    return {place: _side(side) for place, side in zip(places, sides, strict=True) if side is not None}
