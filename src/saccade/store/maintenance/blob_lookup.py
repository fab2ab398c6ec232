"""Files that a project has already: those that a version of one of its datasets refers to.

Whoever names a file by its digest alone is given it only where the project has it: files of all projects lie in one
place, and a digest may be known to somebody who may not see the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from saccade.core.schema import Column, ImageRef, Kind, MediaRef
from saccade.store.arrow.codec import decode_column
from saccade.store.catalog.names import exact
from saccade.store.table.lance_table import LookedAt
from saccade.store.table.snapshot import Snapshot
from saccade.store.workspace import Workspace

Held = Mapping[tuple[type, str, int | None], MediaRef]
"""References by their type, the digest of their file, and the frame where they are of one."""
_BATCH = 8192


def identity(ref: MediaRef) -> tuple[type, str, int | None]:
    """What a file is known by."""
    return type(ref), ref.digest, ref.frame if isinstance(ref, ImageRef) else None


def held_files(workspace: Workspace, wanted: Iterable[MediaRef]) -> Held:
    """Those of the wanted files that a version of the project refers to, as it does; nothing is said of the others."""
    missing = {identity(ref) for ref in wanted}
    found: dict[tuple[type, str, int | None], MediaRef] = {}
    seen = LookedAt()
    for snapshot in _versions(workspace) if missing else ():
        for ref in _refs(snapshot, {digest for _, digest, _ in missing}, seen):
            if (one := identity(ref)) in missing:
                found[one] = ref
                missing.discard(one)
        if not missing:
            break
    return found


def _versions(workspace: Workspace) -> Iterator[Snapshot]:
    """Versions of the project, those first that branches end at."""
    datasets = workspace.datasets
    names = [one.name for one in datasets.list()]
    heads = {exact(name, number) for name in names for number in datasets.branches(name).values()}
    for ref in heads:
        yield datasets.open(ref).snapshot
    for name in names:
        for info in datasets.log(name):
            if exact(name, info.number) not in heads:
                yield datasets.open(exact(name, info.number)).snapshot


def _refs(snapshot: Snapshot, digests: set[str], seen: LookedAt) -> Iterator[MediaRef]:
    """References to files of these digests, less those of rows that were seen before."""
    among = pa.array(sorted(digests), pa.string())
    for column in snapshot.schema.of_kind(Kind.IMAGE, Kind.VIDEO, Kind.FILE):
        for fragment in snapshot.table.get_fragments():
            if not seen.is_new(fragment, column.name):
                continue
            for batch in fragment.to_batches(columns=[column.name], batch_size=_BATCH):
                yield from _of_batch(batch.column(0), column, among)


def _of_batch(values: pa.Array, column: Column, among: pa.Array) -> Iterator[MediaRef]:
    there = values.filter(values.is_valid())
    chosen = there.filter(pc.is_in(there.field("digest"), among))
    yield from (ref for ref in decode_column(column, chosen) if ref is not None)
