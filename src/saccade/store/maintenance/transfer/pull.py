"""Pull: copies a dataset with its versions from a remote store to a workspace."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from saccade.core.digest import copy_with_digest
from saccade.core.errors import ConflictError, FormatError, MediaError, NotFoundError, WorkspaceError, suggest
from saccade.core.progress import NullProgress, Progress
from saccade.core.refs import check_name, format_ref
from saccade.core.schema import Schema
from saccade.io.atomic import fsync_dir, fsync_files, make_private_dir
from saccade.store.blobs.blob_batch import BlobBatch
from saccade.store.catalog.queries import project_id
from saccade.store.catalog.tables import BranchRow, DatasetAliasRow, DatasetRow, VersionRow
from saccade.store.datasets.rows import publish_version_created
from saccade.store.maintenance.transfer.manifest import FileInfo, Manifest, VersionEntry
from saccade.store.maintenance.transfer.push import (
    TransferResult,
    check_history,
    describe_dataset,
    media_path,
    newest_manifest,
    parallel_for_each,
    read_media_list,
)
from saccade.store.maintenance.transfer.remote import RemoteStore, open_remote
from saccade.store.table.snapshot import Snapshot
from saccade.store.workspace import Workspace

_AS_HINT = "Pull it under another name, with --as."
_DAMAGED_HINT = "The copy is damaged: push the dataset again."
_MAX_LISTED_NAMES = 20


def pull_dataset(
    workspace: Workspace,
    location: str,
    name: str | None = None,
    *,
    as_name: str | None = None,
    progress: Progress | None = None,
) -> TransferResult:
    """Copy a dataset that was pushed to a folder, ``.zip`` or URL into the workspace, all or nothing.

    The digest of every file is checked, and every new version is opened and its items counted. If the workspace has the
    dataset already, only new versions are copied, and branches are fast-forwarded.

    Args:
        workspace: the workspace.
        location: the folder, archive or URL.
        name: name of the dataset there; None if there is only one.
        as_name: name of the dataset in the workspace, by default the same.
        progress: reports the progress.

    Raises:
        NotFoundError: there is no such copy or dataset.
        FormatError: the copy is damaged, or was written by a newer Saccade.
        MediaError: a media file of the copy is damaged.
        ConflictError: the dataset here has diverged, or is another one.
        WorkspaceError: the disk has too little space.
    """
    with open_remote(location) as remote:
        manifest = _find(remote, name)
        manifest = manifest.model_copy(update={"name": check_name("dataset", as_name or manifest.name)})
        with workspace.scratch.shared() as folder, workspace.blobs.batch(packed=True) as blobs:
            return _Pull(workspace, manifest, remote, folder, blobs, progress or NullProgress()).run()


def _find(remote: RemoteStore, name: str | None) -> Manifest:
    known = remote.names("datasets")
    if not known:
        raise NotFoundError(f"'{remote.url}' has no dataset.", hint="Push one to it: saccade datasets push NAME WHERE")
    if name is None and len(known) > 1:
        names = ", ".join(known[:_MAX_LISTED_NAMES])
        raise NotFoundError(f"'{remote.url}' has several datasets.", hint=f"Name one: {names}.")
    requested = name or known[0]
    manifest = newest_manifest(remote, requested)[1] if requested in known else None
    if manifest is None:
        raise NotFoundError(f"'{remote.url}' has no dataset '{requested}'.", hint=suggest(requested, known))
    return manifest


class _Pull:
    """A pull of the dataset in ``manifest``; ``folder`` is a temporary folder."""

    def __init__(
        self,
        workspace: Workspace,
        manifest: Manifest,
        remote: RemoteStore,
        folder: Path,
        blobs: BlobBatch,
        progress: Progress,
    ) -> None:
        self._workspace = workspace
        self._manifest = manifest
        self._remote = remote
        self._folder = folder
        self._blobs = blobs
        self._progress = progress
        self._tables_folder = workspace.location / "datasets"

    def run(self) -> TransferResult:
        with self._workspace.catalog.read_tx() as session:
            new_versions = _new_versions(session, self._manifest, self._workspace.id, self._remote.url)
        media = self._missing_media()
        files = self._missing_files()
        size = sum(size for _, size in media) + sum(info.size for info in files.values())
        self._check_space(size)
        self._progress.start("Copying", len(media) + len(files))
        parallel_for_each(self._fetch_media, media, self._remote.threads)
        self._blobs.finish()
        for name, info in files.items():
            self._fetch_file(name, info)
        self._move_table_files(files)
        self._progress.finish()
        self._check_versions(new_versions)
        with self._workspace.catalog.write_tx() as session:
            # _record compares the histories again: the dataset may have changed during the copy.
            numbers, kept_aliases = _record(session, self._manifest, self._workspace.id, self._remote.url)
        name = self._manifest.name
        versions = tuple(format_ref(name, number) for number in numbers)
        return TransferResult(
            name, self._remote.url, versions, len(media) + len(files), size, kept_aliases=kept_aliases
        )

    def _missing_media(self) -> list[tuple[str, int]]:
        lists = (read_media_list(self._remote, digest, info) for digest, info in self._manifest.media.items())
        media = {digest: size for media_list in lists for digest, size in media_list}
        return [(digest, size) for digest, size in media.items() if not self._workspace.blobs.contains(digest, size)]

    def _missing_files(self) -> dict[str, FileInfo]:
        return {name: info for name, info in self._manifest.files.items() if not _exists(self._path(name), info)}

    def _path(self, name: str) -> Path:
        table, folder, file = name.split("/")
        return self._tables_folder / f"{table}.lance" / folder / file

    def _check_space(self, size: int) -> None:
        free = shutil.disk_usage(self._workspace.location).free
        if size > free:
            raise WorkspaceError(
                f"The dataset needs {size / 1e9:.1f} GB, and the disk has {free / 1e9:.1f} GB free.",
                hint="Free up space first.",
            )

    def _fetch_media(self, media: tuple[str, int]) -> None:
        digest, size = media
        with self._remote.open(media_path(digest)) as stream:
            if not self._blobs.put_stream(stream, digest, size):
                raise MediaError(f"The file {digest} in '{self._remote.url}' is damaged.", hint=_DAMAGED_HINT)
        self._progress.advance(1, digest[:12])

    def _fetch_file(self, name: str, info: FileInfo) -> None:
        path = self._folder / name
        make_private_dir(path.parent)
        if not _copy(self._remote, f"tables/{name}", path, info):
            raise FormatError(f"The file tables/{name} in '{self._remote.url}' is damaged.", hint=_DAMAGED_HINT)
        self._progress.advance(1, path.name)

    def _move_table_files(self, files: dict[str, FileInfo]) -> None:
        """Move the table files to their folders. Until the catalog refers to them they are orphans."""
        for name in files:
            final = self._path(name)
            make_private_dir(final.parent)
            (self._folder / name).replace(final)
        fsync_files(self._path(name) for name in files)
        for table_folder in {self._path(name).parent.parent for name in files}:
            fsync_dir(table_folder)
        fsync_dir(self._tables_folder)

    def _check_versions(self, versions: list[VersionEntry]) -> None:
        for version in versions:
            folder = self._tables_folder / f"{version.table}.lance"
            snapshot = Snapshot(folder, version.table_version, Schema.from_json(version.columns))
            count = snapshot.table.count_rows()
            if count != version.items:
                raise FormatError(
                    f"Version {version.number} has {count} items, but its manifest says {version.items}.",
                    hint=_DAMAGED_HINT,
                )


def _exists(path: Path, info: FileInfo) -> bool:
    try:
        return path.stat().st_size == info.size
    except OSError:
        return False


def _copy(remote: RemoteStore, name: str, path: Path, info: FileInfo) -> bool:
    """Copy a file; returns whether its digest and size match."""
    with remote.open(name) as stream, path.open("wb") as file:
        return copy_with_digest(stream, file, info.size) == info.sha256


def _find_row(session: Session, name: str) -> DatasetRow | None:
    project = project_id(session)
    return session.scalar(select(DatasetRow).where(DatasetRow.project_id == project, DatasetRow.name == name))


def _new_versions(session: Session, remote: Manifest, workspace_id: str, location: str) -> list[VersionEntry]:
    """Return the versions that the workspace does not have.

    Raises:
        ConflictError: the dataset here has diverged, or is another one.
    """
    row = _find_row(session, remote.name)
    if row is None:
        return list(remote.versions)
    if row.removed is not None:
        if row.uid != remote.uid and row.last_number:
            raise ConflictError(f"'{remote.name}' was another dataset here, which was removed.", hint=_AS_HINT)
        return list(remote.versions)
    local = describe_dataset(session, row, workspace_id)
    check_history(remote, local, location, _AS_HINT)
    known = local.by_number()
    new = [version for version in remote.versions if version.number not in known]
    for branch, head in remote.branches.items():
        local_head = local.branches.get(branch)
        if local_head is None or local_head == head:
            continue
        if not _is_ancestor(remote, local_head, head) and not _is_ancestor(local, head, local_head):
            raise ConflictError(
                f"The branch '{branch}' has diverged: its head is {local_head} here and {head} in '{location}'.",
                hint=_AS_HINT,
            )
    return new


def _is_ancestor(manifest: Manifest, ancestor: int, number: int) -> bool:
    return ancestor in _history(manifest, number)


def _history(manifest: Manifest, number: int | None) -> Iterator[int]:
    versions = manifest.by_number()
    while number is not None:
        yield number
        number = versions[number].parent if number in versions else None


def _record(session: Session, remote: Manifest, workspace_id: str, location: str) -> tuple[list[int], tuple[str, ...]]:
    """Add the dataset or its new versions to the catalog.

    Returns:
        The numbers of the new versions, and the aliases that were not changed because they exist.
    """
    new_versions = _new_versions(session, remote, workspace_id, location)
    row = _find_row(session, remote.name)
    if row is None:
        row = DatasetRow(project_id=project_id(session), name=remote.name, last_number=0)
        session.add(row)
    row.uid = remote.uid
    row.removed = None
    row.last_number = max([row.last_number, *(version.number for version in remote.versions)])
    session.flush()
    for version in new_versions:
        version_row = _to_row(row.id, version)
        session.add(version_row)
        publish_version_created(session, row, version_row)
    for name, head in remote.branches.items():
        branch = session.get(BranchRow, (row.id, name))
        if branch is None:
            session.add(BranchRow(dataset_id=row.id, name=name, head=head))
        elif _is_ancestor(remote, branch.head, head):
            branch.head = head
    kept_aliases = []
    for fixed, aliases in ((False, remote.aliases), (True, remote.tags)):
        for name, number in aliases.items():
            alias = session.get(DatasetAliasRow, (row.id, name))
            if alias is None:
                session.add(DatasetAliasRow(dataset_id=row.id, name=name, number=number, fixed=fixed))
            elif alias.number != number:
                kept_aliases.append(name)
    return [version.number for version in new_versions], tuple(kept_aliases)


def _to_row(dataset_id: int, version: VersionEntry) -> VersionRow:
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
