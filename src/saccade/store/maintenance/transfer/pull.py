"""Copying a dataset with its versions into a workspace."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from saccade.core.errors import ConflictError, FormatError, MediaError, NotFoundError, WorkspaceError, nearest
from saccade.core.progress import Progress, Silent
from saccade.core.schema import Schema
from saccade.store.blobs.blob_batch import ObjectBatch
from saccade.store.catalog.names import check_name, exact
from saccade.store.catalog.queries import project_id
from saccade.store.catalog.tables import BranchRow, DatasetAliasRow, DatasetRow, VersionRow
from saccade.store.datasets.rows import tell_version
from saccade.store.io.atomic import sync_files, sync_folder
from saccade.store.maintenance.transfer.manifest import FileFacts, Manifest, VersionFacts
from saccade.store.maintenance.transfer.push import (
    Copied,
    check_history,
    each,
    facts_of,
    media_path,
    newest_manifest,
    read_list,
)
from saccade.store.maintenance.transfer.remote import PIECE, Place, place_to_read
from saccade.store.table.snapshot import Snapshot
from saccade.store.workspace import Workspace

_AS = "Pull it under another name, with --as."
_PUSH_AGAIN = "The copy is damaged: push the dataset again."


def pull_dataset(
    workspace: Workspace,
    where: str,
    name: str | None = None,
    *,
    as_name: str | None = None,
    progress: Progress | None = None,
) -> Copied:
    """Copy a dataset that was pushed to a folder, a ``.zip`` or a URL into the workspace, all of it or nothing.

    Every file is checked against its digest, and every version is opened and counted. Where the workspace has the
    dataset already, only what is new there is copied, and branches move on; ConflictError where the two grew apart.

    Args:
        name: of the dataset there; may be left out where there is only one.
        as_name: what it is to be called here.
    """
    with place_to_read(where) as place:
        theirs = _find(place, name)
        theirs = theirs.model_copy(update={"name": check_name("dataset", as_name or theirs.name)})
        with workspace.scratch.working() as folder, workspace.objects.batch(packed=True) as objects:
            return _Pull(workspace, theirs, place, folder, objects, progress or Silent()).run()


def _find(place: Place, name: str | None) -> Manifest:
    known = place.names("datasets")
    if not known:
        raise NotFoundError(f"'{place.url}' has no dataset.", hint="Push one to it: saccade datasets push NAME WHERE")
    if name is None and len(known) > 1:
        raise NotFoundError(f"'{place.url}' has several datasets.", hint=f"Name one: {', '.join(known[:20])}.")
    wanted = name or known[0]
    manifest = newest_manifest(place, wanted)[1] if wanted in known else None
    if manifest is None:
        raise NotFoundError(f"'{place.url}' has no dataset '{wanted}'.", hint=nearest(wanted, known))
    return manifest


class _Pull:
    def __init__(
        self,
        workspace: Workspace,
        theirs: Manifest,
        place: Place,
        folder: Path,
        objects: ObjectBatch,
        progress: Progress,
    ) -> None:
        self._workspace, self._theirs, self._place = workspace, theirs, place
        self._folder, self._objects, self._progress = folder, objects, progress
        self._tables = workspace.location / "datasets"

    def run(self) -> Copied:
        with self._workspace.catalog.reading() as session:
            wanted = _new_versions(session, self._theirs, self._workspace.id, self._place.url)
        media, files = self._missing_media(), self._missing_files()
        size = sum(size for _, size in media) + sum(facts.size for facts in files.values())
        self._check_space(size)
        self._progress.start("Copying", len(media) + len(files))
        each(self._fetch_media, media, self._place.threads)
        self._objects.finish()
        for name, facts in files.items():
            self._fetch_file(name, facts)
        self._place_files(files)
        self._progress.finish()
        self._check_versions(wanted)
        with self._workspace.catalog.writing() as session:
            new, kept = _record(session, self._theirs, self._workspace.id, self._place.url)
        name = self._theirs.name
        versions = tuple(exact(name, number) for number in new)
        return Copied(name, self._place.url, versions, len(media) + len(files), size, kept_aliases=kept)

    def _missing_media(self) -> list[tuple[str, int]]:
        listed = (read_list(self._place, digest, facts) for digest, facts in self._theirs.media.items())
        wanted = {digest: size for part in listed for digest, size in part}
        return [(digest, size) for digest, size in wanted.items() if not self._workspace.objects.is_held(digest, size)]

    def _missing_files(self) -> dict[str, FileFacts]:
        return {name: facts for name, facts in self._theirs.files.items() if not _is_there(self._path(name), facts)}

    def _path(self, name: str) -> Path:
        table, part, file = name.split("/")
        return self._tables / f"{table}.lance" / part / file

    def _check_space(self, size: int) -> None:
        free = shutil.disk_usage(self._workspace.location).free
        if size > free:
            raise WorkspaceError(
                f"The dataset needs {size / 1e9:.1f} GB, and the disk has {free / 1e9:.1f} GB.", hint="Make room first."
            )

    def _fetch_media(self, media: tuple[str, int]) -> None:
        digest, size = media
        with self._place.open(media_path(digest)) as stream:
            if not self._objects.put_stream(stream, digest, size):
                raise MediaError(f"The file {digest} in '{self._place.url}' is damaged.", hint=_PUSH_AGAIN)
        self._progress.advance(1, digest[:12])

    def _fetch_file(self, name: str, facts: FileFacts) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not _copy(self._place, f"tables/{name}", path, facts):
            raise FormatError(f"The file tables/{name} in '{self._place.url}' is damaged.", hint=_PUSH_AGAIN)
        self._progress.advance(1, path.name)

    def _place_files(self, files: dict[str, FileFacts]) -> None:
        """Give the files their places: nothing knows of them yet, and doctor clears them where that stays so."""
        for name in files:
            final = self._path(name)
            final.parent.mkdir(parents=True, exist_ok=True)
            (self._folder / name).replace(final)
        sync_files(self._path(name) for name in files)
        for table in {self._path(name).parent.parent for name in files}:
            sync_folder(table)
        sync_folder(self._tables)

    def _check_versions(self, versions: list[VersionFacts]) -> None:
        for version in versions:
            snapshot = Snapshot(
                self._tables / f"{version.table}.lance", version.table_version, Schema.from_json(version.columns)
            )
            found = snapshot.table.count_rows()
            if found != version.items:
                raise FormatError(
                    f"Version {version.number} has {found} items where {version.items} are said.", hint=_PUSH_AGAIN
                )


def _is_there(path: Path, facts: FileFacts) -> bool:
    try:
        return path.stat().st_size == facts.size
    except OSError:
        return False


def _copy(place: Place, name: str, path: Path, facts: FileFacts) -> bool:
    """Copy a file; whether it has its digest and size."""
    found, rest = hashlib.sha256(), facts.size + 1
    with place.open(name) as stream, path.open("wb") as file:
        while rest and (piece := stream.read(min(rest, PIECE))):
            file.write(piece)
            found.update(piece)
            rest -= len(piece)
    return rest == 1 and found.hexdigest() == facts.sha256


def _row(session: Session, name: str) -> DatasetRow | None:
    project = project_id(session)
    return session.scalar(select(DatasetRow).where(DatasetRow.project_id == project, DatasetRow.name == name))


def _new_versions(session: Session, theirs: Manifest, workspace_id: str, where: str) -> list[VersionFacts]:
    """The versions that the workspace has not; ConflictError where it has others instead."""
    row = _row(session, theirs.name)
    if row is None:
        return list(theirs.versions)
    if row.removed is not None:
        if row.uid != theirs.uid and row.last_number:
            raise ConflictError(f"'{theirs.name}' was another dataset here, which has been removed.", hint=_AS)
        return list(theirs.versions)
    ours = facts_of(session, row, workspace_id)
    check_history(ours, theirs, where, _AS)
    known = ours.by_number()
    new = [version for version in theirs.versions if version.number not in known]
    for branch, head in theirs.branches.items():
        here = ours.branches.get(branch)
        if here is not None and here != head and not _leads_to(theirs, here, head) and not _leads_to(ours, head, here):
            raise ConflictError(f"The branch '{branch}' is at {here} here and at {head} in '{where}'.", hint=_AS)
    return new


def _leads_to(manifest: Manifest, first: int, last: int) -> bool:
    return first in _chain(manifest, last)


def _chain(manifest: Manifest, number: int | None) -> Iterator[int]:
    versions = manifest.by_number()
    while number is not None:
        yield number
        number = versions[number].parent if number in versions else None


def _record(session: Session, theirs: Manifest, workspace_id: str, where: str) -> tuple[list[int], tuple[str, ...]]:
    """The moment at which the dataset comes to be: its new versions, and the aliases that stay as they are here."""
    new = _new_versions(session, theirs, workspace_id, where)
    row = _row(session, theirs.name)
    if row is None:
        row = DatasetRow(project_id=project_id(session), name=theirs.name, last_number=0)
        session.add(row)
    row.uid, row.removed = theirs.uid, None
    row.last_number = max([row.last_number, *(version.number for version in theirs.versions)])
    session.flush()
    for version in new:
        made = _version_row(row.id, version)
        session.add(made)
        tell_version(session, row, made)
    for name, head in theirs.branches.items():
        branch = session.get(BranchRow, (row.id, name))
        if branch is None:
            session.add(BranchRow(dataset_id=row.id, name=name, head=head))
        elif _leads_to(theirs, branch.head, head):
            branch.head = head
    kept = []
    for fixed, aliases in ((False, theirs.aliases), (True, theirs.tags)):
        for name, number in aliases.items():
            alias = session.get(DatasetAliasRow, (row.id, name))
            if alias is None:
                session.add(DatasetAliasRow(dataset_id=row.id, name=name, number=number, fixed=fixed))
            elif alias.number != number:
                kept.append(name)
    return [version.number for version in new], tuple(kept)


def _version_row(dataset_id: int, version: VersionFacts) -> VersionRow:
    return VersionRow(
        dataset_id=dataset_id,
        number=version.number,
        branch=version.branch,
        parent=version.parent,
        merged=version.merged,
        table_id=version.table,
        table_version=version.table_version,
        schema=version.columns,
        message=version.message,
        author=version.author,
        created=version.created,
        items=version.items,
        added=version.added,
        removed=version.removed,
        changed=version.changed,
        run_id=None,
        inputs=[],
        origin=version.origin,
    )
