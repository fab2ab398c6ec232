"""The report of a conversion: everything that was dropped, repaired, clipped, guessed, noticed or set aside."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

_TOGETHER = 4096


class Action(StrEnum):
    """What a conversion did. ``noticed`` changed nothing; ``set_aside`` left a whole item out, retryable."""

    DROPPED = "dropped"
    REPAIRED = "repaired"
    CLIPPED = "clipped"
    GUESSED = "guessed"
    NOTICED = "noticed"
    SET_ASIDE = "set_aside"


class Finding(NamedTuple):
    """One thing that happened: the action, what it was in general, and where."""

    action: Action
    reason: str
    key: str = ""
    object_id: str = ""
    detail: str = ""


class Report:
    """Collects findings in order; ``reason`` is a fixed phrase that groups them ("box without area").

    Those of long ago are packed: there may be several for each object of a large dataset.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[Action, str]] = Counter()
        self._packed: list[bytes] = []
        self._latest: list[Finding] = []

    def add(self, action: Action, reason: str, *, key: str = "", object_id: str = "", detail: str = "") -> None:
        self._counts[action, reason] += 1
        self._latest.append(Finding(action, reason, key, object_id, detail))
        if len(self._latest) == _TOGETHER:
            self._packed.append(zlib.compress(json.dumps(self._latest).encode(), 1))
            self._latest = []

    def counts(self) -> dict[tuple[Action, str], int]:
        """How often each action and reason occurred, in order of first occurrence."""
        return dict(self._counts)

    def losses(self) -> tuple[int, Finding | None]:
        """How many findings changed something, and the first of them."""
        count = sum(count for (action, _), count in self._counts.items() if action is not Action.NOTICED)
        lost = (finding for finding in self if finding.action is not Action.NOTICED)
        return count, next(lost, None) if count else None

    def __iter__(self) -> Iterator[Finding]:
        for packed in self._packed:
            for action, *rest in json.loads(zlib.decompress(packed)):
                yield Finding(Action(action), *rest)
        yield from self._latest

    def __len__(self) -> int:
        return self._counts.total()

    def to_json(self, most: int | None = None) -> dict[str, Any]:
        """The counts, and the findings: the first ones where it is said how many at most."""
        return {"counts": self._counts_to_json(), "findings": [finding._asdict() for finding in islice(self, most)]}

    def _counts_to_json(self) -> list[dict[str, Any]]:
        return [
            {"action": str(action), "reason": reason, "count": count}
            for (action, reason), count in self._counts.items()
        ]

    def text(self) -> Iterator[str]:
        """All of it as the text of a JSON file, in pieces."""
        encode = json.JSONEncoder(ensure_ascii=False).encode
        yield f'{{"counts": {encode(self._counts_to_json())},\n"findings": ['
        for at, finding in enumerate(self):
            yield f"{',' if at else ''}\n{encode(finding._asdict())}"
        yield "]}\n"
