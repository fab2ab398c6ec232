"""Checks a workspace, and repairs what is safe to repair: nothing that a version needs is ever removed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import select, text

from saccade.core.errors import SaccadeError
from saccade.core.schema import Schema
from saccade.store.blobs.blob_store import ObjectStore
from saccade.store.catalog.tables import DEFAULT_PROJECT, DatasetRow, ProjectRow, VersionRow
from saccade.store.maintenance.orphans import Litter, Rubbish
from saccade.store.maintenance.reachability import Reference, references
from saccade.store.maintenance.relocate import Relinked, linked_fault, relink
from saccade.store.table.snapshot import Snapshot
from saccade.store.workspace import Workspace

_LITTLE_SPACE = 500_000_000
_RELINK = "Bring them back, or run: saccade doctor --relink FOLDER"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be; ``repaired`` where doctor has put it right."""

    level: Literal["error", "warning"]
    what: str
    hint: str
    repaired: bool = False


def doctor(workspace: Workspace, *, repair: bool = False, deep: bool = False) -> list[Problem]:
    """Check the catalog, every version's table, every file that is referred to, and what killed writers left.

    Args:
        repair: remove temporary files of dead processes, and table data that no version needs.
        deep: read every file and compare it with its digest.
    """
    litter = Litter(workspace)  # looked for first: whatever is written from here on is not litter
    snapshots = every_version(workspace)
    problems = [
        *_check_space(workspace),
        *_check_catalog(workspace),
        *_check_tables(snapshots),
        *_check_files(workspace, snapshots, deep),
    ]
    if repair:
        return problems + _repaired(workspace)
    return problems + _told(litter.found(snapshot for _, snapshot, _ in snapshots), repaired=False)


def relink_files(workspace: Workspace, folder: Path) -> Relinked:
    """Look below a folder for linked files that are gone or have changed; see :func:`relinking.relink`."""
    with workspace.objects.keeping():
        return relink(workspace.objects, references(workspace, _readable(every_version(workspace))), folder)


def _repaired(workspace: Workspace) -> list[Problem]:
    """Clear what killed writers left, while nobody writes; only tell of it where somebody does."""
    with workspace.scratch.alone() as alone:
        litter = Litter(workspace, alone=alone)
        found = list(litter.found(snapshot for _, snapshot, _ in every_version(workspace)))
        if alone:
            for rubbish in found:
                rubbish.clear()
    return _told(found, repaired=alone)


def _told(found: Iterable[Rubbish], *, repaired: bool) -> list[Problem]:
    return [
        Problem("warning", f"{len(rubbish.paths)} {rubbish.what}.", "Run: saccade doctor --repair", repaired)
        for rubbish in found
    ]


Known = list[tuple[str, Snapshot, int]]


def every_version(workspace: Workspace) -> Known:
    """Every version of every project: its reference, its snapshot, and how many items it should have."""
    wanted = select(ProjectRow.name, DatasetRow.name, VersionRow).join(
        VersionRow, VersionRow.dataset_id == DatasetRow.id
    )
    wanted = wanted.join(ProjectRow, ProjectRow.id == DatasetRow.project_id)
    folder = workspace.location / "datasets"
    with workspace.catalog.whole.reading() as session:
        return [
            (
                f"{'' if project == DEFAULT_PROJECT else f'{project}/'}{name}@{row.number}",
                Snapshot(folder / f"{row.table_id}.lance", row.table_version, Schema.from_json(row.schema)),
                row.items,
            )
            for project, name, row in session.execute(wanted.order_by(VersionRow.id))
        ]


def _check_catalog(workspace: Workspace) -> Iterator[Problem]:
    if not workspace.catalog.is_sqlite:
        return
    with workspace.catalog.whole.reading() as session:
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


def _check_space(workspace: Workspace) -> Iterator[Problem]:
    free = shutil.disk_usage(workspace.location).free
    if free < _LITTLE_SPACE:
        hint = "Make room; 'saccade gc' removes what nothing needs."
        yield Problem("warning", f"The disk of the workspace has only {free / 1e6:.0f} MB left.", hint)


def _readable(snapshots: Known) -> Iterator[tuple[str, Snapshot]]:
    for ref, snapshot, _ in snapshots:
        with suppress(SaccadeError, OSError):  # those that are not are reported with the tables
            if snapshot.table is not None:
                yield ref, snapshot


def _check_files(workspace: Workspace, snapshots: Known, deep: bool) -> Iterator[Problem]:
    checked: set[bytes] = set()
    linked: dict[str, list[str]] = {}
    for reference in references(workspace, _readable(snapshots)):
        digest = bytes.fromhex(reference.digest)
        if digest in checked:
            continue
        checked.add(digest)
        if reference.uri is not None:
            if fault := linked_fault(workspace.objects, reference, deep):
                linked.setdefault(fault, []).append(reference.uri)
        elif fault := _fault(workspace.objects, reference, deep):
            what = f"An object that {reference.owner} needs is {fault}: {reference.digest}."
            yield Problem("error", what, "Import its file again, or pull its dataset again.")
    for fault, uris in linked.items():
        shown = f"{', '.join(sorted(uris)[:3])}{' …' if len(uris) > 3 else ''}"
        yield Problem("error", f"{len(uris)} files that are referred to are {fault}: {shown}.", _RELINK)


def _fault(objects: ObjectStore, reference: Reference, deep: bool) -> str | None:
    if not objects.exists(reference.digest):
        return "missing"
    whole = reference.size is None or objects.is_held(reference.digest, reference.size)
    return None if whole and not (deep and not objects.is_sound(reference.digest)) else "damaged"
