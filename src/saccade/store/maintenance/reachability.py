"""The files that versions of datasets and models, and evaluations refer to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import select

from saccade.core.schema import Kind
from saccade.store.arrow.columns import to_list
from saccade.store.catalog.tables import EvaluationRow, ModelRow, ModelVersionRow
from saccade.store.table.lance_table import LookedAt
from saccade.store.table.snapshot import Snapshot
from saccade.store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Media:
    """A file that an item refers to; ``uri`` is where it lies, None where the workspace has a copy."""

    digest: str
    size: int
    uri: str | None


class MediaScan:
    """Goes over versions one after another; rows that they share are read once."""

    def __init__(self) -> None:
        self._seen = LookedAt()

    def of(self, snapshot: Snapshot) -> Iterator[list[Media]]:
        """The files of a version in batches, each batch without repetitions, less those of rows read before."""
        for column in snapshot.schema.of_kind(Kind.IMAGE, Kind.VIDEO, Kind.FILE):
            for fragment in snapshot.table.get_fragments():
                if not self._seen.is_new(fragment, column.name):
                    continue
                for batch in fragment.to_batches(columns=[column.name]):
                    yield _media(batch.column(column.name))


def _media(values: pa.Array) -> list[Media]:
    there = values.filter(values.is_valid())
    table = pa.table([there.field(name) for name in ("digest", "size", "uri")], ["digest", "size", "uri"])
    found = table.group_by(["digest", "uri"]).aggregate([("size", "max")]).filter(pc.field("digest").is_valid())
    columns = (to_list(found.column(name).combine_chunks()) for name in ("digest", "size_max", "uri"))
    return [Media(digest, size, uri) for digest, size, uri in zip(*columns, strict=True)]


@dataclass(frozen=True, slots=True)
class Reference:
    """That something needs a file; ``size`` is None where only the digest is known."""

    owner: str
    digest: str
    size: int | None = None
    uri: str | None = None


def references(workspace: Workspace, versions: Iterable[tuple[str, Snapshot]]) -> Iterator[Reference]:
    """Every file that a version of a dataset or model, or an evaluation needs; the same file may come several times."""
    scan = MediaScan()
    for ref, snapshot in versions:
        for part in scan.of(snapshot):
            yield from (Reference(ref, media.digest, media.size, media.uri) for media in part)
    models = select(ModelRow.name, ModelVersionRow).join(ModelVersionRow, ModelVersionRow.model_id == ModelRow.id)
    with workspace.catalog.whole.reading() as session:
        for name, row in session.execute(models):
            yield from (Reference(f"{name}@{row.number}", digest) for digest in row.files.values())
        reports = select(EvaluationRow.id, EvaluationRow.report).where(EvaluationRow.report.is_not(None))
        for evaluation, digest in session.execute(reports):
            yield Reference(f"evaluation {evaluation}", str(digest))
