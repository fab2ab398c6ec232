"""The log of a training run, and whether it can be resumed. Does not import torch, so that the server can read runs."""

from __future__ import annotations

import time
from pathlib import Path

from saccade.store.registry.runs import Run
from saccade.training.run_files import CHECKPOINT_FILE

KIND = "train"
LOG_FILE = "log.txt"


class RunLog:
    """Appends lines with their time to the log of a run.

    Args:
        folder: The folder of the run.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOG_FILE

    def write(self, line: str) -> None:
        """Append a line; later lines of a text with several are indented."""
        text = line.rstrip().replace("\n", "\n  ")
        with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")


def read_log(run: Run, max_bytes: int | None = None) -> str:
    """Return the log of a run; "" if it has none.

    Args:
        run: The run.
        max_bytes: Return only complete lines within this many bytes at the end.
    """
    path = run.folder / LOG_FILE
    if not path.exists():
        return ""
    with path.open("rb") as file:
        size = path.stat().st_size
        start = 0 if max_bytes is None else max(0, size - max_bytes)
        file.seek(start)
        data = file.read()
    if start:
        data = data[data.find(b"\n") + 1 :]
    return data.decode("utf-8", "replace")


def is_resumable(run: Run) -> bool:
    """Return whether a training ended before it was finished, and has a checkpoint to continue from."""
    return run.kind == KIND and run.state not in ("running", "finished") and (run.folder / CHECKPOINT_FILE).exists()
