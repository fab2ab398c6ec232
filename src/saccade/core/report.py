"""Conversion reports: everything that an import or export dropped, repaired, clipped, inferred or skipped."""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import islice
from typing import Any, NamedTuple

from saccade.runtime.late_import import load

_CHUNK_SIZE = 4096
_FORMER_TYPES = {"guessed": "inferred", "noticed": "warning", "set_aside": "skipped"}
"""Types of findings in the reports of version 0.1.0."""


class FindingType(StrEnum):
    """What a conversion did.

    ``warning`` changed nothing; ``skipped`` left out a whole item, which can be retried.
    """

    DROPPED = "dropped"
    REPAIRED = "repaired"
    CLIPPED = "clipped"
    INFERRED = "inferred"
    WARNING = "warning"
    SKIPPED = "skipped"


class Finding(NamedTuple):
    """One event of a conversion: its type, the general reason, and the item and object concerned."""

    action: FindingType
    reason: str
    key: str = ""
    object_id: str = ""
    detail: str = ""


class ConversionReport:
    """Collects findings in order; ``reason`` is a fixed phrase that groups them ("box without area").

    Findings are compressed in chunks: a large dataset may have several for each of its objects.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[FindingType, str]] = Counter()
        self._compressed: list[bytes] = []
        self._latest: list[Finding] = []

    def add(self, type: FindingType, reason: str, *, key: str = "", object_id: str = "", detail: str = "") -> None:
        self._counts[type, reason] += 1
        self._latest.append(Finding(type, reason, key, object_id, detail))
        if len(self._latest) == _CHUNK_SIZE:
            self._compressed.append(zlib.compress(json.dumps(self._latest).encode(), 1))
            self._latest = []

    def counts(self) -> dict[tuple[FindingType, str], int]:
        """Return the number of findings by type and reason, in order of first occurrence."""
        return dict(self._counts)

    def losses(self) -> tuple[int, Finding | None]:
        """Return how many findings changed data, and the first of them."""
        count = sum(count for (action, _), count in self._counts.items() if action is not FindingType.WARNING)
        losses = (finding for finding in self if finding.action is not FindingType.WARNING)
        return count, next(losses, None) if count else None

    def __iter__(self) -> Iterator[Finding]:
        for chunk in self._compressed:
            for action, *rest in json.loads(zlib.decompress(chunk)):
                yield Finding(FindingType(action), *rest)
        yield from self._latest

    def __len__(self) -> int:
        return self._counts.total()

    def latest(self, count: int) -> list[Finding]:
        """Return the last findings, in order; of a large report, at most some thousands."""
        findings = list(self._latest)
        if len(findings) < count and self._compressed:
            chunk = json.loads(zlib.decompress(self._compressed[-1]))
            findings = [Finding(FindingType(action), *rest) for action, *rest in chunk] + findings
        return findings[-count:] if count > 0 else []

    def _repr_html_(self) -> str:
        html: str = load("html_report.notebook", "report_html")(self)
        return html

    def first_of_each(self, count: int) -> Iterator[Finding]:
        """Yield the first findings of each type and reason, in order."""
        missing = {group: min(total, count) for group, total in self._counts.items()}
        remaining = sum(missing.values())
        for finding in self if remaining else ():
            group = finding.action, finding.reason
            if missing[group]:
                missing[group] -= 1
                remaining -= 1
                yield finding
            if not remaining:
                return

    def to_json(self, max_findings: int | None = None, *, max_per_reason: int | None = None) -> dict[str, Any]:
        """Return the counts and the findings.

        Args:
            max_findings: The number of findings at most; None for all.
            max_per_reason: The number of findings of each type and reason at most; None for all.
        """
        findings = self if max_per_reason is None else self.first_of_each(max_per_reason)
        return {
            "counts": self._counts_to_json(),
            "findings": [finding._asdict() for finding in islice(findings, max_findings)],
        }

    def _counts_to_json(self) -> list[dict[str, Any]]:
        return [
            {"action": str(action), "reason": reason, "count": count}
            for (action, reason), count in self._counts.items()
        ]

    def iter_json(self) -> Iterator[str]:
        """Yield the whole report as the text of a JSON file."""
        encode = json.JSONEncoder(ensure_ascii=False).encode
        yield f'{{"counts": {encode(self._counts_to_json())},\n"findings": ['
        for index, finding in enumerate(self):
            yield f"{',' if index else ''}\n{encode(finding._asdict())}"
        yield "]}\n"


def current_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the types of findings in the JSON of a report to today's."""
    return {
        part: [{**entry, "action": _FORMER_TYPES.get(entry["action"], entry["action"])} for entry in entries]
        for part, entries in report.items()
    }
