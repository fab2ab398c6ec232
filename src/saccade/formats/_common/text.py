"""Reading of text and CSV files that may be damaged; writing of CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path

from saccade.core.errors import FormatError
from saccade.core.report import ConversionReport, FindingType
from saccade.formats._common.encoding import open_text, read_text
from saccade.formats._common.paths import replace_surrogates

__all__ = [
    "format_csv_row",
    "parse_float",
    "read_csv_header",
    "read_csv_records",
    "read_csv_rows",
    "read_lines",
    "read_text",
    "try_read_text",
]

_MAX_FIELD_CHARS = 1 << 24


def try_read_text(path: Path, key: str, report: ConversionReport) -> str | None:
    """Read the label file of one image; None, and reported, if it cannot be read, so that the image is unlabelled."""
    try:
        return read_text(path)
    except (FormatError, OSError) as error:
        report.add(FindingType.DROPPED, "label file that cannot be read", key=key, detail=str(error))
        return None


def read_lines(path: Path) -> Iterator[str]:
    """Iterate over the lines of a text file without reading it as a whole.

    Raises:
        FormatError: while iterating, if a byte cannot be decoded; the message has its position.
    """
    with open_text(path, newline="\n") as file:
        yield from (line.removesuffix("\n") for line in file)


def read_csv_rows(path: Path) -> Iterator[list[str]]:
    """Iterate over the non-empty rows of a CSV file, up to the first that cannot be parsed.

    Raises:
        FormatError: while iterating, if a byte cannot be decoded; the message has its position.
    """
    csv.field_size_limit(_MAX_FIELD_CHARS)
    with open_text(path, newline="") as file:
        try:
            yield from (row for row in csv.reader(file) if any(row))
        except csv.Error:
            return


def read_csv_header(path: Path) -> list[str]:
    """Return the first non-empty row of a CSV file to recognise its format; an unreadable file has none."""
    csv.field_size_limit(_MAX_FIELD_CHARS)
    try:
        with open_text(path, newline="", is_read=False) as file:
            return next((row for row in csv.reader(file) if any(row)), [])
    except (csv.Error, OSError, FormatError):
        return []


def read_csv_records(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Iterate over the rows of a CSV file with a header, as mappings, numbered from 1."""
    rows = read_csv_rows(path)
    header = [replace_surrogates(name.strip()) for name in next(rows, [])]
    for number, row in enumerate(rows, 1):
        yield number, dict(zip(header, (replace_surrogates(cell) for cell in row), strict=False))


def parse_float(text: str | None) -> float:
    """Parse a number; NaN if the text is none."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def format_csv_row(values: list[object]) -> str:
    """Format a row of CSV with its line end; None is an empty cell, and floats keep all their digits."""
    out = StringIO()
    # With CR LF as the line end, the csv module quotes cells that contain either character.
    csv.writer(out, lineterminator="\r\n").writerow(["" if value is None else _cell(value) for value in values])
    return out.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)
