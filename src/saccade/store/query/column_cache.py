"""In-memory cache of leaf columns, such as the areas of all objects, as numpy arrays.

Lance's scanner reads columns of objects only as a whole, with their points and attributes; its file reader reads a
single leaf. A data file never changes, so its leaves are cached, up to a memory limit, for all versions that share it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from cachetools import LRUCache
from lance.file import LanceFileReader
from lance.fragment import LanceFragment

from saccade.store.arrow.columns import list_lengths, single_chunk, to_list
from saccade.store.query.column_cache_files import decode_strings, encode_strings, leaf_path, read_arrays, write_arrays
from saccade.store.table.key_index import INDEX_FOLDER
from saccade.store.table.snapshot import Snapshot

MAX_CATEGORIES = 100_000
"""Text columns with more distinct values in one data file are not dictionary-encoded."""
_MIN_DISTINCT_STRINGS = 4096
"""If more of the first ``2 * _MIN_DISTINCT_STRINGS`` texts of a column differ, it is kept as Arrow strings.

A dictionary of them would take longer to read, more memory, and a call of a Python function for each text.
"""
_MAX_PERSISTED_CATEGORIES = 4096
"""Text columns with more distinct values are not persisted."""
_CACHE_BYTES = 384 << 20
_LIST_ELEMENT = "item"
"""Arrow's name for the elements of a list."""
CacheKey = tuple[str, tuple[str, ...]]
"""Data file, and path of the leaf in it."""
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]


class NotVectorizableError(Exception):
    """A column or expression cannot be evaluated on numpy arrays."""


@dataclass(frozen=True, slots=True)
class DictArray:
    """Dictionary-encoded strings.

    Attributes:
        codes: signed integers (N,), indices into ``categories``; -1 for missing.
        categories: the distinct strings.
    """

    codes: npt.NDArray[np.signedinteger[Any]]
    categories: list[str]

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + sum(map(len, self.categories)) + 64 * len(self.categories)


@dataclass(frozen=True, slots=True)
class ListLengths:
    """Shape of a list column.

    Attributes:
        lengths: int64 (N,), number of elements of each row.
        is_valid: bool (N,), whether the row has a list; an empty list is valid.
    """

    lengths: IntArray
    is_valid: BoolArray

    @property
    def nbytes(self) -> int:
        return self.lengths.nbytes + self.is_valid.nbytes


@dataclass(frozen=True, slots=True)
class DistinctStrings:
    """Strings that nearly all differ, as an Arrow array (N,)."""

    array: pa.Array

    @property
    def nbytes(self) -> int:
        return int(self.array.nbytes)


LeafArray = FloatArray | DictArray | ListLengths | DistinctStrings


class _LruCache:
    """Thread-safe LRU cache of leaf arrays, limited by their bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._lock = threading.Lock()
        # A leaf that is larger than the cache is cached alone.
        self._leaves: LRUCache[CacheKey, LeafArray] = LRUCache(max_bytes, lambda leaf: min(leaf.nbytes, max_bytes))

    def get(self, key: CacheKey) -> LeafArray | None:
        with self._lock:
            return self._leaves.get(key)

    def put(self, key: CacheKey, leaf: LeafArray) -> None:
        with self._lock:
            self._leaves[key] = leaf


_cache = _LruCache(_CACHE_BYTES)


@dataclass(frozen=True)
class FragmentView:
    """The rows of a version that are stored in one fragment of its table.

    Leaves are addressed by paths: ``"image", "width"``; ``"objects", "item", "area"`` for elements of lists.

    Attributes:
        snapshot: the version.
        fragment: the fragment.
        rows: rows of the version; None for all rows of the fragment's data files, deleted ones included.
    """

    snapshot: Snapshot
    fragment: LanceFragment
    rows: slice | None = None

    @property
    def size(self) -> int:
        return self.fragment.physical_rows if self.rows is None else self.rows.stop - self.rows.start

    @cached_property
    def row_offsets(self) -> IntArray:
        """Offset of each row in the fragment, ascending."""
        assert self.rows is not None
        return (self.snapshot.index.addresses[self.rows] & np.uint64(0xFFFFFFFF)).astype(np.int64)

    @cached_property
    def _is_complete(self) -> bool:
        """Whether no row of the fragment is deleted."""
        return self.size == self.fragment.physical_rows

    def texts(self, *path: str) -> DictArray:
        """Return a leaf of strings for every row, or for every element of its list.

        Raises:
            NotVectorizableError: if it has too many distinct values.
        """
        leaf = self._load_leaf(path, _missing_texts)
        if isinstance(leaf, DistinctStrings):
            leaf = _dictionary_encoded(leaf.array)
        assert isinstance(leaf, DictArray)
        return leaf if self._is_complete else DictArray(leaf.codes[self._value_indices(path)], leaf.categories)

    def strings(self, *path: str) -> pa.Array:
        """Return a leaf of strings that nearly all differ.

        Raises:
            NotVectorizableError: if many are equal; ``texts`` returns those.
        """
        leaf = self._load_leaf(path, _missing_texts)
        if not isinstance(leaf, DistinctStrings):
            raise NotVectorizableError
        return leaf.array if self._is_complete else leaf.array.take(pa.array(self._value_indices(path)))

    def numbers(self, *path: str) -> FloatArray:
        """Return a leaf of numbers for every row, or for every element of its list; NaN if missing."""
        leaf = self._load_leaf(path, _missing_numbers)
        assert isinstance(leaf, np.ndarray)
        return leaf if self._is_complete else leaf[self._value_indices(path)]

    def list_lengths(self, *path: str) -> ListLengths:
        """Return the lengths of the lists of a column, given the path of one of its leaves."""
        lists = self._load_list_lengths(path)
        if self._is_complete:
            return lists
        return ListLengths(lists.lengths[self.row_offsets], lists.is_valid[self.row_offsets])

    def _value_indices(self, path: tuple[str, ...]) -> IntArray:
        """Return the indices of the values of the rows among the values of the fragment."""
        if _LIST_ELEMENT not in path:
            return self.row_offsets
        fragment_lengths = self._load_list_lengths(path).lengths
        starts = np.cumsum(fragment_lengths) - fragment_lengths
        lengths = fragment_lengths[self.row_offsets]
        starts_in_result = np.cumsum(lengths) - lengths
        return np.repeat(starts[self.row_offsets] - starts_in_result, lengths) + np.arange(int(lengths.sum()))

    def _load_list_lengths(self, path: tuple[str, ...]) -> ListLengths:
        data_file = self._data_file(path)
        if data_file is None:
            return _missing_lists(self.fragment.physical_rows)
        lists = _cache.get((data_file, path[:1]))
        if lists is None:
            lists = self._read_leaf(data_file, path)[1]
        assert isinstance(lists, ListLengths)
        return lists

    def _load_leaf(self, path: tuple[str, ...], missing: Callable[[int], LeafArray]) -> LeafArray:
        data_file = self._data_file(path)
        if data_file is None:
            return missing(0 if _LIST_ELEMENT in path else self.fragment.physical_rows)
        leaf = _cache.get((data_file, path))
        return self._read_leaf(data_file, path)[0] if leaf is None else leaf

    def _data_file(self, path: tuple[str, ...]) -> str | None:
        """Return the data file with a leaf, or None if the fragment was written before the column was added."""
        fields = self.snapshot.table.lance_schema.fields()
        field = None
        for name in path:
            field = next((child for child in fields if child.name() == name), None)
            if field is None:
                return None
            fields = field.children()
        assert field is not None
        field_id = field.id()
        return next((file.path for file in self.fragment.data_files() if field_id in file.fields), None)

    def _read_leaf(self, data_file: str, path: tuple[str, ...]) -> tuple[LeafArray, ListLengths | None]:
        """Read a leaf and its list lengths (None outside lists), and add both to the cache."""
        if any("." in name for name in path):
            raise NotVectorizableError  # Lance's reader takes "." as the separator of a path
        leaf, lists = _read_persisted(self.snapshot.folder, data_file, path) or self._extract_leaf(data_file, path)
        _cache.put((data_file, path), leaf)
        if lists is not None:
            _cache.put((data_file, path[:1]), lists)
        return leaf, lists

    def _extract_leaf(self, data_file: str, path: tuple[str, ...]) -> tuple[LeafArray, ListLengths | None]:
        reader = LanceFileReader(str(self.snapshot.folder / "data" / data_file), columns=[".".join(path)])
        array = single_chunk(reader.read_all(batch_size=1 << 17).to_table().column(0))
        lists = None
        for name in path[1:]:
            if name == _LIST_ELEMENT:
                lists = ListLengths(list_lengths(array), np.asarray(array.is_valid()))
                array = array.flatten()
            else:
                array = pc.struct_field(array, name)
        return _to_leaf(array), lists

    def persist(self, path: tuple[str, ...]) -> None:
        """Write a leaf to a file beside the data, if there is none.

        Raises:
            NotVectorizableError: if the leaf cannot be read on its own.
            OSError: if the file cannot be written.
        """
        data_file = self._data_file(path)
        if data_file is None:
            return
        file = leaf_path(self.snapshot.folder / INDEX_FOLDER, data_file, path)
        if file.exists():
            return
        leaf, lists = self._extract_leaf(data_file, path)
        arrays: dict[str, npt.NDArray[Any]] = {}
        if isinstance(leaf, DistinctStrings) or (
            isinstance(leaf, DictArray) and len(leaf.categories) > _MAX_PERSISTED_CATEGORIES
        ):
            # The file would be nearly as large as the column. An empty one keeps later commits from trying again.
            lists = None
        elif isinstance(leaf, DictArray):
            arrays.update(codes=leaf.codes, words=encode_strings(leaf.categories))
        elif isinstance(leaf, np.ndarray):
            arrays.update({"none": np.array(len(leaf))} if np.isnan(leaf).all() else {"numbers": leaf})
        if lists is not None:
            arrays.update(counts=lists.lengths, present=lists.is_valid)
        write_arrays(file, arrays)


def persist_leaf(snapshot: Snapshot, fragment: LanceFragment, path: tuple[str, ...]) -> None:
    """Write a leaf of a fragment to a file beside the data, if there is none.

    Args:
        snapshot: a version that has the fragment.
        fragment: the fragment.
        path: path of the leaf.

    Raises:
        NotVectorizableError: if the leaf cannot be read on its own.
        OSError: if the file cannot be written.
    """
    FragmentView(snapshot, fragment).persist(path)


def _read_persisted(folder: Path, data_file: str, path: tuple[str, ...]) -> tuple[LeafArray, ListLengths | None] | None:
    """Read a persisted leaf and its list lengths (None outside lists). Returns None if there is no usable file."""
    arrays = read_arrays(leaf_path(folder / INDEX_FOLDER, data_file, path))
    if not arrays:
        return None
    leaf: LeafArray
    if "codes" in arrays:
        leaf = DictArray(arrays["codes"], decode_strings(arrays["words"]))
    elif "none" in arrays:
        leaf = _missing_numbers(int(arrays["none"]))
    else:
        leaf = arrays["numbers"]
    return leaf, ListLengths(arrays["counts"], arrays["present"]) if "counts" in arrays else None


def fragment_views(snapshot: Snapshot) -> list[FragmentView]:
    """Return a view of each fragment; their rows, concatenated, are the rows of the version in storage order."""
    views = []
    for fragment_id, rows in snapshot.index.fragment_slices().items():
        fragment = snapshot.table.get_fragment(fragment_id)
        assert fragment is not None, "a version's rows lie in its fragments"
        views.append(FragmentView(snapshot, fragment, rows))
    return views


def _to_leaf(array: pa.Array) -> LeafArray:
    if not pa.types.is_string(array.type):
        return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    if pc.count_distinct(array[: 2 * _MIN_DISTINCT_STRINGS]).as_py() > _MIN_DISTINCT_STRINGS:
        return DistinctStrings(array)
    try:
        return _dictionary_encoded(array)
    except NotVectorizableError:
        return DistinctStrings(array)


def _dictionary_encoded(array: pa.Array) -> DictArray:
    encoded = array.dictionary_encode()
    if len(encoded.dictionary) > MAX_CATEGORIES:
        raise NotVectorizableError
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    smallest_dtype = np.min_scalar_type(-1 - len(encoded.dictionary))
    return DictArray(codes.astype(smallest_dtype), to_list(encoded.dictionary))


def _missing_texts(rows: int) -> DictArray:
    return DictArray(np.full(rows, -1, np.int8), [])


def _missing_numbers(rows: int) -> FloatArray:
    return np.full(rows, np.nan)


def _missing_lists(rows: int) -> ListLengths:
    return ListLengths(np.zeros(rows, np.int64), np.zeros(rows, np.bool_))
