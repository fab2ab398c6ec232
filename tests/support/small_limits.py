"""Small limits, so that sources of a few files take the code paths of those that are too large for memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from saccade.core.report import ConversionReport
from saccade.formats._common import json_stream, paths, per_image, spill
from saccade.formats.base import Format
from saccade.formats.reading import read_source

_LIMITS = (
    (spill, {"_MAX_IN_MEMORY": 1, "_CACHE_SIZE": 2, "_PAGE_ROWS": 2, "_BATCH_ROWS": 2}),
    (per_image, {"_MAX_IN_MEMORY": 0}),
    (paths, {"_MAX_IN_MEMORY": 0, "_BLOCK_PATHS": 2}),
    (json_stream, {"_MAX_LOADED_BYTES": 0, "_WINDOW_BYTES": 400, "_BATCH": 2}),
)


@contextmanager
def small_limits() -> Iterator[None]:
    """Read even the smallest source like one that is too large for memory."""
    with pytest.MonkeyPatch.context() as patch:
        for module, limits in _LIMITS:
            for name, value in limits.items():
                patch.setattr(module, name, value)
        yield


def check_same_with_small_limits(format: Format, source: Path, options: Mapping[str, Any] | None = None) -> None:
    """Check that a source gives the same records, in the same order, and the same report with small limits."""
    normal = _read_all(format, source, options or {})
    with small_limits():
        large = _read_all(format, source, options or {})
    assert large == normal


def _read_all(format: Format, source: Path, options: Mapping[str, Any]) -> Any:
    report = ConversionReport()
    stream = read_source(format, source, report, **options)
    records = [
        (record.key, repr(dict(record.values)), record.size_wh, record.frame, record.group) for record in stream.records
    ]
    return stream.schema, stream.total, records, list(report)
