"""Hash index from item keys to row addresses, one index file beside each data file of a Lance table.

An index file in ``_known/`` holds the CRC-32 of every key of a data file, sorted, then the row offset of each, then the
CRC-32 of both. Without it a key lookup scans every data file. Index files are written with the data, or on the first
lookup if they are missing; since a data file never changes, neither does its index. A hit needs no verification of the
index file, because the row itself holds the key; before a key is reported as missing the checksum is verified, and a
damaged index file is rebuilt.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
from lance import LanceDataset
from lance.file import LanceFileReader
from lance.fragment import LanceFragment

from saccade.core.schema import KEY
from saccade.io.atomic import atomic_write, make_private_dir
from saccade.store.arrow.columns import to_list

INDEX_FOLDER = "_known"
"""Folder of a table for files derived from its data files; they are deleted together with the table."""
_DATA_SUFFIX = ".lance"
_INDEX_SUFFIX = ".crc"
_MIN_INDEXED_ROWS = 4096
"""Fragments with fewer rows are scanned: this is as fast as reading their index."""
_DTYPE = np.dtype("<u4")
_BATCH_SIZE = 1 << 16
UInt32Array = npt.NDArray[np.uint32]


def key_index_path(folder: Path, data_file: str) -> Path:
    """Return the path of the index of a data file."""
    return folder / INDEX_FOLDER / f"{data_file}{_INDEX_SUFFIX}"


def indexed_data_file(path: Path) -> Path:
    """Return the data file that a file in ``_known/`` belongs to."""
    stem, suffix, _ = path.name.partition(_DATA_SUFFIX)
    return path.parents[1] / "data" / f"{stem}{suffix}"


def should_index(fragments: Sequence[LanceFragment], fragment: LanceFragment) -> bool:
    """Check whether index files pay off for one of the fragments of a table."""
    return len(fragments) > 1 and is_indexed_size(fragment)


def is_indexed_size(fragment: LanceFragment) -> bool:
    """Check whether keys of a fragment are looked up in its index file rather than in its data."""
    return fragment.physical_rows >= _MIN_INDEXED_ROWS


def lookup_addresses(
    folder: Path, fragments: Sequence[LanceFragment], key: str, *, verify: bool = False
) -> npt.NDArray[np.uint64]:
    """Look up the row addresses of a key.

    Args:
        folder: the folder of the table.
        fragments: the fragments to search.
        key: the key of an item.
        verify: verify the checksums of the index files and rebuild damaged ones. Missing ones are always built.

    Returns:
        Candidate addresses; because of hash collisions they may include rows with another key.
    """
    crc = _crc32(key)
    addresses: list[int] = []
    for fragment in fragments:
        crcs, offsets = _load_or_build(folder, fragment, verify)
        begin = np.searchsorted(crcs, crc)
        end = np.searchsorted(crcs, crc, "right")
        # An unverified file may hold any number: offsets beyond the data would make Lance fail.
        valid = (offset for offset in offsets[begin:end].tolist() if offset < fragment.physical_rows)
        addresses += [fragment.fragment_id << 32 | offset for offset in valid]
    return np.array(addresses, np.uint64)


class KeyLookup:
    """Addresses of the keys of one snapshot in memory, for repeated point reads.

    Index files are mapped once; the keys of fragments without an index file are read and hashed.
    """

    def __init__(self, table: LanceDataset, folder: Path) -> None:
        fragments = table.get_fragments()
        indexed = [fragment for fragment in fragments if should_index(fragments, fragment)]
        indexed_ids = {fragment.fragment_id for fragment in indexed}
        self._indexes = [
            (fragment.fragment_id, fragment.physical_rows, *_load_or_build(folder, fragment, False))
            for fragment in indexed
        ]
        unindexed = [fragment for fragment in fragments if fragment.fragment_id not in indexed_ids]
        self._crcs: UInt32Array = np.empty(0, _DTYPE)
        self._addresses: npt.NDArray[np.uint64] = np.empty(0, np.uint64)
        if unindexed:  # Lance scans all fragments if it is given an empty list
            rows = table.scanner(columns=[KEY], fragments=unindexed, with_row_address=True).to_table()
            crcs = np.array([_crc32(key) for key in to_list(rows.column(KEY).combine_chunks())], _DTYPE)
            order = np.argsort(crcs, kind="stable")
            self._crcs = crcs[order]
            self._addresses = np.asarray(rows.column("_rowaddr"), np.uint64)[order]

    def addresses(self, key: str) -> npt.NDArray[np.uint64]:
        """Return candidate addresses; because of hash collisions they may include rows with another key."""
        crc = _crc32(key)
        begin, end = _equal_range(self._crcs, crc)
        addresses: list[int] = self._addresses[begin:end].tolist()
        for fragment_id, rows, crcs, offsets in self._indexes:
            begin, end = _equal_range(crcs, crc)
            addresses += [fragment_id << 32 | offset for offset in offsets[begin:end].tolist() if offset < rows]
        return np.array(addresses, np.uint64)


def _equal_range(sorted_values: UInt32Array, value: np.uint32) -> tuple[int, int]:
    return int(np.searchsorted(sorted_values, value)), int(np.searchsorted(sorted_values, value, "right"))


def build_key_indexes(folder: Path, fragments: Sequence[LanceFragment]) -> None:
    """Build the missing index files of the fragments of a table that are worth one."""
    for fragment in fragments:
        data_file = _key_data_file(fragment)
        if should_index(fragments, fragment) and not key_index_path(folder, data_file).exists():
            _build(folder, data_file)


def _key_data_file(fragment: LanceFragment) -> str:
    # The first file has the key column: later files of a fragment only add columns.
    name: str = fragment.data_files()[0].path
    return name


def _load_or_build(folder: Path, fragment: LanceFragment, verify: bool) -> tuple[UInt32Array, UInt32Array]:
    """Return the sorted CRC-32 of the keys of a fragment, and the row offset of each."""
    data_file = _key_data_file(fragment)
    rows = fragment.physical_rows
    read = _read_verified if verify else _memory_map
    content = read(key_index_path(folder, data_file), rows)
    return _build(folder, data_file) if content is None else (content[:rows], content[rows:])


def _build(folder: Path, data_file: str) -> tuple[UInt32Array, UInt32Array]:
    rows = LanceFileReader(str(folder / "data" / data_file), columns=[KEY]).read_all(batch_size=_BATCH_SIZE)
    crcs = np.array([_crc32(key) for batch in rows.to_batches() for key in to_list(batch.column(0))], _DTYPE)
    offsets = np.argsort(crcs, kind="stable").astype(_DTYPE)
    crcs = crcs[offsets]
    path = key_index_path(folder, data_file)
    with suppress(OSError):  # a read-only disk: the lookup works without the file
        make_private_dir(path.parent)
        content = crcs.tobytes() + offsets.tobytes()
        atomic_write(path, content + zlib.crc32(content).to_bytes(4, "little"))
    return crcs, offsets


def _crc32(key: str) -> np.uint32:
    return np.uint32(zlib.crc32(key.encode("utf-8", "surrogatepass")))


def _memory_map(path: Path, rows: int) -> UInt32Array | None:
    """Map an index file into memory, unverified. Returns None if it is missing or has the wrong size."""
    try:
        if path.stat().st_size == _file_size(rows):
            return np.memmap(path, _DTYPE, "r", shape=(2 * rows,))
    except OSError:
        pass
    return None


def _read_verified(path: Path, rows: int) -> UInt32Array | None:
    """Read an index file. Returns None if it is missing or its size or checksum is wrong."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if len(content) != _file_size(rows) or zlib.crc32(content[:-4]) != int.from_bytes(content[-4:], "little"):
        return None
    return np.frombuffer(content, _DTYPE, 2 * rows)


def _file_size(rows: int) -> int:
    return 2 * _DTYPE.itemsize * rows + 4
