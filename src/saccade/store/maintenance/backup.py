"""A copy of a whole workspace, which is a workspace itself: made while people work, and brought up to date cheaply.

What data is stored in never changes once the catalog names it, and it is stored before. So the catalog is read first,
in one transaction, and the files after it; in the copy the catalog comes last.
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
from saccade.core.progress import Progress, Silent
from saccade.store.blobs.blob_store import ObjectStore
from saccade.store.catalog.session import Catalog
from saccade.store.catalog.tables import Base, SessionRow, SignInRow, VersionRow
from saccade.store.io.atomic import Scratch, put_in_place, sync_many, write_whole
from saccade.store.table import key_index
from saccade.store.workspace import CATALOG, FACTS, Workspace, catalog_url, facts_of, folder_of, read_facts

_FOLDERS = ("objects", "datasets", "runs", "jobs")
_LASTING = ("objects", "datasets")
"""Whose files never change: one of the same size is the same."""
_ROWS, _FILES = 1000, 1000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Copied:
    """Where the copy lies, how many files and bytes were copied, how many were there already, and how many went."""

    location: Path
    files: int
    bytes: int
    there: int
    removed: int


def back_up(workspace: Workspace, target: Path | str, progress: Progress | None = None) -> Copied:
    """Make a copy of a workspace in a folder, or bring one that is there up to date.

    Killed on the way, the copy is as it was before, or is not a workspace yet. Nobody is signed in in it.

    Raises:
        ConflictError: another workspace is there; or something was removed from this one meanwhile.
    """
    folder = folder_of(target)
    if (folder / FACTS).exists() and read_facts(folder).get("id") != workspace.id:
        raise ConflictError(f"In '{folder.parent}' there is another workspace.", hint="Choose an empty folder.")
    return _copy(workspace, folder, "", "", progress or Silent())


def restore(
    backup: Path | str, target: Path | str, catalog: str = "", objects: str = "", progress: Progress | None = None
) -> Copied:
    """Make a workspace of a copy of one.

    Args:
        catalog: the URL of an empty database of PostgreSQL; a file where it is left out.
        objects: the URL of a place for images and other files; a folder of the workspace where it is left out.

    Raises:
        ConflictError: there is a workspace already.
    """
    folder = folder_of(target)
    if (folder / FACTS).exists():
        raise ConflictError(f"In '{folder.parent}' there is a workspace.", hint="Choose an empty folder.")
    with Workspace.open(backup) as source:
        return _copy(source, folder, catalog, objects, progress or Silent())


def _copy(source: Workspace, folder: Path, catalog: str, objects: str, progress: Progress) -> Copied:
    # A workspace of the same name would clear away what another one needs: a place elsewhere gets a name of its own.
    facts = facts_of(uuid.uuid4().hex if objects else source.id, catalog, objects)
    with source.scratch.working():  # what is not needed any more is not cleared meanwhile
        for name in (*_FOLDERS, "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        new = folder / f".{CATALOG}.{uuid.uuid4().hex}"
        try:
            into = Catalog(catalog_url(catalog) if catalog else URL.create("sqlite", database=str(new)))
            try:
                into.prepare()
                tables = _copy_rows(source.catalog.whole, into)
            finally:
                into.close()
            copied = _copy_files(source.location, folder, progress, but="objects" if objects else "")
            if objects or not source.objects.is_local:
                store = ObjectStore(str(facts.get("objects", folder / "objects")), Scratch(folder / "tmp"))
                copied = _copy_objects(source.objects, store, copied, progress)
            if gone := tables - {path.stem for path in (folder / "datasets").iterdir()}:
                raise _removed(f"the table {min(gone)}")
            if not catalog:
                for log in folder.glob(f"{CATALOG}-*"):  # SQLite would add it to the new file
                    log.unlink()
                put_in_place(new, folder / CATALOG)
        finally:
            for left in folder.glob(f"{new.name}*"):
                left.unlink()
        write_whole(folder / FACTS, json.dumps(facts).encode())
    removed = _remove_others(source, folder)
    progress.finish()
    return Copied(folder, *copied, removed)


def _copy_rows(source: Catalog, into: Catalog) -> set[str]:
    """Copy every table; the names of the tables of data that its versions need."""
    tables = Base.metadata.sorted_tables
    with source.reading() as reading, into.writing() as writing:
        for table in reversed(tables):
            if into.is_sqlite or table.name == "projects":
                writing.execute(delete(table))
            elif writing.scalar(select(func.count()).select_from(table)):
                raise ConflictError("The database is not empty.", hint="A workspace needs one of its own.")
        for table in tables:
            if table.name in (SessionRow.__tablename__, SignInRow.__tablename__):
                continue
            rows = reading.connection().execution_options(yield_per=_ROWS).execute(table.select())
            for some in rows.mappings().partitions(_ROWS):
                writing.execute(insert(table), [dict(row) for row in some])
        if not into.is_sqlite:
            _go_on_counting(writing.connection())
        return set(reading.scalars(select(VersionRow.table_id).distinct()))


def _go_on_counting(connection: Connection) -> None:
    """Let PostgreSQL number new rows after those that came with a number."""
    for table in Base.metadata.sorted_tables:
        (column, *more) = table.primary_key.columns
        if not more and isinstance(column.type, Integer):
            highest = connection.scalar(select(func.max(column)))
            if highest is not None:
                sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
                connection.execute(text("SELECT setval(:name, :value)"), {"name": sequence, "value": highest})


def _copy_files(source: Path, folder: Path, progress: Progress, but: str) -> tuple[int, int, int]:
    copied, size, there = 0, 0, 0
    waiting: list[Path] = []
    progress.start("Copying files")
    for place in _files(source):
        name = place.relative_to(source)
        if place.name.startswith(".") or name.parts[0] == but:
            continue  # a file that somebody is in the middle of writing is needed by nothing that is done
        target = folder / name
        try:
            facts = place.stat()
            if _is_there(target, facts, name.parts[0] in _LASTING):
                there += 1
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary = target.with_name(f".{target.name}.copy")
                shutil.copyfile(place, temporary)
                os.utime(temporary, ns=(facts.st_atime_ns, facts.st_mtime_ns))
                temporary.replace(target)
                waiting.append(target)
                copied, size = copied + 1, size + facts.st_size
        except FileNotFoundError:
            if name.parts[0] in _LASTING:
                raise _removed(str(name)) from None
        if len(waiting) == _FILES:
            sync_many(waiting, folder)
            waiting.clear()
        progress.advance()
    sync_many(waiting, folder)
    return copied, size, there


def _files(location: Path) -> Iterator[Path]:
    for name in _FOLDERS:
        for folder, folders, files in os.walk(location / name):
            folders[:] = [one for one in folders if one != key_index.FOLDER]  # made again where it is missing
            yield from (Path(folder, file) for file in files)


def _is_there(target: Path, facts: os.stat_result, lasts: bool) -> bool:
    try:
        found = target.stat()
    except FileNotFoundError:
        return False
    return found.st_size == facts.st_size and (lasts or found.st_mtime_ns == facts.st_mtime_ns)


def _copy_objects(
    source: ObjectStore, into: ObjectStore, copied: tuple[int, int, int], progress: Progress
) -> tuple[int, int, int]:
    """Copy objects from one place to another where files alone do not do."""
    files, size, there = copied
    progress.start("Copying objects")
    for some in batched(source.digests(), _FILES):
        with into.batch() as batch:
            for digest, length in some:
                if into.is_held(digest, length):
                    there += 1
                else:
                    with source.open(digest) as stream:
                        if not batch.put_stream(stream, digest, length):
                            raise WorkspaceError(f"The object {digest} is damaged.", hint="Run: saccade doctor --deep")
                    files, size = files + 1, size + length
                progress.advance()
            batch.finish()
    for digest in source.moves():
        into.relink(digest, source.places(digest, None)[0])
    return files, size, there


def batched(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """Some at a time."""
    rest = iter(things)
    while some := list(islice(rest, size)):
        yield some


def _remove_others(source: Workspace, folder: Path) -> int:
    """Remove from a copy the files that its workspace has no more: the catalog, by now, needs none of them."""
    removed = 0
    for place in _files(folder):
        name = place.relative_to(folder)
        if name.parts[0] == "objects" and not source.objects.is_local:
            continue
        if not (source.location / name).exists():
            place.unlink()
            removed += 1
    for part in _FOLDERS:
        for inside, _, _ in os.walk(folder / part, topdown=False):
            if inside != str(folder / part) and not any(Path(inside).iterdir()):
                Path(inside).rmdir()
    return removed


def _removed(what: str) -> ConflictError:
    return ConflictError(f"While it was copied, {what} was removed.", hint="Run it again.")
