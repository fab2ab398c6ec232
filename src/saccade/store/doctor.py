"""Checks a workspace, and repairs what is safe to repair: nothing that a version needs is ever removed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import select, text

from saccade.core.errors import SaccadeError
from saccade.core.schema import Kind, Schema
from saccade.store.lance_table import files_of
from saccade.store.process import is_alive
from saccade.store.snapshot import Snapshot
from saccade.store.tables import DatasetRow, EvaluationRow, ModelRow, ModelVersionRow, RunRow, VersionRow
from saccade.store.workspace import Workspace

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be; ``repaired`` where doctor has put it right."""

    level: Literal["error", "warning"]
    what: str
    hint: str
    repaired: bool = False


def doctor(workspace: Workspace, *, repair: bool = False, deep: bool = False) -> list[Problem]:
    """Check the catalog, every version's table, every object that is referred to, and what killed writers left.

    Args:
        repair: remove temporary files of dead processes, and table data that no version needs.
        deep: read every object and compare it with its digest.
    """
    litter = _Litter(workspace)  # looked for first: whatever is written from here on is not litter
    snapshots = _snapshots(workspace)
    return [
        *_check_catalog(workspace),
        *_check_tables(snapshots),
        *_check_objects(workspace, snapshots, deep),
        *litter.problems({snapshot for _, snapshot, _ in snapshots}, repair),
    ]


Known = list[tuple[str, Snapshot, int]]


def _snapshots(workspace: Workspace) -> Known:
    """Every version: its reference, its snapshot, and how many items it should have."""
    wanted = select(DatasetRow.name, VersionRow).join(VersionRow, VersionRow.dataset_id == DatasetRow.id)
    folder = workspace.location / "datasets"
    with workspace.catalog.reading() as session:
        return [
            (
                f"{name}@{row.number}",
                Snapshot(folder / f"{row.table_id}.lance", row.table_version, Schema.from_json(row.schema)),
                row.items,
            )
            for name, row in session.execute(wanted.order_by(VersionRow.id))
        ]


def _check_catalog(workspace: Workspace) -> Iterator[Problem]:
    if not workspace.catalog.is_sqlite:
        return
    with workspace.catalog.reading() as session:
        words = session.scalars(text("PRAGMA integrity_check")).all()
        orphans = session.execute(text("PRAGMA foreign_key_check")).all()
    hint = "Restore the catalog from a backup."
    yield from (Problem("error", f"The catalog is damaged: {word}.", hint) for word in words if word != "ok")
    if orphans:
        yield Problem("error", f"{len(orphans)} rows of the catalog refer to rows that are not there.", hint)


def _check_tables(snapshots: Known) -> Iterator[Problem]:
    for ref, snapshot, items in snapshots:
        try:
            found = snapshot.table.count_rows()
            missing = [name for name in snapshot.schema.names if name not in snapshot.table.schema.names]
        except (SaccadeError, OSError) as error:
            yield Problem("error", f"{ref} cannot be read: {error}", "Restore the workspace's datasets from a backup.")
            continue
        if found != items or missing:
            lacks = f", and lacks the columns {missing}" if missing else ""
            yield Problem(
                "error",
                f"{ref} has {found} items where the catalog says {items}{lacks}.",
                "Restore the workspace's datasets from a backup.",
            )


def _check_objects(workspace: Workspace, snapshots: Known, deep: bool) -> Iterator[Problem]:
    checked: dict[str, str | None] = {}
    for owner, digest in _references(workspace, snapshots):
        if digest not in checked:
            checked[digest] = _fault(workspace, digest, deep)
            if checked[digest]:
                yield Problem(
                    "error", f"An object that {owner} needs is {checked[digest]}: {digest}.", "Import its file again."
                )


def _fault(workspace: Workspace, digest: str, deep: bool) -> str | None:
    if not workspace.objects.exists(digest):
        return "missing"
    return "damaged" if deep and not workspace.objects.is_sound(digest) else None


def _references(workspace: Workspace, snapshots: Known) -> Iterator[tuple[str, str]]:
    seen: set[tuple[Path, str]] = set()
    for ref, snapshot, _ in snapshots:
        if (snapshot.folder, snapshot.version) not in seen:
            seen.add((snapshot.folder, snapshot.version))
            yield from ((ref, digest) for digest in _digests(snapshot))
    models = select(ModelRow.name, ModelVersionRow).join(ModelVersionRow, ModelVersionRow.model_id == ModelRow.id)
    with workspace.catalog.reading() as session:
        for name, row in session.execute(models):
            yield from ((f"{name}@{row.number}", digest) for digest in row.files.values())
        reports = select(EvaluationRow.id, EvaluationRow.report).where(EvaluationRow.report.is_not(None))
        for evaluation, digest in session.execute(reports):
            yield f"evaluation {evaluation}", str(digest)


def _digests(snapshot: Snapshot) -> set[str]:
    """The digests of the files that a version keeps by copy."""
    found: set[str] = set()
    for column in snapshot.schema.of_kind(Kind.IMAGE, Kind.FILE):
        try:
            values = snapshot.table.to_table(columns=[column.name]).column(column.name)
        except (SaccadeError, OSError):
            return found  # reported with the tables
        for chunk in values.chunks:
            copied = chunk.filter(pc.and_(chunk.is_valid(), pc.is_null(chunk.field("uri"))))
            found.update(pc.unique(pa.array(copied.field("digest"))).to_pylist())
    return found - {None}


class _Litter:
    """What killed writers left behind, as it stood when this was made.

    A file that was there then belongs to a version, or to a write that is still going on, or to nothing. Writers
    that go on are looked for after the files, and versions after the writers, so none can slip through.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        location = workspace.location
        self._tables = sorted((location / "datasets").glob("*.lance"))
        self._files = {
            table: [path for part in ("data", "_deletions", "_versions") for path in (table / part).glob("*")]
            for table in self._tables
        }
        self._run_folders = sorted((location / "runs").glob("*"))
        folders = sorted((location / "tmp").glob("*~*~*"))
        alive = [folder for folder in folders if is_alive(folder.name) is not False]
        self._busy = any(any(folder.iterdir()) for folder in alive if folder.exists())
        self._dead = [folder for folder in folders if folder not in alive]

    def problems(self, snapshots: set[Snapshot], repair: bool) -> Iterator[Problem]:
        if dead := [folder for folder in self._dead if any(folder.iterdir())]:
            yield self._clear("folders with temporary files of processes that are gone", dead, repair)
        if self._busy:
            return  # a write is going on: what looks like rubbish may be its work
        if orphans := list(self._orphans(snapshots)):
            yield self._clear("pieces of table data that no version needs", orphans, repair)
        if folders := self._empty_run_folders():
            yield self._clear("empty folders of runs that never began", folders, repair)

    def _clear(self, what: str, paths: list[Path], repair: bool) -> Problem:
        if repair:
            for path in paths:
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
        return Problem("warning", f"{len(paths)} {what}.", "Run: saccade doctor --repair", repair)

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
            # Only detached manifests ("d…") are versions of ours; the others are Lance's own beginning.
            yield from (
                path
                for path in self._files[table]
                if path not in needed[table] and (path.parent.name != "_versions" or path.name.startswith("d"))
            )

    def _empty_run_folders(self) -> list[Path]:
        with self._workspace.catalog.reading() as session:
            known = set(session.scalars(select(RunRow.id)))
        lost = (path for path in self._run_folders if path.name not in known and path.is_dir())
        return [path for path in lost if not any(path.iterdir()) and time.time() - path.stat().st_mtime > _HOUR]
