"""The page on format compatibility, parsed."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "format-compatibility.md"


def code_spans(text: str) -> list[str]:
    """Return the texts between backticks."""
    return re.findall(r"`([^`]+)`", text)


@cache
def sections() -> dict[str, list[str]]:
    """Return the lines below each heading of the page."""
    lines: dict[str, list[str]] = {}
    heading = ""
    for line in PAGE.read_text("utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ").strip("`")
        lines.setdefault(heading, []).append(line)
    return lines


def table(heading: str) -> list[dict[str, str]]:
    """Return the rows of the table below a heading, as cells by column."""
    rows = [line for line in sections()[heading] if line.startswith("|")]
    header, _, *body = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return [dict(zip(header, row, strict=True)) for row in body]
