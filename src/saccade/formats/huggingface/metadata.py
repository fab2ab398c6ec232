"""Metadata files of image folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.json import Json
from saccade.formats._common.text import read_csv_records, read_lines

FILE_NAME = "file_name"
"""Field for the name of an image, relative to the folder of the metadata."""


def is_metadata_file(path: str) -> bool:
    return path.rpartition("/")[2] in ("metadata.jsonl", "metadata.csv")


def iter_metadata(path: Path, report: ConversionReport) -> Iterator[Json]:
    """Iterate over the rows of a metadata file; lines that are not JSON objects are reported."""
    if path.suffix == ".csv":
        yield from (dict(row) for _, row in read_csv_records(path))
        return
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            yield row
        else:
            report.add(FindingType.SKIPPED, "line that cannot be read", detail=f"{path.name}, {number}")
