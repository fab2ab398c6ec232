"""Reachability: which blobs dataset versions, model versions and evaluations refer to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import select

from saccade.core.schema import Kind
from saccade.store.arrow.columns import to_list
from saccade.store.catalog.tables import EvaluationRow, ModelRow, ModelVersionRow
from saccade.store.table.lance_table import VisitedFragments
from saccade.store.table.snapshot import Snapshot
from saccade.store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A media file of an item; ``uri`` is the location of a linked file, None if the workspace has a copy."""

    digest: str
    size: int
    uri: str | None


class MediaScanner:
    """Lists the media files of versions one after another; rows that versions share are read once."""

    def __init__(self) -> None:
        self._visited = VisitedFragments()

    def scan(self, snapshot: Snapshot) -> Iterator[list[MediaFile]]:
        """Yield the media files of a version in batches without duplicates, except those in rows read before."""
        for column in snapshot.schema.columns_of_kind(Kind.IMAGE, Kind.VIDEO, Kind.FILE):
            for fragment in snapshot.table.get_fragments():
                if not self._visited.visit(fragment, column.name):
                    continue
                for batch in fragment.to_batches(columns=[column.name]):
                    yield _unique_files(batch.column(column.name))


def _unique_files(column: pa.Array) -> list[MediaFile]:
    refs = column.filter(column.is_valid())
    table = pa.table([refs.field(name) for name in ("digest", "size", "uri")], ["digest", "size", "uri"])
    unique = table.group_by(["digest", "uri"]).aggregate([("size", "max")]).filter(pc.field("digest").is_valid())
    columns = (to_list(unique.column(name).combine_chunks()) for name in ("digest", "size_max", "uri"))
    return [MediaFile(digest, size, uri) for digest, size, uri in zip(*columns, strict=True)]


@dataclass(frozen=True, slots=True)
class BlobReference:
    """A reference to a blob or linked file.

    Attributes:
        owner: what refers to it, for messages.
        size: size in bytes, None if only the digest is known.
        uri: location of a linked file, None for a blob of the workspace.
    """

    owner: str
    digest: str
    size: int | None = None
    uri: str | None = None


def iter_references(workspace: Workspace, versions: Iterable[tuple[str, Snapshot]]) -> Iterator[BlobReference]:
    """Yield the references of dataset versions, and of all model versions and evaluations.

    Args:
        workspace: the workspace.
        versions: the dataset versions, as pairs of reference and snapshot. The same file may be yielded several times.
    """
    scanner = MediaScanner()
    for ref, snapshot in versions:
        for batch in scanner.scan(snapshot):
            yield from (BlobReference(ref, media.digest, media.size, media.uri) for media in batch)
    models = select(ModelRow.name, ModelVersionRow).join(ModelVersionRow, ModelVersionRow.model_id == ModelRow.id)
    with workspace.catalog.unscoped.read_tx() as session:
        for name, row in session.execute(models):
            yield from (BlobReference(f"{name}@{row.number}", digest) for digest in row.files.values())
        reports = select(EvaluationRow.id, EvaluationRow.report).where(EvaluationRow.report.is_not(None))
        for evaluation_id, digest in session.execute(reports):
            yield BlobReference(f"evaluation {evaluation_id}", str(digest))
