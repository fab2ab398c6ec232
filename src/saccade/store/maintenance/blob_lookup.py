"""Looks up which files a project already has, so that a client need not upload them.

A file that is named only by its digest counts as present only if a dataset version of the project refers to it. All
projects share one blob store, and knowing a digest must not give access to a file of another project.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from saccade.core.refs import format_ref
from saccade.core.schema import Column, ImageRef, Kind, MediaRef
from saccade.store.arrow.codec import decode_column
from saccade.store.table.lance_table import VisitedFragments
from saccade.store.table.snapshot import Snapshot
from saccade.store.workspace import Workspace

BlobId = tuple[type, str, int | None]
"""Type of the reference, digest of the file, and frame (None if it is not an image of a video or multi-page file)."""
BlobIndex = Mapping[BlobId, MediaRef]
_BATCH_SIZE = 8192


def blob_id(ref: MediaRef) -> BlobId:
    """Return the key of a reference in a :data:`BlobIndex`."""
    return type(ref), ref.digest, ref.frame if isinstance(ref, ImageRef) else None


def existing_blobs(workspace: Workspace, refs: Iterable[MediaRef]) -> BlobIndex:
    """Return those of the references that a dataset version of the project has, as the version has them."""
    missing = {blob_id(ref) for ref in refs}
    existing: dict[BlobId, MediaRef] = {}
    visited = VisitedFragments()
    for snapshot in _snapshots(workspace) if missing else ():
        for ref in _find_refs(snapshot, {digest for _, digest, _ in missing}, visited):
            key = blob_id(ref)
            if key in missing:
                existing[key] = ref
                missing.discard(key)
        if not missing:
            break
    return existing


def _snapshots(workspace: Workspace) -> Iterator[Snapshot]:
    """Yield all versions of the project, the heads of branches first."""
    datasets = workspace.datasets
    names = [dataset.name for dataset in datasets.list()]
    heads = {format_ref(name, number) for name in names for number in datasets.branches(name).values()}
    for ref in heads:
        yield datasets.open(ref).snapshot
    for name in names:
        for info in datasets.log(name):
            ref = format_ref(name, info.number)
            if ref not in heads:
                yield datasets.open(ref).snapshot


def _find_refs(snapshot: Snapshot, digests: set[str], visited: VisitedFragments) -> Iterator[MediaRef]:
    """Yield references to files with these digests, except those in rows visited before."""
    value_set = pa.array(sorted(digests), pa.string())
    for column in snapshot.schema.columns_of_kind(Kind.IMAGE, Kind.VIDEO, Kind.FILE):
        for fragment in snapshot.table.get_fragments():
            if not visited.visit(fragment, column.name):
                continue
            for batch in fragment.to_batches(columns=[column.name], batch_size=_BATCH_SIZE):
                yield from _find_in_batch(batch.column(0), column, value_set)


def _find_in_batch(values: pa.Array, column: Column, digests: pa.Array) -> Iterator[MediaRef]:
    refs = values.filter(values.is_valid())
    matches = refs.filter(pc.is_in(refs.field("digest"), digests))
    yield from (ref for ref in decode_column(column, matches) if ref is not None)
