"""Sources of a few files, read as those are that are too large to be held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from saccade.core.report import Report
from saccade.formats._common import json_stream, paths, per_image, spill
from saccade.formats.base import Format

_LIMITS = (
    (spill, {"_FEW": 1, "_LATEST": 2, "_PAGE": 2, "_TOGETHER": 2}),
    (per_image, {"_FEW": 0}),
    (paths, {"_FEW": 0, "_BLOCK": 2}),
    (json_stream, {"_LARGE": 0, "_WINDOW": 400, "_TOGETHER": 2}),
)


@contextmanager
def as_if_large() -> Iterator[None]:
    """Within this, the smallest source is read as one that is too large to be held."""
    with pytest.MonkeyPatch.context() as patch:
        for module, limits in _LIMITS:
            for name, value in limits.items():
                patch.setattr(module, name, value)
        yield


def check_read_alike(part: Format, source: Path, options: Mapping[str, Any] | None = None) -> None:
    """A source is read alike however large it is taken to be: the same records in the same order, the same report."""
    held = _all_of(part, source, options or {})
    with as_if_large():
        large = _all_of(part, source, options or {})
    assert large == held


def _all_of(part: Format, source: Path, options: Mapping[str, Any]) -> Any:
    report = Report()
    reading = part.read(source, report, **options)
    records = [(one.key, repr(dict(one.values)), one.size_wh, one.frame, one.group) for one in reading.records]
    return reading.schema, reading.total, records, list(report)
