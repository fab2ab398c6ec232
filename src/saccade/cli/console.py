"""Terminal output: tables, JSON, messages, progress bars and conversion reports."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from saccade.core.progress import Progress as ProgressProtocol
    from saccade.core.report import ConversionReport

out = Console(highlight=False, soft_wrap=True)
if not out.is_terminal:
    out.width = 200  # a file or pipe has no edge at which tables must wrap
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(data: Any) -> None:
    """Print one JSON document to standard output. NaN and infinity become null, since JSON cannot represent them."""
    sys.stdout.write(json.dumps(_finite(data), ensure_ascii=False, indent=2, default=str, allow_nan=False) + "\n")


def print_error(code: str, message: str, hint: str) -> None:
    """Print an error as one line of JSON, since it may follow JSON lines of a run's events."""
    error = {"code": code, "message": message, "hint": hint}
    sys.stdout.write(json.dumps({"error": _finite(error)}, ensure_ascii=False) + "\n")


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {name: _finite(value) for name, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """Print a plain table; columns of numbers are right-aligned.

    Args:
        headings: Column headings.
        rows: Cell values; None is shown as a dash.
        title: Title above the table.
    """
    cells = [list(row) for row in rows]
    table = Table(title=title or None, box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        is_numeric = bool(cells) and all(isinstance(row[index], int | float) or row[index] is None for row in cells)
        table.add_column(heading, justify="right" if is_numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*(escape(_format_cell(value)) for value in row))
    out.print(table)


def _format_cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def print_message(text: str) -> None:
    """Print a line of rich markup; user data in it must be escaped."""
    out.print(text)


def print_line(text: str) -> None:
    """Print a line of progress to standard error as it is, without markup or wrapping."""
    print(text, file=sys.stderr, flush=True)


def print_warning(text: str) -> None:
    """Print a warning to standard error; user data in it must be escaped."""
    err.print(f"[yellow]{text}[/]")


_FINDING_COLORS = {"warning": "cyan", "skipped": "red"}
"""Colors of the types of findings in a conversion report; others are yellow."""


def print_report(report: ConversionReport, examples: int = 3) -> None:
    """Print what a conversion dropped, repaired or inferred, grouped by reason, with the first examples of each."""
    locations: dict[tuple[str, str], list[str]] = defaultdict(list)
    for finding in report:
        group = locations[finding.action, finding.reason]
        if len(group) < examples:
            group.append(_location(finding))
    for (action, reason), count in report.counts().items():
        listed = ", ".join(locations[action, reason])
        more = f" and {count - examples} more" if count > examples else ""
        color = _FINDING_COLORS.get(str(action), "yellow")
        print_message(f"  [{color}]{action}[/] {escape(reason)} × {count}: [dim]{escape(listed)}{more}[/]")


def _location(finding: Any) -> str:
    location = f"{finding.key}#{finding.object_id}" if finding.object_id else finding.key
    if not location:
        return finding.detail or "the whole source"
    return f"{location} ({finding.detail})" if finding.detail else location


class TerminalProgress:
    """Progress bar on standard error, with a note of the current item."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
            console=err,
        )
        self._task: TaskID | None = None

    def start(self, phase: str, total: int | None = None) -> None:
        self._bar.start()
        self._task = self._bar.add_task(phase, total=total, note="")

    def advance(self, count: int = 1, message: str = "") -> None:
        if self._task is not None:
            self._bar.update(self._task, advance=count, note=escape(message))

    def finish(self) -> None:
        self._bar.stop()


class LineProgress:
    """Progress for output that is not a terminal: a line on standard error at regular intervals.

    Args:
        interval: Minimum seconds between two lines.
    """

    def __init__(self, interval: float = 20) -> None:
        self.interval = interval
        self._phase = ""
        self._total: int | None = None
        self._count = 0
        self._last_line = time.monotonic()

    def start(self, phase: str, total: int | None = None) -> None:
        self._phase = phase
        self._total = total
        self._count = 0

    def advance(self, count: int = 1, message: str = "") -> None:
        self._count += count
        if time.monotonic() - self._last_line >= self.interval:
            self._last_line = time.monotonic()
            of_total = "" if self._total is None else f"/{self._total:,}"
            print_line(f"      {self._phase} {self._count:,}{of_total}  {message}".rstrip())

    def finish(self) -> None:
        pass


@contextmanager
def progress_bar(quiet: bool) -> Iterator[ProgressProtocol | None]:
    """Show a progress bar in the block; None if ``quiet``, or if standard error is not a terminal."""
    if quiet or not err.is_terminal:
        yield None
        return
    progress = TerminalProgress()
    try:
        yield progress
    finally:
        progress.finish()


def metric_rows(metrics: Mapping[str, Any]) -> list[list[Any]]:
    """Return table rows of the metrics that are numbers."""
    return [[name, value] for name, value in metrics.items() if isinstance(value, int | float)]
