"""The report of a conversion: everything that was dropped, repaired, clipped, guessed, noticed or set aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What a conversion did. ``noticed`` changed nothing; ``set_aside`` left a whole item out, retryable."""

    DROPPED = "dropped"
    REPAIRED = "repaired"
    CLIPPED = "clipped"
    GUESSED = "guessed"
    NOTICED = "noticed"
    SET_ASIDE = "set_aside"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that happened: the action, what it was in general, and where."""

    action: Action
    reason: str
    key: str = ""
    object_id: str = ""
    detail: str = ""


class Report:
    """Collects findings in order; ``reason`` is a fixed phrase that groups them ("box without area")."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def add(self, action: Action, reason: str, *, key: str = "", object_id: str = "", detail: str = "") -> None:
        self.findings.append(Finding(action, reason, key, object_id, detail))

    def counts(self) -> dict[tuple[Action, str], int]:
        """How often each action and reason occurred, in order of first occurrence."""
        return dict(Counter((finding.action, finding.reason) for finding in self.findings))

    def of(self, action: Action) -> list[Finding]:
        return [finding for finding in self.findings if finding.action is action]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def to_json(self) -> dict[str, Any]:
        return {
            "counts": [
                {"action": str(action), "reason": reason, "count": count}
                for (action, reason), count in self.counts().items()
            ],
            "findings": [asdict(finding) for finding in self.findings],
        }
