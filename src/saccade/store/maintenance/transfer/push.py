"""Copying a dataset with its versions out of a workspace."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from saccade.core.digest import digest_file
from saccade.core.errors import ConflictError, MediaError
from saccade.core.progress import Progress, Silent
from saccade.core.schema import Schema
from saccade.store.catalog.names import check_name, exact, split_ref
from saccade.store.catalog.queries import find_dataset, find_version
from saccade.store.catalog.tables import BranchRow, DatasetAliasRow, DatasetRow, RunRow, VersionRow
from saccade.store.io.urls import open_uri
from saccade.store.maintenance.reachability import Media, MediaScan
from saccade.store.maintenance.transfer.manifest import FileFacts, Manifest, VersionFacts, media_line, read_media_lines
from saccade.store.maintenance.transfer.remote import PIECE, Place, place_to_write, read_whole
from saccade.store.table.lance_table import base_manifests, files_of
from saccade.store.table.snapshot import Snapshot
from saccade.store.workspace import Workspace

MOST_BYTES = 1 << 30
"""Of a manifest, and of a list of media."""
_TRIES = 5
_KEPT_MANIFESTS = 5
_LOST = "Bring it back, run saccade doctor --relink FOLDER, or leave files that are only referred to out: --no-linked."
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Copied:
    """What a push or a pull did.

    Attributes:
        versions: exact references of those that were new there.
        files: files that were copied, and ``bytes`` how large they are together; what was there already is not copied.
        left_out: media that are only referred to, and were not to be copied.
        kept_aliases: aliases that name another version there, and were left as they are.
    """

    dataset: str
    where: str
    versions: tuple[str, ...]
    files: int
    bytes: int
    left_out: int = 0
    kept_aliases: tuple[str, ...] = ()


def newest_manifest(place: Place, name: str) -> tuple[int, Manifest | None]:
    """The number and the content of the last manifest of a dataset; 0 and None where there is none."""
    numbers = sorted(int(found[:-5]) for found in place.names(f"datasets/{name}") if _is_manifest(found))
    if not numbers:
        return 0, None
    path = manifest_path(name, numbers[-1])
    return numbers[-1], Manifest.from_bytes(read_whole(place, path, MOST_BYTES), f"{place.url}/{path}")


def _is_manifest(name: str) -> bool:
    return name.endswith(".json") and name[:-5].isdigit()


def manifest_path(name: str, number: int) -> str:
    return f"datasets/{name}/{number:08}.json"


def media_path(digest: str) -> str:
    return f"objects/{digest[:2]}/{digest[2:]}"


def check_history(theirs: Manifest, ours: Manifest, where: str, hint: str) -> None:
    """ConflictError where two copies of a dataset have different versions of one number, or are two datasets."""
    if theirs.uid != ours.uid:
        raise ConflictError(f"'{where}' has another dataset of the name '{ours.name}'.", hint=hint)
    known = ours.by_number()
    for number, version in theirs.by_number().items():
        if number in known and known[number].identity != version.identity:
            raise ConflictError(
                f"{ours.name}@{number} is one version here and another in '{where}': they grew apart.", hint=hint
            )


def facts_of(session: Session, dataset: DatasetRow, workspace_id: str) -> Manifest:
    """A dataset as the catalog knows it, without files and media."""
    rows = session.scalars(
        select(VersionRow).where(VersionRow.dataset_id == dataset.id).order_by(VersionRow.number)
    ).all()
    aliases = session.scalars(select(DatasetAliasRow).where(DatasetAliasRow.dataset_id == dataset.id)).all()
    branches = session.scalars(select(BranchRow).where(BranchRow.dataset_id == dataset.id)).all()
    return Manifest(
        name=dataset.name,
        uid=dataset.uid,
        versions=tuple(_version_facts(session, row, workspace_id) for row in rows),
        branches={row.name: row.head for row in branches},
        aliases={row.name: row.number for row in aliases if not row.fixed},
        tags={row.name: row.number for row in aliases if row.fixed},
        files={},
        media={},
    )


def _version_facts(session: Session, row: VersionRow, workspace_id: str) -> VersionFacts:
    return VersionFacts(
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
    facts = None if run is None else {"id": run.id, "kind": run.kind, "name": run.name, "config": run.config}
    return {"workspace": workspace_id, "run": facts, "inputs": row.inputs}


def push_dataset(
    workspace: Workspace,
    ref: str,
    where: str,
    *,
    as_name: str | None = None,
    linked: bool = True,
    progress: Progress | None = None,
) -> Copied:
    """Copy a dataset with all its versions, or one version of it, to a folder, a new ``.zip`` or a URL.

    Every file is checked against its digest on the way. What is there already is not copied again, so that a push that
    was cut off goes on where it was. The copy is there when all of it is; until then a pull sees the one before.
    ConflictError where the copy and the workspace grew apart.

    Args:
        ref: a name for all versions, a reference for one.
        linked: copy the files too that the dataset only refers to; MediaError where one is gone or has changed.
    """
    name, _ = split_ref(ref)
    check_name("dataset", as_name or name)
    with workspace.catalog.reading() as session:
        dataset = find_dataset(session, name)
        ours = facts_of(session, dataset, workspace.id)
        if "@" in ref:
            ours = _only(ours, find_version(session, dataset, split_ref(ref)[1]).number)
    ours = ours.model_copy(update={"name": as_name or name})
    with place_to_write(where) as place, workspace.scratch.working() as folder:
        return _Push(workspace, ours, place, folder, linked, progress or Silent()).run()


def _only(manifest: Manifest, number: int) -> Manifest:
    """One version without those before it; the main branch ends there."""
    return manifest.model_copy(
        update={
            "versions": tuple(version for version in manifest.versions if version.number == number),
            "branches": {"main": number},
            "aliases": {name: at for name, at in manifest.aliases.items() if at == number},
            "tags": {name: at for name, at in manifest.tags.items() if at == number},
        }
    )


class _Push:
    def __init__(
        self, workspace: Workspace, ours: Manifest, place: Place, folder: Path, linked: bool, progress: Progress
    ) -> None:
        self._workspace, self._ours, self._place = workspace, ours, place
        self._folder, self._linked, self._progress = folder, linked, progress
        self._files = self._bytes = self._left_out = 0

    def run(self) -> Copied:
        for _ in range(_TRIES):
            number, theirs = newest_manifest(self._place, self._ours.name)
            if theirs is not None:
                check_history(theirs, self._ours, self._place.url, "Push it under another name, with --as.")
            manifest, kept = self._united(theirs)
            if self._place.create(manifest_path(manifest.name, number + 1), manifest.to_bytes()):
                self._forget_old(manifest.name)
                known = theirs.by_number() if theirs else {}
                new = tuple(exact(manifest.name, v.number) for v in self._ours.versions if v.number not in known)
                where = self._place.url
                return Copied(manifest.name, where, new, self._files, self._bytes, self._left_out, kept)
        raise ConflictError(f"Others keep pushing to '{self._place.url}'.", hint="Try again.")

    def _forget_old(self, name: str) -> None:
        for found in [found for found in self._place.names(f"datasets/{name}") if _is_manifest(found)][
            :-_KEPT_MANIFESTS
        ]:
            self._place.remove(f"datasets/{name}/{found}")

    def _united(self, theirs: Manifest | None) -> tuple[Manifest, tuple[str, ...]]:
        """What the copy holds when this push is done, and the aliases that are left as they are there."""
        snapshots = [self._snapshot(version) for version in self._ours.versions]
        media = self._send_media(snapshots, theirs)
        files = self._send_tables(snapshots, theirs)
        if theirs is None:
            return self._ours.model_copy(update={"files": files, "media": media}), ()
        ours = self._ours
        versions = {**theirs.by_number(), **ours.by_number()}
        kept = tuple(name for name, at in ours.tags.items() if theirs.tags.get(name, at) != at)
        united = {
            "versions": tuple(versions[number] for number in sorted(versions)),
            "branches": {**theirs.branches, **{n: max(h, theirs.branches.get(n, 0)) for n, h in ours.branches.items()}},
            "aliases": {**theirs.aliases, **ours.aliases},
            "tags": {**ours.tags, **theirs.tags},
            "files": {**theirs.files, **files},
            "media": {**theirs.media, **media},
        }
        return ours.model_copy(update=united), kept

    def _snapshot(self, version: VersionFacts) -> Snapshot:
        folder = self._workspace.location / "datasets" / f"{version.table}.lance"
        return Snapshot(folder, version.table_version, Schema.from_json(version.columns))

    def _send_tables(self, snapshots: list[Snapshot], theirs: Manifest | None) -> dict[str, FileFacts]:
        there = {} if theirs is None else theirs.files
        found: dict[str, FileFacts] = {}
        self._progress.start("Copying tables", None)
        for snapshot in snapshots:
            for path in sorted({*files_of(snapshot.table, snapshot.folder), *base_manifests(snapshot.folder)}):
                name = f"{snapshot.table_id}/{path.parent.name}/{path.name}"
                if name not in found:
                    found[name] = there.get(name) or self._send(f"tables/{name}", path)
                    self._progress.advance(1, path.name)
        self._progress.finish()
        return found

    def _send(self, name: str, path: Path) -> FileFacts:
        facts = FileFacts(sha256=digest_file(path), size=path.stat().st_size)
        self._place.put(name, path)
        self._files, self._bytes = self._files + 1, self._bytes + facts.size
        return facts

    def _send_media(self, snapshots: list[Snapshot], theirs: Manifest | None) -> dict[str, FileFacts]:
        """Send what is not listed there yet; returns the list of it, under its own digest."""
        listed = self._folder / "media"
        count = 0
        self._progress.start("Copying media", None)
        with listed.open("w", encoding="ascii") as lines, ThreadPoolExecutor(self._place.threads) as pool:
            wanted = self._new_media(snapshots, _listed(self._place, theirs))
            while part := list(islice(wanted, 256)):
                for media, sent in zip(part, pool.map(self._send_one, part), strict=True):
                    lines.write(media_line(media.digest, media.size))
                    self._files, self._bytes = self._files + sent, self._bytes + sent * media.size
                    self._progress.advance(1, media.digest[:12])
                count += len(part)
        self._progress.finish()
        if not count:
            return {}
        facts = FileFacts(sha256=digest_file(listed), size=listed.stat().st_size)
        self._place.put(f"lists/{facts.sha256}", listed)
        return {facts.sha256: facts}

    def _new_media(self, snapshots: list[Snapshot], seen: set[bytes]) -> Iterator[Media]:
        scan = MediaScan()
        for snapshot in snapshots:
            for batch in scan.of(snapshot):
                for media in batch:
                    digest = bytes.fromhex(media.digest)
                    if digest in seen:
                        continue
                    seen.add(digest)
                    if media.uri is None or self._linked:
                        yield media
                    else:
                        self._left_out += 1

    def _send_one(self, media: Media) -> bool:
        """Send a file, unless it is there; whether it was sent."""
        name = media_path(media.digest)
        if self._place.size(name) == media.size:
            return False
        with self._local_file(media) as path:
            self._place.put(name, path)
        return True

    @contextmanager
    def _local_file(self, media: Media) -> Iterator[Path]:
        """The content of a file in a local one, checked against its digest."""
        temporary = self._folder / f"{media.digest}.copy"
        try:
            yield self._found(media, temporary)
        finally:
            temporary.unlink(missing_ok=True)

    def _found(self, media: Media, temporary: Path) -> Path:
        objects, faults = self._workspace.objects, []
        held = objects.open_path(media.digest)
        if held is None and objects.exists(media.digest):
            temporary.write_bytes(objects.read(media.digest))
            held = temporary
        if held is not None:
            if digest_file(held) == media.digest:
                return held
            faults.append(f"the copy {media.digest} is damaged")
        elif media.uri is None:
            faults.append(f"the copy {media.digest} is gone")
        for uri in objects.places(media.digest, media.uri):
            fault = _fetch(uri, temporary, media.digest)
            if fault is None:
                return temporary
            faults.append(fault)
        raise MediaError(f"A file cannot be copied: {'; '.join(faults)}.", hint=_LOST)


def _fetch(uri: str, path: Path, digest: str) -> str | None:
    """Copy a file and compare its digest; what is wrong with it, or None."""
    try:
        with open_uri(uri) as source, path.open("wb") as file:
            while piece := source.read(PIECE):
                file.write(piece)
    except OSError as error:
        return f"'{uri}' is gone" if isinstance(error, FileNotFoundError) else f"'{uri}' cannot be read: {error}"
    return None if digest_file(path) == digest else f"'{uri}' has changed"


def _listed(place: Place, manifest: Manifest | None) -> set[bytes]:
    """The digests of the media that a copy has."""
    found: set[bytes] = set()
    for digest, facts in ({} if manifest is None else manifest.media).items():
        found.update(bytes.fromhex(media) for media, _ in read_list(place, digest, facts))
    return found


def read_list(place: Place, digest: str, facts: FileFacts) -> list[tuple[str, int]]:
    """The digests and sizes of a list of media; checked against the digest of the list."""
    data = read_whole(place, f"lists/{digest}", min(facts.size, MOST_BYTES))
    if hashlib.sha256(data).hexdigest() != digest:
        raise MediaError(f"The list of media {digest} in '{place.url}' is damaged.", hint="Push the dataset again.")
    return read_media_lines(data, f"{place.url}/lists/{digest}")


def each(function: Callable[[T], object], things: Iterable[T], threads: int) -> None:
    """Call a function for each of many things, some at once; the first error ends it."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = iter(things)
        while part := list(islice(waiting, 256)):
            list(pool.map(function, part))
