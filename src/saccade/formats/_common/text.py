"""Reading of text and CSV files that may be damaged; writing of CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path

from saccade.formats._common.paths import replace_surrogates

_MAX_FIELD_CHARS = 1 << 24


def read_text(path: Path) -> str:
    """Read a text file; bytes that are not UTF-8 are replaced."""
    return path.read_bytes().decode("utf-8-sig", errors="replace")


def read_lines(path: Path) -> Iterator[str]:
    """Iterate over the lines of a text file without reading it as a whole."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="\n") as file:
        yield from (line.removesuffix("\n") for line in file)


def read_csv_rows(path: Path) -> Iterator[list[str]]:
    """Iterate over the non-empty rows of a CSV file, up to the first that cannot be parsed."""
    csv.field_size_limit(_MAX_FIELD_CHARS)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        try:
            yield from (row for row in csv.reader(file) if any(row))
        except csv.Error:
            return


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
