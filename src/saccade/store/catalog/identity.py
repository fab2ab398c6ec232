"""Which workspace a catalog belongs to, and whether it is the latest one of that workspace."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from saccade.core.errors import WorkspaceError
from saccade.store.catalog.copies import CatalogCopies
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import CatalogInfoRow, DatasetRow, ModelRow, RunRow

_INFO_ID = 1
RESTORE_HINT = "Restore it from the newest copy: saccade doctor --restore-catalog"
ACCEPT_HINT = "Check the datasets and models, then run: saccade doctor --accept-catalog"


def lost_catalog_error(folder: Path, copies: CatalogCopies) -> WorkspaceError:
    """Build the error for a workspace whose catalog is missing or empty.

    Args:
        folder: the workspace folder.
        copies: the copies of the catalog.
    """
    newest = next(iter(copies.list()), None)
    hint = "Restore a backup: saccade restore BACKUP FOLDER"
    if newest is not None:
        hint = f"{RESTORE_HINT} (made {newest.created:%Y-%m-%d %H:%M} UTC)"
    return WorkspaceError(f"The catalog of the workspace '{folder}' is missing or empty.", hint=f"{hint}.")


def check_identity(catalog: Catalog, workspace_id: str, tables_dir: Path) -> None:
    """Check that a catalog belongs to the workspace. A catalog of an earlier version is marked as belonging to it.

    Args:
        catalog: the catalog, with all tables.
        workspace_id: id of the workspace.
        tables_dir: folder with the tables of datasets.

    Raises:
        WorkspaceError: it belongs to another workspace, or is a new one although the workspace has data.
    """
    with catalog.unscoped.read_tx() as session:
        row = session.get(CatalogInfoRow, _INFO_ID)
        is_empty = row is None and not any(
            session.scalar(select(table.id).limit(1)) for table in (DatasetRow, ModelRow, RunRow)
        )
    if row is not None:
        if row.workspace_id != workspace_id:
            raise WorkspaceError(
                f"The catalog belongs to another workspace ({row.workspace_id}, not {workspace_id}).",
                hint="Put the right catalog back, or restore a backup.",
            )
        return
    # Versions before 0.2 created a new catalog if it was lost.
    if is_empty and any(tables_dir.glob("*.lance")):
        raise WorkspaceError(
            "The catalog is empty, but the workspace has tables of datasets.",
            hint="Put the right catalog back, or restore a backup: saccade restore BACKUP FOLDER",
        )
    write_identity(catalog, workspace_id)


def write_identity(catalog: Catalog, workspace_id: str) -> None:
    """Record that a catalog belongs to a workspace."""
    with catalog.unscoped.write_tx() as session:
        row = session.get(CatalogInfoRow, _INFO_ID)
        if row is None:
            session.add(CatalogInfoRow(id=_INFO_ID, workspace_id=workspace_id))
        else:
            row.workspace_id = workspace_id


def copy_count(catalog: Catalog) -> int:
    """Return how many copies were made of a catalog; it never decreases."""
    with catalog.unscoped.read_tx() as session:
        return session.get_one(CatalogInfoRow, _INFO_ID).copies


def require_latest_catalog(catalog: Catalog, copies: CatalogCopies) -> None:
    """Check that nothing newer than the catalog exists. Only then may files that it does not refer to be deleted.

    Args:
        catalog: the catalog.
        copies: its copies.

    Raises:
        WorkspaceError: the catalog was restored, or replaced by an older one, and no user has accepted that.
    """
    with catalog.unscoped.read_tx() as session:
        row = session.get_one(CatalogInfoRow, _INFO_ID)
    newest = next(iter(copies.list()), None)
    if row.restored_from is not None:
        raise WorkspaceError(
            f"The catalog was restored from a copy of {_format_time(row.restored_from)}. Files that were written after"
            " that would be deleted.",
            hint=ACCEPT_HINT,
        )
    if newest is not None and newest.number > row.copies:
        raise WorkspaceError(
            f"The catalog is older than its copy of {_format_time(newest.created)}. Files that only the copy refers to"
            " would be deleted.",
            hint=f"{RESTORE_HINT}. Or, if the older one is right: saccade doctor --accept-catalog",
        )


def accept_catalog(catalog: Catalog, copies: CatalogCopies) -> None:
    """Accept a restored or replaced catalog as the latest one of the workspace."""
    newest = next(iter(copies.list()), None)
    with catalog.unscoped.write_tx() as session:
        row = session.get_one(CatalogInfoRow, _INFO_ID)
        row.restored_from = None
        if newest is not None:
            row.copies = max(row.copies, newest.number)


def _format_time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
