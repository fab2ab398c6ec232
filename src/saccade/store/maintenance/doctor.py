"""Doctor: checks a workspace and repairs what is safe to repair. It never deletes what a version needs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import select, text

from saccade.core.errors import SaccadeError, WorkspaceError
from saccade.core.schema import Schema
from saccade.store.blobs.blob_store import BlobStore
from saccade.store.catalog.identity import require_latest_catalog
from saccade.store.catalog.tables import DEFAULT_PROJECT, DatasetRow, ProjectRow, VersionRow
from saccade.store.maintenance.orphans import OrphanFiles, OrphanScanner
from saccade.store.maintenance.reachability import BlobReference, iter_references
from saccade.store.maintenance.relocate import RelocateResult, check_linked_file, relocate
from saccade.store.table.snapshot import Snapshot
from saccade.store.workspace import Workspace

_MIN_FREE_BYTES = 500_000_000
_MAX_LISTED_FILES = 3
_MAX_COPY_AGE_S = 7 * 86400
_RELINK_HINT = "Put them back, or run: saccade doctor --relink FOLDER"
_RESTORE_TABLES_HINT = "Restore the datasets of the workspace from a backup."


@dataclass(frozen=True, slots=True)
class Issue:
    """A problem of a workspace; ``repaired`` if doctor has fixed it."""

    level: Literal["error", "warning"]
    what: str
    hint: str
    repaired: bool = False


VersionList = list[tuple[str, Snapshot, int]]


def doctor(workspace: Workspace, *, repair: bool = False, deep: bool = False) -> list[Issue]:
    """Check the catalog, the table of every version and every referenced file, and find orphans.

    Args:
        workspace: the workspace.
        repair: delete orphans, if there are no writers and the catalog is the latest one of the workspace.
        deep: read every file and compare its digest.
    """
    scanner = OrphanScanner(workspace)  # first: files that are written from here on are no orphans
    versions = list_all_versions(workspace)
    catalog_issues = list(_check_copies(workspace))
    is_latest = not any(issue.level == "error" for issue in catalog_issues)
    issues = [
        *_check_space(workspace),
        *catalog_issues,
        *_check_catalog(workspace),
        *_check_tables(versions),
        *_check_files(workspace, versions, deep),
    ]
    if is_latest and repair:
        return issues + _repair(workspace)
    return issues + _to_issues(scanner.scan(snapshot for _, snapshot, _ in versions), repaired=False)


def relocate_files(workspace: Workspace, folder: Path) -> RelocateResult:
    """Search a folder for missing or changed linked files of all versions.

    Raises:
        NotFoundError: the folder does not exist.
    """
    with workspace.blobs.gc_guard():
        references = iter_references(workspace, _readable_versions(list_all_versions(workspace)))
        return relocate(workspace.blobs, references, folder)


def _repair(workspace: Workspace) -> list[Issue]:
    """Delete orphans if there are no writers, else only report them."""
    with workspace.scratch.exclusive() as is_exclusive:
        scanner = OrphanScanner(workspace, exclusive=is_exclusive)
        orphans = list(scanner.scan(snapshot for _, snapshot, _ in list_all_versions(workspace)))
        if is_exclusive:
            for files in orphans:
                files.delete()
    return _to_issues(orphans, repaired=is_exclusive)


def _to_issues(orphans: Iterable[OrphanFiles], *, repaired: bool) -> list[Issue]:
    return [
        Issue("warning", f"{len(files.paths)} {files.description}.", "Run: saccade doctor --repair", repaired)
        for files in orphans
    ]


def list_all_versions(workspace: Workspace) -> VersionList:
    """List every dataset version of every project: its reference, its snapshot, and its number of items."""
    query = select(ProjectRow.name, DatasetRow.name, VersionRow).join(
        VersionRow, VersionRow.dataset_id == DatasetRow.id
    )
    query = query.join(ProjectRow, ProjectRow.id == DatasetRow.project_id)
    folder = workspace.location / "datasets"
    with workspace.catalog.unscoped.read_tx() as session:
        return [
            (
                f"{'' if project == DEFAULT_PROJECT else f'{project}/'}{name}@{row.number}",
                Snapshot(folder / f"{row.table_id}.lance", row.table_version, Schema.from_json(row.schema)),
                row.items,
            )
            for project, name, row in session.execute(query.order_by(VersionRow.id))
        ]


def _check_catalog(workspace: Workspace) -> Iterator[Issue]:
    if not workspace.catalog.is_sqlite:
        return
    with workspace.catalog.unscoped.read_tx() as session:
        messages = session.scalars(text("PRAGMA integrity_check")).all()
        violations = session.execute(text("PRAGMA foreign_key_check")).all()
    hint = "Restore the catalog from a backup."
    yield from (Issue("error", f"The catalog is damaged: {message}.", hint) for message in messages if message != "ok")
    if violations:
        yield Issue("error", f"{len(violations)} rows of the catalog refer to missing rows.", hint)


def _check_copies(workspace: Workspace) -> Iterator[Issue]:
    """Check that the catalog is the latest one, and has a recent copy."""
    copies = workspace.catalog_copies
    if copies is None:
        return
    try:
        require_latest_catalog(workspace.catalog, copies)
    except WorkspaceError as error:
        yield Issue("error", error.message, error.hint)
    if copies.list() and copies.is_due() and time.time() - copies.list()[0].created.timestamp() > _MAX_COPY_AGE_S:
        what = f"The last copy of the catalog was made {copies.list()[0].created:%Y-%m-%d}."
        yield Issue("warning", what, f"Check that '{copies.folder}' can be written.")


def _check_tables(versions: VersionList) -> Iterator[Issue]:
    for ref, snapshot, items in versions:
        try:
            count = snapshot.table.count_rows()
            missing = [name for name in snapshot.schema.names if name not in snapshot.table.schema.names]
        except (SaccadeError, OSError) as error:
            yield Issue("error", f"{ref} cannot be read: {error}", _RESTORE_TABLES_HINT)
            continue
        if count != items or missing:
            suffix = f"; the columns {missing} are missing" if missing else ""
            yield Issue(
                "error", f"{ref} has {count} items, but the catalog says {items}{suffix}.", _RESTORE_TABLES_HINT
            )


def _check_space(workspace: Workspace) -> Iterator[Issue]:
    free = shutil.disk_usage(workspace.location).free
    if free < _MIN_FREE_BYTES:
        hint = "Free up space, for example with 'saccade gc'."
        yield Issue("warning", f"The disk of the workspace has only {free / 1e6:.0f} MB left.", hint)


def _readable_versions(versions: VersionList) -> Iterator[tuple[str, Snapshot]]:
    for ref, snapshot, _ in versions:
        with suppress(SaccadeError, OSError):  # unreadable versions are reported by _check_tables
            if snapshot.table is not None:
                yield ref, snapshot


def _check_files(workspace: Workspace, versions: VersionList, deep: bool) -> Iterator[Issue]:
    checked: set[bytes] = set()
    linked: dict[str, list[str]] = {}
    for reference in iter_references(workspace, _readable_versions(versions)):
        digest = bytes.fromhex(reference.digest)
        if digest in checked:
            continue  # versions share most of their files
        checked.add(digest)
        if reference.uri is not None:
            if fault := check_linked_file(workspace.blobs, reference, deep):
                linked.setdefault(fault, []).append(reference.uri)
        elif fault := _check_blob(workspace.blobs, reference, deep):
            what = f"A blob of {reference.owner} is {fault}: {reference.digest}."
            yield Issue("error", what, "Import its file again, or pull its dataset again.")
    for fault, uris in linked.items():
        examples = ", ".join(sorted(uris)[:_MAX_LISTED_FILES]) + (" …" if len(uris) > _MAX_LISTED_FILES else "")
        yield Issue("error", f"{len(uris)} linked files are {fault}: {examples}.", _RELINK_HINT)


def _check_blob(blobs: BlobStore, reference: BlobReference, deep: bool) -> str | None:
    if not blobs.exists(reference.digest):
        return "missing"
    has_size = reference.size is None or blobs.contains(reference.digest, reference.size)
    is_intact = has_size and (not deep or blobs.verify(reference.digest))
    return None if is_intact else "damaged"
