"""Reads and commits Lance tables, in which every version is a detached commit that only the catalog knows.

Detached commits belong to no lineage of Lance's own. So each version is made from exactly the version that it follows,
concurrent writers never interfere, branches cost nothing, and the leftovers of a killed writer are invisible. Lance's
own clean-up must never run on these tables: it would see only the first version and delete the files of all others.
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
from saccade.runtime.signals import deferred_interrupts
from saccade.store.table.uncommitted import current_uncommitted

ROWS_PER_FILE = 65_536
_WRITE_BUFFER_BYTES = 1 << 20
"""Buffer of each column, and of each leaf of a nested one, before it is written."""
_LOW_MEMORY_SCAN: dict[str, Any] = {
    "batch_size": 2048,
    "batch_readahead": 2,
    "fragment_readahead": 1,
    "io_buffer_size": 1 << 23,
}
_METADATA_CACHE_BYTES = 1 << 24
"""Lance's metadata cache for low-memory scans. Its default is a gigabyte, which a full scan would fill."""


def open_table(folder: Path, version: str, *, low_memory: bool = False) -> LanceDataset:
    """Open a table at one of its versions.

    Args:
        folder: the folder of the table.
        version: the Lance version number.
        low_memory: limit read-ahead and caches, for full scans.

    Raises:
        WorkspaceError: if the version is missing or damaged.
    """
    options: dict[str, Any] = {}
    if low_memory:
        options = {"default_scan_options": _LOW_MEMORY_SCAN, "metadata_cache_size_bytes": _METADATA_CACHE_BYTES}
    try:
        return lance.dataset(str(folder), version=int(version), **options)
    except (OSError, ValueError) as error:
        raise WorkspaceError(
            f"The table {folder.name} cannot be read at version {version}: {error}.", hint="Run: saccade doctor"
        ) from error


def _write(
    rows: pa.RecordBatchReader, target: str | LanceDataset, schema: pa.Schema, mode: str
) -> list[FragmentMetadata]:
    # Lance does not clean up if it is interrupted itself. So interrupts wait, and are raised by the producer of rows.
    with deferred_interrupts() as raise_if_interrupted:
        with _reraise_producer_error(rows, raise_if_interrupted) as guarded_rows:
            fragments: list[FragmentMetadata] = write_fragments(
                guarded_rows,
                target,
                schema=schema,
                mode=mode,
                max_rows_per_file=ROWS_PER_FILE,
                data_cache_bytes=_WRITE_BUFFER_BYTES,
            )
        folder = Path(target.uri if isinstance(target, LanceDataset) else target)
        current_uncommitted().track(folder / "data" / file.path for fragment in fragments for file in fragment.files)
    return fragments


@contextmanager
def _reraise_producer_error(
    rows: pa.RecordBatchReader, raise_if_interrupted: Callable[[], None]
) -> Iterator[pa.RecordBatchReader]:
    """Yield the rows; if producing them fails, raise the original error instead of the OSError that Lance makes of it.

    If the producer fails, cancellation included, Lance deletes what it has written so far.
    """
    errors: list[BaseException] = []

    def batches() -> Iterator[pa.RecordBatch]:
        try:
            for batch in rows:
                raise_if_interrupted()
                yield batch
        except BaseException as error:
            errors.append(error)
            raise

    try:
        yield pa.RecordBatchReader.from_batches(rows.schema, batches())
    except OSError:
        if errors:
            raise errors[0] from None
        raise


def create_table(folder: Path, rows: pa.RecordBatchReader) -> LanceDataset:
    """Create a table. This is its only commit that is not detached."""
    current_uncommitted().track_table(folder)
    fragments = _write(rows, str(folder), rows.schema, "create")
    return LanceDataset.commit(str(folder), LanceOperation.Overwrite(rows.schema, fragments))


def _commit(base: LanceDataset, operation: LanceOperation.BaseOperation) -> LanceDataset:
    with deferred_interrupts():
        table = LanceDataset.commit(base, operation, read_version=base.version, detached=True)
        current_uncommitted().track([manifest_path(table, Path(base.uri))])
    return lance.dataset(base.uri, version=table.version)


def overwrite(base: LanceDataset, rows: pa.RecordBatchReader) -> LanceDataset:
    """Commit a version that has only these rows, with their schema."""
    return _commit(base, LanceOperation.Overwrite(rows.schema, _write(rows, base, rows.schema, "overwrite")))


def evolve_schema(base: LanceDataset, schema: pa.Schema) -> LanceDataset:
    """Commit a version with additional columns, all null, or with other schema metadata.

    Returns:
        The new version, or ``base`` if its schema is equal.
    """
    if base.schema.equals(schema, check_metadata=True):
        return base
    fragments = [fragment.metadata for fragment in base.get_fragments()]
    if base.schema.names == schema.names:
        metadata = {key.decode(): value.decode() for key, value in schema.metadata.items()}
        updates = LanceOperation.UpdateMap(metadata)
        return _commit(base, LanceOperation.UpdateConfig(schema_metadata_updates=updates))
    return _commit(base, LanceOperation.Merge(fragments, LanceSchema.from_pyarrow(schema)))


def commit_update(
    base: LanceDataset, deleted_addresses: npt.NDArray[np.uint64], rows: pa.RecordBatchReader | None = None
) -> LanceDataset:
    """Commit a version with some rows deleted and others appended.

    Args:
        base: the version to update.
        deleted_addresses: row addresses (fragment << 32 | row offset in the fragment).
        rows: the rows to append, with all columns of the table.

    Returns:
        The new version, or ``base`` if nothing changes.
    """
    new_fragments = [] if rows is None else _write(rows, base, base.schema, "append")
    updated, emptied = _delete_addresses(base, deleted_addresses)
    if not (new_fragments or updated or emptied):
        return base
    return _commit(
        base,
        LanceOperation.Update(removed_fragment_ids=emptied, updated_fragments=updated, new_fragments=new_fragments),
    )


def _delete_addresses(
    base: LanceDataset, addresses: npt.NDArray[np.uint64]
) -> tuple[list[FragmentMetadata], list[int]]:
    """Write deletion files. Returns the fragments that have rows left, and the ids of those that have none."""
    updated: list[FragmentMetadata] = []
    emptied: list[int] = []
    fragment_ids = (addresses >> np.uint64(32)).astype(np.int64)
    offsets = (addresses & np.uint64(0xFFFFFFFF)).astype(np.int64)
    for fragment_id in np.unique(fragment_ids).tolist():
        fragment = base.get_fragment(fragment_id)
        if fragment is None:
            raise WorkspaceError(f"The table {base.uri} has no fragment {fragment_id}.", hint="Run: saccade doctor")
        with deferred_interrupts():
            remaining = fragment.delete_rows(offsets[fragment_ids == fragment_id].tolist())
            if remaining is not None:
                current_uncommitted().track(_deletion_files(remaining, Path(base.uri)))
        if remaining is None:
            emptied.append(fragment_id)
        else:
            updated.append(remaining)
    return updated, emptied


def take_rows(table: LanceDataset, addresses: npt.NDArray[np.uint64], columns: Sequence[str]) -> pa.Table:
    """Return the rows at these addresses, in this order.

    ``LanceDataset.take`` takes row numbers that skip deleted rows, which makes it several times slower. ``_take_rows``
    takes row ids; these equal the addresses in tables that, like ours, do not enable stable row ids.
    """
    rows: pa.Table = table._take_rows(addresses.tolist(), columns=list(columns))
    return rows


def scan_rows(
    table: LanceDataset, columns: Sequence[str], batch_size: int, *, with_row_address: bool = False
) -> LanceScanner:
    """Scan all rows in storage order with little memory."""
    return table.scanner(
        columns=list(columns),
        with_row_address=with_row_address,
        scan_in_order=True,
        **{**_LOW_MEMORY_SCAN, "batch_size": batch_size},
    )


def data_file_ids(table: LanceDataset) -> dict[int, str]:
    """Return for each fragment an id of its data, unique over all tables, versions and branches."""
    return {fragment.fragment_id: _data_file_id(fragment) for fragment in table.get_fragments()}


class VisitedFragments:
    """Tracks which fragments were visited, per column, so that rows shared by versions are read once.

    Later versions have the same rows in a fragment as the version that created it, or fewer.
    """

    def __init__(self) -> None:
        self._visited: set[tuple[str, str, str]] = set()

    def visit(self, fragment: LanceFragment, column: str) -> bool:
        """Mark a column of a fragment as visited. Returns whether it had rows that were not visited before."""
        data_file_id = _data_file_id(fragment)
        deletion = fragment.metadata.deletion_file
        deletion_path = "" if deletion is None else deletion.path(fragment.fragment_id)
        if {(column, data_file_id, deletion_path), (column, data_file_id, "")} & self._visited:
            return False
        self._visited.add((column, data_file_id, deletion_path))
        return True


def _data_file_id(fragment: LanceFragment) -> str:
    return "+".join(sorted(file.path for file in fragment.data_files()))


def manifest_path(table: LanceDataset, folder: Path) -> Path:
    """Return the manifest file of a detached version."""
    return folder / "_versions" / f"d{table.version}.manifest"


def base_manifests(folder: Path) -> list[Path]:
    """Return the manifests of the commits that are not detached, which a table has from its creation."""
    return [path for path in (folder / "_versions").glob("*.manifest") if not path.name.startswith("d")]


def version_files(table: LanceDataset, folder: Path) -> set[Path]:
    """Return the files that a version consists of: manifest, data files and deletion files."""
    paths = {manifest_path(table, folder)}
    for fragment in table.get_fragments():
        paths |= {folder / "data" / file.path for file in fragment.data_files()}
        paths |= set(_deletion_files(fragment.metadata, folder))
    return {path for path in paths if path.exists()}


def _deletion_files(fragment: FragmentMetadata, folder: Path) -> Iterable[Path]:
    if fragment.deletion_file is not None:
        yield folder / fragment.deletion_file.path(fragment.id)
