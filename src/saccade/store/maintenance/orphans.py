"""Orphans: files that crashed writers left, and that belong to no version."""

from __future__ import annotations

import shutil
import time
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from saccade.core.errors import SaccadeError
from saccade.runtime.process import is_alive
from saccade.store.catalog.tables import RunRow
from saccade.store.table import key_index
from saccade.store.table.lance_table import version_files
from saccade.store.table.snapshot import Snapshot
from saccade.store.workspace import Workspace

_MIN_RUN_FOLDER_AGE_S = 3600
"""The folder of a run is created before its row; a younger one may belong to a run that is just starting."""
_TABLE_FOLDERS = ("data", "_deletions", "_versions", key_index.INDEX_FOLDER)


@dataclass(frozen=True, slots=True)
class OrphanFiles:
    """Files and folders that can be deleted; ``description`` is plural, for messages."""

    description: str
    paths: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Total size in bytes; files that cannot be read count as 0."""
        return sum(_size(path) for path in self.paths)

    def delete(self) -> None:
        for path in self.paths:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _is_needed(path: Path, needed: Container[Path]) -> bool:
    match path.parent.name:
        case "_versions":  # only detached manifests ("d…") are versions; the others are Lance's initial ones
            return path in needed or not path.name.startswith("d")
        case key_index.INDEX_FOLDER:
            return key_index.indexed_data_file(path) in needed
    return path in needed


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    try:
        return sum(file.stat().st_size for file in files if file.is_file())
    except OSError:
        return 0


class OrphanScanner:
    """Finds orphans among the files that exist when the scanner is created.

    Each of these files belongs to a version, to a running writer, or to nothing. No file can be mistaken, because the
    files are listed first, then the running writers, and then the versions. Orphans may be deleted only while there
    are no writers: the copy of a dataset takes over tables that exist.

    Args:
        workspace: the workspace.
        exclusive: the caller holds the exclusive lock, so that there are no writers.
    """

    def __init__(self, workspace: Workspace, *, exclusive: bool = False) -> None:
        self._workspace = workspace
        location = workspace.location
        self._tables = sorted((location / "datasets").glob("*.lance"))
        self._files = {
            table: [path for folder in _TABLE_FOLDERS for path in (table / folder).glob("*")] for table in self._tables
        }
        self._run_folders = sorted((location / "runs").glob("*"))
        self._has_writers = not exclusive and workspace.scratch.is_locked()
        scratch_folders = sorted((location / "tmp").glob("*~*~*"))
        self._dead_folders = [folder for folder in scratch_folders if is_alive(folder.name) is False]

    def scan(self, snapshots: Iterable[Snapshot]) -> Iterator[OrphanFiles]:
        """Yield the orphans, given all versions."""
        if folders := [folder for folder in self._dead_folders if any(folder.iterdir())]:
            yield OrphanFiles("temporary folders of dead processes", tuple(folders))
        if self._has_writers:
            return  # what looks like an orphan may be a writer's
        if files := tuple(self._table_files(snapshots)):
            yield OrphanFiles("orphaned table files", files)
        if run_folders := tuple(self._empty_run_folders()):
            yield OrphanFiles("empty folders of runs that never started", run_folders)

    def _table_files(self, snapshots: Iterable[Snapshot]) -> Iterator[Path]:
        needed: dict[Path, set[Path]] = {}
        for snapshot in snapshots:
            try:
                needed.setdefault(snapshot.folder, set()).update(version_files(snapshot.table, snapshot.folder))
            except (SaccadeError, OSError):
                return  # if a version cannot be read, its files are unknown, and any file may be one of them
        for table in self._tables:
            if table not in needed:
                yield table
                continue
            yield from (path for path in self._files[table] if not _is_needed(path, needed[table]))

    def _empty_run_folders(self) -> list[Path]:
        with self._workspace.catalog.unscoped.read_tx() as session:
            known = set(session.scalars(select(RunRow.id)))
        unknown = (path for path in self._run_folders if path.name not in known and path.is_dir())
        now = time.time()
        return [
            path for path in unknown if not any(path.iterdir()) and now - path.stat().st_mtime > _MIN_RUN_FOLDER_AGE_S
        ]
