"""What commands print with: tables, JSON, progress and reports of conversions."""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from saccade.core.progress import Progress as ProgressProtocol
    from saccade.core.report import Report

out = Console(highlight=False, soft_wrap=True)
if not out.is_terminal:
    out.width = 200  # a file or pipe has no edge at which tables must wrap
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(data: Any) -> None:
    """One JSON document on standard output, whatever the terminal; NaN and infinity, which JSON lacks, are null."""
    sys.stdout.write(json.dumps(_finite(data), ensure_ascii=False, indent=2, default=str, allow_nan=False) + "\n")


def print_error(code: str, message: str, hint: str) -> None:
    """An error as the one JSON document of a command, in a line: that of a run follows the lines of its events."""
    error = {"code": code, "message": message, "hint": hint}
    sys.stdout.write(json.dumps({"error": _finite(error)}, ensure_ascii=False) + "\n")


def _finite(data: Any) -> Any:
    if isinstance(data, float):
        return data if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {name: _finite(value) for name, value in data.items()}
    return [_finite(value) for value in data] if isinstance(data, list | tuple) else data


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """A plain table; numbers stand right."""
    made = [list(row) for row in rows]
    table = Table(title=title or None, box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        numeric = bool(made) and all(isinstance(row[index], int | float) or row[index] is None for row in made)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in made:
        table.add_row(*(escape(_cell(value)) for value in row))
    out.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def say(text: str) -> None:
    """A line for the reader; user data in it must be escaped."""
    out.print(text)


def warn(text: str) -> None:
    """A line of what needs a look, on standard error; user data in it must be escaped."""
    err.print(f"[yellow]{text}[/]")


def print_report(report: Report, examples: int = 3) -> None:
    """What a conversion dropped, repaired and noticed, grouped, with the first few places of each."""
    first: dict[tuple[str, str], list[str]] = defaultdict(list)
    for finding in report:
        if len(found := first[finding.action, finding.reason]) < examples:
            found.append(_place(finding))
    for (action, reason), count in report.counts().items():
        places = ", ".join(first[action, reason])
        more = f" and {count - examples} more" if count > examples else ""
        color = {"noticed": "cyan", "set_aside": "red"}.get(str(action), "yellow")
        say(f"  [{color}]{str(action).replace('_', ' ')}[/] {escape(reason)} × {count}: [dim]{escape(places)}{more}[/]")


def _place(finding: Any) -> str:
    place = f"{finding.key}#{finding.object_id}" if finding.object_id else finding.key
    if not place:
        return finding.detail or "the whole source"
    return f"{place} ({finding.detail})" if finding.detail else place


class TerminalProgress:
    """Progress as a bar on standard error, with a note of what it is at."""

    def __init__(self) -> None:
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeLeft(compact=True),
            TextColumn("{task.fields[note]}"),
            console=err,
        )
        self.task: TaskID | None = None

    def start(self, what: str, total: int | None = None) -> None:
        self.bar.start()
        self.task = self.bar.add_task(what, total=total, note="")

    def advance(self, count: int = 1, note: str = "") -> None:
        if self.task is not None:
            self.bar.update(self.task, advance=count, note=escape(note))

    def finish(self) -> None:
        self.bar.stop()


@contextmanager
def progress(quiet: bool) -> Iterator[ProgressProtocol | None]:
    """A progress bar where somebody can see it, else None; taken down however the work ends."""
    if quiet or not err.is_terminal:
        yield None
        return
    shown = TerminalProgress()
    try:
        yield shown
    finally:
        shown.finish()


def metric_rows(metrics: Mapping[str, Any]) -> list[list[Any]]:
    """Names and values of the metrics that are numbers."""
    return [[name, value] for name, value in metrics.items() if isinstance(value, int | float)]
