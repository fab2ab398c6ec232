"""Lance tables, used in one way: every version is a commit of its own that only the catalog knows.

Lance calls such commits detached. They belong to no lineage of Lance's, so a version is made from exactly the
version it should follow, two writers never disturb each other, branches cost nothing, and what a killed writer leaves
behind is invisible. Lance's own clean-up must never run on such a table: it would see only its first version.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lance
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lance import LanceDataset, LanceOperation, LanceScanner
from lance.fragment import FragmentMetadata, LanceFragment, write_fragments
from lance.schema import LanceSchema

from saccade.core.errors import WorkspaceError
from saccade.runtime.signals import interrupts_held
from saccade.store.table.uncommitted import written_now

ROWS_PER_FILE = 65_536
_GATHERED = 1 << 20
"""Bytes of each column, and of each part of a nested one, that are gathered before they are written."""


_SPARING: dict[str, Any] = {
    "batch_size": 2048,
    "batch_readahead": 2,
    "fragment_readahead": 1,
    "io_buffer_size": 1 << 23,
}
_NOTED = 1 << 24
"""Bytes of what Lance keeps of where in its files things are; a gigabyte otherwise, which a look through fills."""


def open_table(folder: Path, version: str, *, sparing: bool = False) -> LanceDataset:
    """A table at one of its versions; WorkspaceError where it is not there or damaged.

    Args:
        sparing: whoever looks through it holds little of it at a time.
    """
    try:
        if sparing:
            return lance.dataset(
                str(folder), version=int(version), default_scan_options=_SPARING, metadata_cache_size_bytes=_NOTED
            )
        return lance.dataset(str(folder), version=int(version))
    except (OSError, ValueError) as error:
        raise WorkspaceError(
            f"The table {folder.name} cannot be read at version {version}: {error}.", hint="Run: saccade doctor"
        ) from error


def _write(
    rows: pa.RecordBatchReader, target: str | LanceDataset, schema: pa.Schema, mode: str
) -> list[FragmentMetadata]:
    with interrupts_held() as check:
        with _as_it_was(rows, check) as heard:
            fragments: list[FragmentMetadata] = write_fragments(
                heard, target, schema=schema, mode=mode, max_rows_per_file=ROWS_PER_FILE, data_cache_bytes=_GATHERED
            )
        folder = Path(target.uri if isinstance(target, LanceDataset) else target)
        written_now().note(folder / "data" / file.path for fragment in fragments for file in fragment.files)
    return fragments


@contextmanager
def _as_it_was(rows: pa.RecordBatchReader, check: Callable[[], None]) -> Iterator[pa.RecordBatchReader]:
    """The rows; an error on their way is raised as what it was, of which Lance makes an OSError: a cancellation too.

    Lance then removes what it wrote of them, which it does not where it is interrupted itself.
    """
    errors: list[BaseException] = []

    def heard() -> Iterator[pa.RecordBatch]:
        try:
            for batch in rows:
                check()
                yield batch
        except BaseException as error:
            errors.append(error)
            raise

    try:
        yield pa.RecordBatchReader.from_batches(rows.schema, heard())
    except OSError:
        if errors:
            raise errors[0] from None
        raise


def create_table(folder: Path, rows: pa.RecordBatchReader) -> LanceDataset:
    """A new table, the only commit that Lance itself can find."""
    written_now().note_table(folder)
    fragments = _write(rows, str(folder), rows.schema, "create")
    return LanceDataset.commit(str(folder), LanceOperation.Overwrite(rows.schema, fragments))


def _commit(base: LanceDataset, operation: LanceOperation.BaseOperation) -> LanceDataset:
    with interrupts_held():
        made = LanceDataset.commit(base, operation, read_version=base.version, detached=True)
        written_now().note([manifest_of(made, Path(base.uri))])
    return lance.dataset(base.uri, version=made.version)


def overwrite(base: LanceDataset, rows: pa.RecordBatchReader) -> LanceDataset:
    """A version with these rows and their schema instead of all that was there."""
    return _commit(base, LanceOperation.Overwrite(rows.schema, _write(rows, base, rows.schema, "overwrite")))


def with_schema(base: LanceDataset, schema: pa.Schema) -> LanceDataset:
    """A version whose schema has more columns, null everywhere, or other metadata; the same one where it is equal."""
    if base.schema.equals(schema, check_metadata=True):
        return base
    fragments = [fragment.metadata for fragment in base.get_fragments()]
    if base.schema.names == schema.names:
        metadata = {key.decode(): value.decode() for key, value in schema.metadata.items()}
        updates = LanceOperation.UpdateMap(metadata)
        return _commit(base, LanceOperation.UpdateConfig(schema_metadata_updates=updates))
    return _commit(base, LanceOperation.Merge(fragments, LanceSchema.from_pyarrow(schema)))


def update(
    base: LanceDataset, delete: npt.NDArray[np.uint64], rows: pa.RecordBatchReader | None = None
) -> LanceDataset:
    """A version without the rows at some addresses and with others at the end.

    Args:
        delete: row addresses (fragment << 32 | place in the fragment).
        rows: all columns of the table.
    """
    new = [] if rows is None else _write(rows, base, base.schema, "append")
    kept, emptied = _without(base, delete)
    if not (new or kept or emptied):
        return base
    return _commit(base, LanceOperation.Update(removed_fragment_ids=emptied, updated_fragments=kept, new_fragments=new))


def _without(base: LanceDataset, addresses: npt.NDArray[np.uint64]) -> tuple[list[FragmentMetadata], list[int]]:
    kept, emptied = [], []
    owners = (addresses >> np.uint64(32)).astype(np.int64)
    places = (addresses & np.uint64(0xFFFFFFFF)).astype(np.int64)
    for owner in np.unique(owners).tolist():
        fragment = base.get_fragment(owner)
        if fragment is None:
            raise WorkspaceError(f"The table {base.uri} has no fragment {owner}.", hint="Run: saccade doctor")
        with interrupts_held():
            rest = fragment.delete_rows(places[owners == owner].tolist())
            if rest is not None:
                written_now().note(_deletion_files(rest, Path(base.uri)))
        if rest is None:
            emptied.append(owner)
        else:
            kept.append(rest)
    return kept, emptied


def take_rows(table: LanceDataset, addresses: npt.NDArray[np.uint64], columns: Sequence[str]) -> pa.Table:
    """The rows at these addresses, in this order.

    ``LanceDataset.take`` counts rows without the deleted ones, and is several times slower for that. Lance's row ids
    are addresses in tables that, as ours, do not ask for stable ones.
    """
    rows: pa.Table = table._take_rows(addresses.tolist(), columns=list(columns))
    return rows


def scan_rows(
    table: LanceDataset, columns: Sequence[str], size: int, *, with_row_address: bool = False
) -> LanceScanner:
    """All rows as they lie, ``size`` at a time, of which little is held at once."""
    return table.scanner(
        columns=list(columns), with_row_address=with_row_address, scan_in_order=True, **{**_SPARING, "batch_size": size}
    )


def data_names(table: LanceDataset) -> dict[int, str]:
    """For each fragment the name of its data, which no other table, version or branch gives to other data."""
    return {fragment.fragment_id: _data_of(fragment) for fragment in table.get_fragments()}


class LookedAt:
    """Which fragments were looked at, a column at a time: rows that versions share need no second look.

    Later versions have no other rows in a fragment than the one that made it, only fewer.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[str, str, str]] = set()

    def is_new(self, fragment: LanceFragment, column: str) -> bool:
        """Whether there are rows of a fragment that were not looked at yet; from here on they were."""
        data, deletion = _data_of(fragment), fragment.metadata.deletion_file
        what = column, data, "" if deletion is None else deletion.path(fragment.fragment_id)
        if what in self._seen or (column, data, "") in self._seen:
            return False
        self._seen.add(what)
        return True


def _data_of(fragment: LanceFragment) -> str:
    return "+".join(sorted(file.path for file in fragment.data_files()))


def manifest_of(table: LanceDataset, folder: Path) -> Path:
    """The file that makes a version, where it is one of ours."""
    return folder / "_versions" / f"d{table.version}.manifest"


def base_manifests(folder: Path) -> list[Path]:
    """The manifests that Lance itself can find, which a table has from its beginning."""
    return [path for path in (folder / "_versions").glob("*.manifest") if not path.name.startswith("d")]


def files_of(table: LanceDataset, folder: Path) -> set[Path]:
    """The files that a version of a table is made of."""
    found = {manifest_of(table, folder)}
    for fragment in table.get_fragments():
        found |= {folder / "data" / file.path for file in fragment.data_files()}
        found |= set(_deletion_files(fragment.metadata, folder))
    return {path for path in found if path.exists()}


def _deletion_files(fragment: FragmentMetadata, folder: Path) -> Iterable[Path]:
    if fragment.deletion_file is not None:
        yield folder / fragment.deletion_file.path(fragment.id)
