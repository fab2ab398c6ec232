"""What killed writers leave behind: files that belong to no version."""

from __future__ import annotations

import shutil
import time
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from saccade.core.errors import SaccadeError
from saccade.store.catalog.tables import RunRow
from saccade.store.io.process import is_alive
from saccade.store.table import key_index
from saccade.store.table.lance_table import files_of
from saccade.store.table.snapshot import Snapshot
from saccade.store.workspace import Workspace

_HOUR = 3600
_PARTS = ("data", "_deletions", "_versions", key_index.FOLDER)


@dataclass(frozen=True, slots=True)
class Rubbish:
    """Paths that nobody needs, with a word for what they are."""

    what: str
    paths: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes, as far as they can be read."""
        return sum(_size(path) for path in self.paths)

    def clear(self) -> None:
        for path in self.paths:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _is_needed(path: Path, needed: Container[Path]) -> bool:
    match path.parent.name:
        case "_versions":  # only detached manifests ("d…") are versions of ours; the others are Lance's own beginning
            return path in needed or not path.name.startswith("d")
        case key_index.FOLDER:
            return key_index.data_file(path) in needed
    return path in needed


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    try:
        return sum(file.stat().st_size for file in files if file.is_file())
    except OSError:
        return 0


class Litter:
    """What killed writers left behind, as it stood when this was made.

    A file that was there then belongs to a version, or to a write that is still going on, or to nothing. Writers
    that go on are looked for after the files, and versions after the writers, so none can slip through. Before
    anything of it is cleared, nobody may be writing: a copy of a dataset takes up tables that it finds.
    """

    def __init__(self, workspace: Workspace, *, alone: bool = False) -> None:
        self._workspace = workspace
        location = workspace.location
        self._tables = sorted((location / "datasets").glob("*.lance"))
        self._files = {table: [path for part in _PARTS for path in (table / part).glob("*")] for table in self._tables}
        self._run_folders = sorted((location / "runs").glob("*"))
        self._busy = not alone and workspace.scratch.is_busy()
        folders = sorted((location / "tmp").glob("*~*~*"))
        self._dead = [folder for folder in folders if is_alive(folder.name) is False]

    def found(self, snapshots: Iterable[Snapshot]) -> Iterator[Rubbish]:
        """What no version needs, given all versions."""
        if dead := [folder for folder in self._dead if any(folder.iterdir())]:
            yield Rubbish("folders with temporary files of processes that are gone", tuple(dead))
        if self._busy:
            return  # a write is going on: what looks like rubbish may be its work
        if orphans := tuple(self._orphans(snapshots)):
            yield Rubbish("pieces of table data that no version needs", orphans)
        if folders := tuple(self._empty_run_folders()):
            yield Rubbish("empty folders of runs that never began", folders)

    def _orphans(self, snapshots: Iterable[Snapshot]) -> Iterator[Path]:
        needed: dict[Path, set[Path]] = {}
        for snapshot in snapshots:
            try:
                needed.setdefault(snapshot.folder, set()).update(files_of(snapshot.table, snapshot.folder))
            except (SaccadeError, OSError):
                return  # where a version cannot be read, nothing is known to be superfluous
        for table in self._tables:
            if table not in needed:
                yield table
                continue
            yield from (path for path in self._files[table] if not _is_needed(path, needed[table]))

    def _empty_run_folders(self) -> list[Path]:
        with self._workspace.catalog.whole.reading() as session:
            known = set(session.scalars(select(RunRow.id)))
        lost = (path for path in self._run_folders if path.name not in known and path.is_dir())
        return [path for path in lost if not any(path.iterdir()) and time.time() - path.stat().st_mtime > _HOUR]
