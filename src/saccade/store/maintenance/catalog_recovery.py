"""Recovery of a lost or damaged catalog from one of its copies."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from saccade.core.errors import ConflictError, WorkspaceError
from saccade.store.catalog.copies import CatalogCopy, is_intact
from saccade.store.workspace import CATALOG_FILE, catalog_copies, load_config


@dataclass(frozen=True, slots=True)
class RecoveryResult:
    """The result of a recovery.

    Attributes:
        copy: the copy from which the catalog was restored.
        previous_files: folder with the files of the old catalog; None if there were none.
    """

    copy: CatalogCopy
    previous_files: Path | None


def restore_catalog(folder: Path) -> RecoveryResult:
    """Restore the catalog of a workspace from its newest intact copy.

    The old files of the catalog are moved, not deleted. Until a user accepts the restored catalog, nothing is deleted
    that it does not refer to; see :func:`saccade.store.catalog.identity.require_latest_catalog`.

    Args:
        folder: the workspace folder.

    Raises:
        ConflictError: the catalog is intact, belongs to this workspace and is not older than the copy.
        WorkspaceError: the catalog is a PostgreSQL database, or there is no intact copy.
    """
    config = load_config(folder)
    if config.get("catalog"):
        raise WorkspaceError(
            "The catalog is a PostgreSQL database.", hint="Restore it with the tools of PostgreSQL, or from a backup."
        )
    copies = catalog_copies(folder)
    copy = copies.newest_intact()
    if copy is None:
        raise WorkspaceError(
            f"There is no intact copy of the catalog in '{copies.folder}'.",
            hint="Restore a backup: saccade restore BACKUP FOLDER",
        )
    if is_intact(folder / CATALOG_FILE) and _is_latest(folder / CATALOG_FILE, str(config.get("id", "")), copy):
        raise ConflictError("The catalog is intact.", hint="Nothing needs to be restored.")
    try:
        return RecoveryResult(copy, copies.restore(copy))
    except (OSError, sqlite3.Error) as error:
        raise WorkspaceError(
            f"The catalog cannot be restored: {error}.", hint="Check that the disk has free space."
        ) from error


def _is_latest(catalog: Path, workspace_id: str, copy: CatalogCopy) -> bool:
    """Return whether an intact catalog belongs to the workspace and is not older than a copy."""
    with closing(sqlite3.connect(catalog)) as connection:
        row = connection.execute("SELECT workspace_id, copies FROM catalog_info").fetchone()
    return row is not None and row[0] == workspace_id and row[1] >= copy.number
