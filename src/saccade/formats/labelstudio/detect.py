"""Detection of Label Studio, and the file of tasks of a source."""

from __future__ import annotations

import re
from pathlib import Path

from saccade.core.errors import FormatError
from saccade.formats._common.encoding import read_head
from saccade.formats.base import Detection

_TASKS_START = re.compile(r'^\s*\[\s*\{(?=.*"data"\s*:)(?=.*"(annotations|predictions|completions)"\s*:)', re.DOTALL)


def detect(source: Path) -> Detection:
    try:
        path = find_task_file(source)
    except FormatError as error:
        return Detection(False, error.message)
    return Detection(True, f"{path.name} is a list of tasks with data and annotations")


def find_task_file(source: Path) -> Path:
    """Return the JSON file of a source.

    Raises:
        FormatError: if there is none, or more than one.
    """
    if source.is_file():
        files = [source] if source.suffix.lower() == ".json" and _has_tasks(source) else []
    else:
        files = [path for path in sorted(source.glob("*.json")) if path.is_file() and _has_tasks(path)]
    if not files:
        raise FormatError("there is no JSON list of tasks in it", hint="Export the project as JSON.")
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        raise FormatError(f"There are several files of tasks: {names}.", hint="Name the one to import.")
    return files[0]


def _has_tasks(path: Path) -> bool:
    return bool(_TASKS_START.match(read_head(path, 1 << 16).removeprefix("\ufeff")))
