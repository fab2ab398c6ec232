"""Text files as they come: rows of CSV, lines, and the numbers in them."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path

from saccade.formats._common.paths import whole_text

_MOST_FIELD = 1 << 24


def read_text(path: Path) -> str:
    """The text of a file, with what is not UTF-8 replaced."""
    return path.read_bytes().decode("utf-8-sig", errors="replace")


def lines_of(path: Path) -> Iterator[str]:
    """The lines of such a text, one after another."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="\n") as file:
        yield from (line.removesuffix("\n") for line in file)


def rows_of(path: Path) -> Iterator[list[str]]:
    """The rows of a CSV file, without empty ones; what cannot be parsed ends them."""
    csv.field_size_limit(_MOST_FIELD)
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        try:
            yield from (row for row in csv.reader(file) if any(row))
        except csv.Error:
            return


def records_of(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows of a CSV file with a heading, by its names, numbered from 1."""
    rows = rows_of(path)
    heading = [whole_text(name.strip()) for name in next(rows, [])]
    for number, row in enumerate(rows, 1):
        yield number, dict(zip(heading, (whole_text(cell) for cell in row), strict=False))


def to_number(text: str | None) -> float:
    """The number that a text says; NaN where it says none."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def csv_line(values: list[object]) -> str:
    """A line of CSV; None is an empty cell, and a number is written so that the same is read."""
    out = StringIO()
    # With this end of a line, cells that hold either character of it are quoted.
    csv.writer(out, lineterminator="\r\n").writerow(["" if value is None else _cell(value) for value in values])
    return out.getvalue().removesuffix("\r\n") + "\n"


def _cell(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)
