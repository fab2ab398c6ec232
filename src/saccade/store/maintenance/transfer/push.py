"""Push: copies a dataset with its versions from a workspace to a remote store."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from saccade.core.digest import digest_bytes, digest_file
from saccade.core.errors import ConflictError, MediaError
from saccade.core.progress import NullProgress, Progress
from saccade.core.refs import MAIN, check_name, format_ref, split_ref
from saccade.core.schema import Schema
from saccade.store.catalog.queries import find_dataset, find_version
from saccade.store.catalog.tables import BranchRow, DatasetAliasRow, DatasetRow, RunRow, VersionRow
from saccade.store.io.urls import open_uri
from saccade.store.maintenance.reachability import MediaFile, MediaScanner
from saccade.store.maintenance.transfer.manifest import (
    FileInfo,
    Manifest,
    VersionEntry,
    format_media_line,
    parse_media_lines,
)
from saccade.store.maintenance.transfer.remote import CHUNK_BYTES, RemoteStore, open_remote_for_writing, read_bounded
from saccade.store.table.lance_table import base_manifests, version_files
from saccade.store.table.snapshot import Snapshot
from saccade.store.workspace import Workspace

MAX_MANIFEST_BYTES = 1 << 30
"""Limit for a manifest, and for a list of media."""
_MAX_PUSH_ATTEMPTS = 5
_KEPT_MANIFESTS = 5
_BATCH_SIZE = 256
_LOST_HINT = "Put it back, run saccade doctor --relink FOLDER, or leave out linked files: --no-linked."
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TransferResult:
    """The result of a push or pull.

    Attributes:
        where: location of the remote copy.
        versions: exact references of the versions that were new at the destination.
        files: number of files copied; existing files are not copied again.
        bytes: their total size.
        left_out: number of linked files that were not to be copied.
        kept_aliases: aliases that name another version at the destination, and were not changed.
    """

    dataset: str
    where: str
    versions: tuple[str, ...]
    files: int
    bytes: int
    left_out: int = 0
    kept_aliases: tuple[str, ...] = ()


def newest_manifest(remote: RemoteStore, name: str) -> tuple[int, Manifest | None]:
    """Return the number and content of the newest manifest of a dataset; 0 and None if there is none.

    Raises:
        FormatError: the manifest is damaged.
    """
    names = remote.names(f"datasets/{name}")
    numbers = sorted(int(file.removesuffix(".json")) for file in names if _is_manifest(file))
    if not numbers:
        return 0, None
    path = manifest_path(name, numbers[-1])
    return numbers[-1], Manifest.from_bytes(read_bounded(remote, path, MAX_MANIFEST_BYTES), f"{remote.url}/{path}")


def _is_manifest(name: str) -> bool:
    return name.endswith(".json") and name.removesuffix(".json").isdigit()


def manifest_path(name: str, number: int) -> str:
    return f"datasets/{name}/{number:08}.json"


def media_path(digest: str) -> str:
    return f"objects/{digest[:2]}/{digest[2:]}"


def check_history(remote: Manifest, local: Manifest, location: str, hint: str) -> None:
    """Check that two copies are of the same dataset and have the same versions under the same numbers.

    Args:
        remote: the manifest of the remote copy.
        local: the manifest of the workspace.
        location: the location of the remote copy, for the message.
        hint: what to do about a conflict.

    Raises:
        ConflictError: they are different datasets, or have diverged.
    """
    # Two copies are the same dataset only if every common version is the same version of the same table.
    if remote.uid != local.uid:
        raise ConflictError(f"'{location}' has another dataset with the name '{local.name}'.", hint=hint)
    known = local.by_number()
    for number, version in remote.by_number().items():
        if number in known and known[number].identity != version.identity:
            raise ConflictError(
                f"The copies have diverged: {local.name}@{number} is another version in '{location}'.", hint=hint
            )


def describe_dataset(session: Session, dataset: DatasetRow, workspace_id: str) -> Manifest:
    """Build the manifest of a dataset from the catalog, without files and media."""
    rows = session.scalars(
        select(VersionRow).where(VersionRow.dataset_id == dataset.id).order_by(VersionRow.number)
    ).all()
    aliases = session.scalars(select(DatasetAliasRow).where(DatasetAliasRow.dataset_id == dataset.id)).all()
    branches = session.scalars(select(BranchRow).where(BranchRow.dataset_id == dataset.id)).all()
    return Manifest(
        name=dataset.name,
        uid=dataset.uid,
        versions=tuple(_version_entry(session, row, workspace_id) for row in rows),
        branches={row.name: row.head for row in branches},
        aliases={row.name: row.number for row in aliases if not row.fixed},
        tags={row.name: row.number for row in aliases if row.fixed},
        files={},
        media={},
    )


def _version_entry(session: Session, row: VersionRow, workspace_id: str) -> VersionEntry:
    return VersionEntry(
        number=row.number,
        branch=row.branch,
        parent=row.parent,
        merged=row.merged,
        table=row.table_id,
        table_version=row.table_version,
        columns=row.schema,
        message=row.message,
        author=row.author,
        created=row.created,
        items=row.items,
        added=row.added,
        removed=row.removed,
        changed=row.changed,
        origin=row.origin or _origin(session, row, workspace_id),
    )


def _origin(session: Session, row: VersionRow, workspace_id: str) -> dict[str, Any]:
    run = None if row.run_id is None else session.get(RunRow, row.run_id)
    run_info = None if run is None else {"id": run.id, "kind": run.kind, "name": run.name, "config": run.config}
    return {"workspace": workspace_id, "run": run_info, "inputs": row.inputs}


def push_dataset(
    workspace: Workspace,
    ref: str,
    location: str,
    *,
    as_name: str | None = None,
    linked: bool = True,
    progress: Progress | None = None,
) -> TransferResult:
    """Copy a dataset with all its versions, or one version, to a folder, a new ``.zip`` or a URL.

    The digest of every file is checked. Existing files are not copied again, so that an interrupted push continues
    where it stopped. The new copy becomes visible when it is complete; until then a pull gets the previous one.

    Args:
        workspace: the workspace.
        ref: a name for all versions, a reference for one.
        location: the folder, archive or URL.
        as_name: name of the dataset in the copy, by default the same.
        linked: copy linked files, too.
        progress: reports the progress.

    Raises:
        NotFoundError: there is no such dataset or version.
        ConflictError: the copy is of another dataset or has diverged, or the archive exists.
        MediaError: a file is missing, damaged or has changed.
    """
    name, _ = split_ref(ref)
    check_name("dataset", as_name or name)
    with workspace.catalog.read_tx() as session:
        dataset = find_dataset(session, name)
        local = describe_dataset(session, dataset, workspace.id)
        if "@" in ref:
            local = _single_version(local, find_version(session, dataset, split_ref(ref)[1]).number)
    local = local.model_copy(update={"name": as_name or name})
    with open_remote_for_writing(location) as remote, workspace.scratch.shared() as folder:
        return _Push(workspace, local, remote, folder, linked, progress or NullProgress()).run()


def _single_version(manifest: Manifest, number: int) -> Manifest:
    """Reduce a manifest to one version without its ancestors, as the head of the main branch."""
    return manifest.model_copy(
        update={
            "versions": tuple(version for version in manifest.versions if version.number == number),
            "branches": {MAIN: number},
            "aliases": {name: target for name, target in manifest.aliases.items() if target == number},
            "tags": {name: target for name, target in manifest.tags.items() if target == number},
        }
    )


class _Push:
    """A push; ``local`` is the manifest of what is pushed, ``folder`` a temporary folder."""

    def __init__(
        self,
        workspace: Workspace,
        local: Manifest,
        remote: RemoteStore,
        folder: Path,
        linked: bool,
        progress: Progress,
    ) -> None:
        self._blobs = workspace.blobs
        self._tables_folder = workspace.location / "datasets"
        self._local = local
        self._remote = remote
        self._folder = folder
        self._linked = linked
        self._progress = progress
        self._files = 0
        self._bytes = 0
        self._left_out = 0

    def run(self) -> TransferResult:
        for _ in range(_MAX_PUSH_ATTEMPTS):
            number, current = newest_manifest(self._remote, self._local.name)
            if current is not None:
                check_history(current, self._local, self._remote.url, "Push it under another name, with --as.")
            manifest, kept_aliases = self._merge_manifests(current)
            # Only one of several pushes at the same time can create the manifest with this number.
            if self._remote.create(manifest_path(manifest.name, number + 1), manifest.to_bytes()):
                self._delete_old_manifests(manifest.name)
                known = current.by_number() if current else {}
                new = [version.number for version in self._local.versions if version.number not in known]
                return TransferResult(
                    manifest.name,
                    self._remote.url,
                    tuple(format_ref(manifest.name, number) for number in new),
                    self._files,
                    self._bytes,
                    self._left_out,
                    kept_aliases,
                )
        raise ConflictError(f"Other pushes to '{self._remote.url}' keep interfering.", hint="Try again.")

    def _delete_old_manifests(self, name: str) -> None:
        manifests = [file for file in self._remote.names(f"datasets/{name}") if _is_manifest(file)]
        for file in manifests[:-_KEPT_MANIFESTS]:
            self._remote.remove(f"datasets/{name}/{file}")

    def _merge_manifests(self, current: Manifest | None) -> tuple[Manifest, tuple[str, ...]]:
        """Send all files; returns the new manifest and the aliases that keep their version in the copy."""
        snapshots = [self._snapshot(version) for version in self._local.versions]
        media = self._send_media(snapshots, current)
        files = self._send_tables(snapshots, current)
        local = self._local
        if current is None:
            return local.model_copy(update={"files": files, "media": media}), ()
        versions = {**current.by_number(), **local.by_number()}
        kept_aliases = tuple(name for name, number in local.tags.items() if current.tags.get(name, number) != number)
        newest_heads = {name: max(head, current.branches.get(name, 0)) for name, head in local.branches.items()}
        merged = {
            "versions": tuple(versions[number] for number in sorted(versions)),
            "branches": {**current.branches, **newest_heads},
            "aliases": {**current.aliases, **local.aliases},
            "tags": {**local.tags, **current.tags},  # tags never move
            "files": {**current.files, **files},
            "media": {**current.media, **media},
        }
        return local.model_copy(update=merged), kept_aliases

    def _snapshot(self, version: VersionEntry) -> Snapshot:
        folder = self._tables_folder / f"{version.table}.lance"
        return Snapshot(folder, version.table_version, Schema.from_json(version.columns))

    def _send_tables(self, snapshots: list[Snapshot], current: Manifest | None) -> dict[str, FileInfo]:
        existing = {} if current is None else current.files
        files: dict[str, FileInfo] = {}
        self._progress.start("Copying tables", None)
        for snapshot in snapshots:
            for path in sorted({*version_files(snapshot.table, snapshot.folder), *base_manifests(snapshot.folder)}):
                name = f"{snapshot.table_id}/{path.parent.name}/{path.name}"
                if name not in files:
                    files[name] = existing.get(name) or self._send(f"tables/{name}", path)
                    self._progress.advance(1, path.name)
        self._progress.finish()
        return files

    def _send(self, name: str, path: Path) -> FileInfo:
        info = FileInfo(sha256=digest_file(path), size=path.stat().st_size)
        self._remote.put(name, path)
        self._files += 1
        self._bytes += info.size
        return info

    def _send_media(self, snapshots: list[Snapshot], current: Manifest | None) -> dict[str, FileInfo]:
        """Send the media that the copy does not list, and a list of them; returns that list by its digest."""
        list_path = self._folder / "media"
        count = 0
        self._progress.start("Copying media", None)
        with list_path.open("w", encoding="ascii") as lines, ThreadPoolExecutor(self._remote.threads) as pool:
            unlisted = self._unlisted_media(snapshots, _listed_digests(self._remote, current))
            while batch := list(islice(unlisted, _BATCH_SIZE)):
                for media, was_sent in zip(batch, pool.map(self._send_one, batch), strict=True):
                    lines.write(format_media_line(media.digest, media.size))
                    self._files += was_sent
                    self._bytes += was_sent * media.size
                    self._progress.advance(1, media.digest[:12])
                count += len(batch)
        self._progress.finish()
        if not count:
            return {}
        info = FileInfo(sha256=digest_file(list_path), size=list_path.stat().st_size)
        self._remote.put(f"lists/{info.sha256}", list_path)
        return {info.sha256: info}

    def _unlisted_media(self, snapshots: list[Snapshot], seen: set[bytes]) -> Iterator[MediaFile]:
        scanner = MediaScanner()
        for snapshot in snapshots:
            for batch in scanner.scan(snapshot):
                for media in batch:
                    digest = bytes.fromhex(media.digest)
                    if digest in seen:
                        continue
                    seen.add(digest)
                    if media.uri is None or self._linked:
                        yield media
                    else:
                        self._left_out += 1

    def _send_one(self, media: MediaFile) -> bool:
        """Send a file unless the remote store has it; returns whether it was sent."""
        name = media_path(media.digest)
        if self._remote.size(name) == media.size:
            return False
        with self._local_file(media) as path:
            self._remote.put(name, path)
        return True

    @contextmanager
    def _local_file(self, media: MediaFile) -> Iterator[Path]:
        """Yield a local path with the content of a media file, whose digest was checked."""
        temporary = self._folder / f"{media.digest}.copy"
        try:
            yield self._resolve_media(media, temporary)
        finally:
            temporary.unlink(missing_ok=True)

    def _resolve_media(self, media: MediaFile, temporary: Path) -> Path:
        faults = []
        path = self._blobs.local_path(media.digest)
        if path is None and self._blobs.exists(media.digest):
            temporary.write_bytes(self._blobs.read(media.digest))
            path = temporary
        if path is not None:
            if digest_file(path) == media.digest:
                return path
            faults.append(f"the blob {media.digest} is damaged")
        elif media.uri is None:
            faults.append(f"the blob {media.digest} is missing")
        for uri in self._blobs.candidate_uris(media.digest, media.uri):
            fault = _fetch(uri, temporary, media.digest)
            if fault is None:
                return temporary
            faults.append(fault)
        raise MediaError(f"A file cannot be copied: {'; '.join(faults)}.", hint=_LOST_HINT)


def _fetch(uri: str, path: Path, digest: str) -> str | None:
    """Copy a linked file and check its digest; returns the problem, or None if there is none."""
    try:
        with open_uri(uri) as source, path.open("wb") as file:
            shutil.copyfileobj(source, file, CHUNK_BYTES)
    except OSError as error:
        return f"'{uri}' is missing" if isinstance(error, FileNotFoundError) else f"'{uri}' cannot be read: {error}"
    return None if digest_file(path) == digest else f"'{uri}' has changed"


def _listed_digests(remote: RemoteStore, manifest: Manifest | None) -> set[bytes]:
    """Return the digests of all media that a copy lists."""
    digests: set[bytes] = set()
    for digest, info in ({} if manifest is None else manifest.media).items():
        digests.update(bytes.fromhex(media) for media, _ in read_media_list(remote, digest, info))
    return digests


def read_media_list(remote: RemoteStore, digest: str, info: FileInfo) -> list[tuple[str, int]]:
    """Read a list of media into digests and sizes.

    Args:
        remote: the store.
        digest: digest of the list.
        info: its entry in the manifest.

    Raises:
        MediaError: the list does not match its digest.
        FormatError: a line is not a digest and a size.
    """
    data = read_bounded(remote, f"lists/{digest}", min(info.size, MAX_MANIFEST_BYTES))
    if digest_bytes(data) != digest:
        raise MediaError(f"The list of media {digest} in '{remote.url}' is damaged.", hint="Push the dataset again.")
    return parse_media_lines(data, f"{remote.url}/lists/{digest}")


def parallel_for_each(function: Callable[[T], object], values: Iterable[T], threads: int) -> None:
    """Call a function for each value in several threads; the first error stops it.

    Args:
        function: the function.
        values: the values; they are consumed in batches.
        threads: number of threads.
    """
    with ThreadPoolExecutor(threads) as pool:
        iterator = iter(values)
        while batch := list(islice(iterator, _BATCH_SIZE)):
            list(pool.map(function, batch))
