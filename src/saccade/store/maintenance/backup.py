"""Backups: a copy of a whole workspace, which is a workspace itself.

A backup can be taken while the workspace is in use, and updated incrementally. Table files and blobs are written before
the catalog refers to them, and never change afterwards. So the catalog is read first, in one transaction, and the files
after it; in the backup the catalog is replaced last.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection, Integer, delete, func, insert, select, text

from saccade.core.errors import ConflictError, WorkspaceError
from saccade.core.progress import NullProgress, Progress
from saccade.io.atomic import atomic_replace, atomic_write, fsync_many, make_private_dir
from saccade.store.blobs.blob_store import BlobStore
from saccade.store.catalog.identity import copy_count, write_identity
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import DEFAULT_PROJECT, Base, PendingLoginRow, SessionRow, VersionRow
from saccade.store.io.scratch import ScratchDir
from saccade.store.table import key_index
from saccade.store.workspace import (
    CATALOG_FILE,
    CONFIG_FILE,
    Workspace,
    build_config,
    load_config,
    parse_catalog_url,
    resolve_folder,
)

_FOLDERS = ("objects", "datasets", "runs", "jobs")
_IMMUTABLE_FOLDERS = ("objects", "datasets")
"""Files in these never change: one of the same size is the same."""
_EXCLUDED_TABLES = (SessionRow.__tablename__, PendingLoginRow.__tablename__)
_ROWS_PER_BATCH = 1000
_FILES_PER_FSYNC = 1000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BackupResult:
    """The result of a backup or restore.

    Attributes:
        location: the workspace folder of the copy.
        files: number of files copied.
        bytes: their total size.
        unchanged: number of files that the copy already had.
        removed: number of files deleted from the copy.
    """

    location: Path
    files: int
    bytes: int
    unchanged: int
    removed: int


def back_up(workspace: Workspace, target: Path | str, progress: Progress | None = None) -> BackupResult:
    """Create or update a backup of a workspace.

    If the process is killed, an existing backup stays as it was, and a new one is not a workspace yet. Sessions and
    pending logins are not copied.

    Args:
        workspace: the workspace.
        target: an empty folder, or the folder of an earlier backup of this workspace.
        progress: reports the progress.

    Raises:
        ConflictError: the folder contains another workspace, or a newer backup; or data was deleted from this
            workspace in the meantime.
        WorkspaceError: the catalog may not be the latest one of the workspace.
    """
    folder = resolve_folder(target)
    workspace.require_latest_catalog()
    if (folder / CONFIG_FILE).exists():
        if load_config(folder).get("id") != workspace.id:
            raise ConflictError(f"'{folder.parent}' contains another workspace.", hint="Choose an empty folder.")
        _require_older_backup(workspace, folder)
    return _copy_workspace(workspace, folder, "", "", progress or NullProgress())


def _require_older_backup(workspace: Workspace, folder: Path) -> None:
    """Check that a backup is not newer than the workspace, for example because the workspace's catalog was lost."""
    try:
        with Workspace.open(folder, DEFAULT_PROJECT) as backup:
            is_newer = copy_count(backup.catalog) > copy_count(workspace.catalog)
    except WorkspaceError:
        return  # an incomplete or damaged backup can be replaced
    if is_newer:
        raise ConflictError(
            f"The backup in '{folder.parent}' is newer than the workspace.",
            hint="Choose an empty folder, or restore the workspace from the backup.",
        )


def restore(
    backup: Path | str, target: Path | str, catalog: str = "", objects: str = "", progress: Progress | None = None
) -> BackupResult:
    """Create a workspace from a backup.

    Args:
        backup: the folder of the backup.
        target: the folder for the workspace.
        catalog: URL of an empty PostgreSQL database; "" for an SQLite file.
        objects: URL for images and other blobs; "" for a folder of the workspace.
        progress: reports the progress.

    Raises:
        ConflictError: the folder contains a workspace, or the database is not empty.
        WorkspaceError: the backup is not a workspace, or is damaged.
    """
    folder = resolve_folder(target)
    if (folder / CONFIG_FILE).exists():
        raise ConflictError(f"'{folder.parent}' already contains a workspace.", hint="Choose an empty folder.")
    with Workspace.open(backup) as source:
        return _copy_workspace(source, folder, catalog, objects, progress or NullProgress())


def _copy_workspace(source: Workspace, folder: Path, catalog: str, objects: str, progress: Progress) -> BackupResult:
    # With blobs at a URL the copy gets an id of its own: the id is the name of its folder there, and the garbage
    # collections of two workspaces with the same folder would delete each other's blobs.
    config = build_config(uuid.uuid4().hex if objects else source.id, catalog, objects)
    with source.scratch.shared():  # no garbage collection until the end
        folder.parent.mkdir(parents=True, exist_ok=True)
        for name in (*_FOLDERS, "tmp"):
            make_private_dir(folder / name)
        new_catalog = folder / f".{CATALOG_FILE}.{uuid.uuid4().hex}"
        try:
            database = parse_catalog_url(catalog) if catalog else URL.create("sqlite", database=str(new_catalog))
            destination = Catalog(database)
            try:
                destination.migrate()
                table_ids = _copy_rows(source.catalog.unscoped, destination)
                write_identity(destination, str(config["id"]))
            finally:
                destination.close()
            counts = _copy_files(source.location, folder, progress, excluded="objects" if objects else "")
            if objects or not source.blobs.is_local:
                store = BlobStore(str(config.get("objects", folder / "objects")), ScratchDir(folder / "tmp"))
                counts = _copy_blobs(source.blobs, store, counts, progress)
            if missing := table_ids - {path.stem for path in (folder / "datasets").iterdir()}:
                raise _deleted_error(f"the table {min(missing)}")
            if not catalog:
                for log in folder.glob(f"{CATALOG_FILE}-*"):  # SQLite would apply the old log to the new file
                    log.unlink()
                atomic_replace(new_catalog, folder / CATALOG_FILE)
        finally:
            for path in folder.glob(f"{new_catalog.name}*"):
                path.unlink()
        atomic_write(folder / CONFIG_FILE, json.dumps(config).encode())
    removed = _delete_extra_files(source, folder)  # last: until the new catalog is there, the old one needs them
    progress.finish()
    return BackupResult(folder, *counts, removed)


def _copy_rows(source: Catalog, destination: Catalog) -> set[str]:
    """Copy every table of the catalog; returns the ids of the Lance tables that its versions need."""
    tables = Base.metadata.sorted_tables
    with source.read_tx() as reader, destination.write_tx() as writer:
        for table in reversed(tables):
            if destination.is_sqlite or table.name == "projects":
                writer.execute(delete(table))
            elif writer.scalar(select(func.count()).select_from(table)):
                raise ConflictError("The database is not empty.", hint="Give an empty database for the workspace.")
        for table in tables:
            if table.name in _EXCLUDED_TABLES:
                continue
            rows = reader.connection().execution_options(yield_per=_ROWS_PER_BATCH).execute(table.select())
            for batch in rows.mappings().partitions(_ROWS_PER_BATCH):
                writer.execute(insert(table), [dict(row) for row in batch])
        if not destination.is_sqlite:
            _advance_sequences(writer.connection())
        return set(reader.scalars(select(VersionRow.table_id).distinct()))


def _advance_sequences(connection: Connection) -> None:
    """Advance the sequences of PostgreSQL beyond the copied ids."""
    for table in Base.metadata.sorted_tables:
        column, *other_columns = table.primary_key.columns
        if not other_columns and isinstance(column.type, Integer):
            highest = connection.scalar(select(func.max(column)))
            if highest is not None:
                sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
                connection.execute(text("SELECT setval(:name, :value)"), {"name": sequence, "value": highest})


def _copy_files(source: Path, folder: Path, progress: Progress, excluded: str) -> tuple[int, int, int]:
    """Copy new and changed files; returns the number of copied files, their bytes, and the number of unchanged ones."""
    copied = 0
    copied_bytes = 0
    unchanged = 0
    to_fsync: list[Path] = []
    progress.start("Copying files")
    for path in _list_files(source):
        name = path.relative_to(source)
        if path.name.startswith(".") or name.parts[0] == excluded:
            continue  # a hidden file is a temporary one, which nothing finished refers to
        target = folder / name
        is_immutable = name.parts[0] in _IMMUTABLE_FOLDERS
        try:
            stat = path.stat()
            if _is_unchanged(target, stat, is_immutable):
                unchanged += 1
            else:
                make_private_dir(target.parent)
                temporary = target.with_name(f".{target.name}.copy")
                shutil.copyfile(path, temporary)
                os.utime(temporary, ns=(stat.st_atime_ns, stat.st_mtime_ns))
                temporary.replace(target)  # a killed copy leaves no incomplete file with a final name
                to_fsync.append(target)
                copied += 1
                copied_bytes += stat.st_size
        except FileNotFoundError:
            if is_immutable:
                raise _deleted_error(str(name)) from None
        if len(to_fsync) == _FILES_PER_FSYNC:
            fsync_many(to_fsync, folder)
            to_fsync.clear()
        progress.advance()
    fsync_many(to_fsync, folder)
    return copied, copied_bytes, unchanged


def _list_files(location: Path) -> Iterator[Path]:
    for name in _FOLDERS:
        for folder, subfolders, files in os.walk(location / name):
            # Key indexes are rebuilt if they are missing.
            subfolders[:] = [subfolder for subfolder in subfolders if subfolder != key_index.INDEX_FOLDER]
            yield from (Path(folder, file) for file in files)


def _is_unchanged(target: Path, source_stat: os.stat_result, is_immutable: bool) -> bool:
    try:
        target_stat = target.stat()
    except FileNotFoundError:
        return False
    same_time = is_immutable or target_stat.st_mtime_ns == source_stat.st_mtime_ns
    return target_stat.st_size == source_stat.st_size and same_time


def _copy_blobs(
    source: BlobStore, destination: BlobStore, counts: tuple[int, int, int], progress: Progress
) -> tuple[int, int, int]:
    """Copy blobs one by one if one of the stores is not a folder; returns ``counts`` with the blobs added."""
    copied, copied_bytes, unchanged = counts
    progress.start("Copying blobs")
    for blobs in batched(source.digests(), _FILES_PER_FSYNC):
        with destination.batch() as batch:
            for digest, size in blobs:
                if destination.contains(digest, size):
                    unchanged += 1
                else:
                    with source.open(digest) as stream:
                        if not batch.put_stream(stream, digest, size):
                            raise WorkspaceError(f"The blob {digest} is damaged.", hint="Run: saccade doctor --deep")
                    copied += 1
                    copied_bytes += size
                progress.advance()
            batch.finish()
    for digest in source.relocations():
        destination.add_relocation(digest, source.candidate_uris(digest, None)[0])
    return copied, copied_bytes, unchanged


def batched(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of up to ``size`` values."""
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch


def _delete_extra_files(source: Workspace, folder: Path) -> int:
    """Delete files that the workspace no longer has; the new catalog of the copy needs none of them."""
    removed = 0
    for path in _list_files(folder):
        name = path.relative_to(folder)
        if name.parts[0] == "objects" and not source.blobs.is_local:
            continue
        if not (source.location / name).exists():
            path.unlink()
            removed += 1
    for top in (folder / name for name in _FOLDERS):
        for subfolder, _, _ in os.walk(top, topdown=False):
            if subfolder != str(top) and not any(Path(subfolder).iterdir()):
                Path(subfolder).rmdir()
    return removed


def _deleted_error(what: str) -> ConflictError:
    return ConflictError(f"During the backup, {what} was deleted.", hint="Run it again.")
