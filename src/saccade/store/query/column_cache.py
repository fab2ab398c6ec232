"""Single parts of a table's columns, such as the areas of all objects, as arrays in memory.

A data file never changes, so what was read of it is kept for the next question, up to a limit of memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from lance.file import LanceFileReader
from lance.fragment import LanceFragment

from saccade.store.arrow.columns import to_list
from saccade.store.query.column_cache_files import leaf_file, read_arrays, words_array, words_of, write_arrays
from saccade.store.table.key_index import FOLDER
from saccade.store.table.snapshot import Snapshot

MOST_WORDS = 100_000
"""More different texts than these in one file are not held."""
_WORDS_KEPT = 4096
"""Texts of which more differ than these are not kept in files."""
_LIMIT = 384 << 20
_ELEMENT = "item"
"""What Arrow calls the elements of a list."""
Name = tuple[str, tuple[str, ...]]
Numbers = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


class UnfitError(Exception):
    """What was asked for cannot be held as arrays."""


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts by their numbers in ``words``; -1 where there is none."""

    codes: npt.NDArray[np.signedinteger[Any]]
    words: list[str]

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + sum(map(len, self.words)) + 64 * len(self.words)


@dataclass(frozen=True, slots=True)
class Lists:
    """How many elements each row has, and whether it has a list at all."""

    counts: Counts
    present: Truths

    @property
    def nbytes(self) -> int:
        return self.counts.nbytes + self.present.nbytes


Leaf = Numbers | Texts | Lists


class _Kept:
    """The leaves that were used lately, by several threads."""

    def __init__(self, limit: int) -> None:
        self._limit, self._bytes = limit, 0
        self._lock = threading.Lock()
        self._leaves: OrderedDict[Name, Leaf] = OrderedDict()

    def get(self, name: Name) -> Leaf | None:
        with self._lock:
            if name in self._leaves:
                self._leaves.move_to_end(name)
            return self._leaves.get(name)

    def put(self, name: Name, leaf: Leaf) -> None:
        with self._lock:
            if name in self._leaves:
                return
            self._leaves[name] = leaf
            self._bytes += leaf.nbytes
            while self._bytes > self._limit and len(self._leaves) > 1:
                self._bytes -= self._leaves.popitem(last=False)[1].nbytes


_kept = _Kept(_LIMIT)


@dataclass(frozen=True)
class Part:
    """The rows of a version that lie together in one fragment of its table.

    Leaves are named by steps, ``"image", "width"``; ``"objects", "item", "area"`` goes into lists.
    """

    snapshot: Snapshot
    fragment: LanceFragment
    rows: slice | None = None
    """Which rows of the version; None for all that are in the fragment's data, whether or not it has them."""

    @property
    def size(self) -> int:
        return self.fragment.physical_rows if self.rows is None else self.rows.stop - self.rows.start

    @cached_property
    def places(self) -> Counts:
        """Where in the fragment the rows are, in order."""
        assert self.rows is not None
        return (self.snapshot.index.addresses[self.rows] & np.uint64(0xFFFFFFFF)).astype(np.int64)

    @cached_property
    def _is_whole(self) -> bool:
        return self.size == self.fragment.physical_rows

    def texts(self, *steps: str) -> Texts:
        """A leaf of text of every row, or of every element of its list; UnfitError where too many differ."""
        found = self._leaf(steps, _no_texts)
        assert isinstance(found, Texts)
        return found if self._is_whole else Texts(found.codes[self._chosen(steps)], found.words)

    def numbers(self, *steps: str) -> Numbers:
        """A leaf of numbers of every row, or of every element of its list; NaN where there is none."""
        found = self._leaf(steps, _no_numbers)
        assert isinstance(found, np.ndarray)
        return found if self._is_whole else found[self._chosen(steps)]

    def lists(self, *steps: str) -> Lists:
        """The lengths of the lists of a column, one of whose leaves is named."""
        found = self._lists(steps)
        return found if self._is_whole else Lists(found.counts[self.places], found.present[self.places])

    def _chosen(self, steps: tuple[str, ...]) -> Counts:
        """Where the values of the rows are among those of the fragment."""
        if _ELEMENT not in steps:
            return self.places
        counts = self._lists(steps).counts
        ends = np.cumsum(counts)
        chosen = counts[self.places]
        before = np.cumsum(chosen) - chosen
        return np.repeat((ends - counts)[self.places] - before, chosen) + np.arange(int(chosen.sum()))

    def _lists(self, steps: tuple[str, ...]) -> Lists:
        file = self._file_of(steps)
        if file is None:
            return _no_lists(self.fragment.physical_rows)
        found = _kept.get((file, steps[:1]))
        if found is None:
            found = self._read(file, steps)[1]
        assert isinstance(found, Lists)
        return found

    def _leaf(self, steps: tuple[str, ...], absent: Callable[[int], Leaf]) -> Leaf:
        file = self._file_of(steps)
        if file is None:
            return absent(0 if _ELEMENT in steps else self.fragment.physical_rows)
        found = _kept.get((file, steps))
        return self._read(file, steps)[0] if found is None else found

    def _file_of(self, steps: tuple[str, ...]) -> str | None:
        """The data file that has a leaf; none where the rows are older than it."""
        below, field = self.snapshot.table.lance_schema.fields(), None
        for step in steps:
            field = next((one for one in below if one.name() == step), None)
            if field is None:
                return None
            below = field.children()
        assert field is not None
        number = field.id()
        return next((file.path for file in self.fragment.data_files() if number in file.fields), None)

    def _read(self, file: str, steps: tuple[str, ...]) -> tuple[Leaf, Lists | None]:
        """A leaf, and how long its lists are where it has any; both are kept."""
        if any("." in step for step in steps):
            raise UnfitError
        held = _held(self.snapshot.folder, file, steps)
        if held is not None:
            leaf, lists = held
        else:
            leaf, lists = self._taken_apart(file, steps)
        _kept.put((file, steps), leaf)
        if lists is not None:
            _kept.put((file, steps[:1]), lists)
        return leaf, lists

    def _taken_apart(self, file: str, steps: tuple[str, ...]) -> tuple[Leaf, Lists | None]:
        path = str(self.snapshot.folder / "data" / file)
        array = _whole(
            LanceFileReader(path, columns=[".".join(steps)]).read_all(batch_size=1 << 17).to_table().column(0)
        )
        lists = None
        for step in steps[1:]:
            if step == _ELEMENT:
                present = np.asarray(array.is_valid())
                counts = np.where(present, array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False), 0)
                lists = Lists(counts.astype(np.int64), present)
                array = array.flatten()
            else:
                array = pc.struct_field(array, step)
        return _leaf_of(array), lists

    def keep(self, steps: tuple[str, ...]) -> None:
        """Keep a leaf in a file, for the first who asks after the next start; UnfitError, OSError."""
        file = self._file_of(steps)
        if file is None or leaf_file(self.snapshot.folder / FOLDER, file, steps).exists():
            return
        leaf, lists = self._taken_apart(file, steps)
        arrays: dict[str, npt.NDArray[Any]] = {}
        if isinstance(leaf, Texts) and len(leaf.words) > _WORDS_KEPT:
            lists = None  # an empty file, which says that nothing is gained: they would be most of the column again
        elif isinstance(leaf, Texts):
            arrays.update(codes=leaf.codes, words=words_array(leaf.words))
        elif isinstance(leaf, np.ndarray):
            arrays.update({"none": np.array(len(leaf))} if np.isnan(leaf).all() else {"numbers": leaf})
        if lists is not None:
            arrays.update(counts=lists.counts, present=lists.present)
        write_arrays(leaf_file(self.snapshot.folder / FOLDER, file, steps), arrays)


def keep_leaf(snapshot: Snapshot, fragment: LanceFragment, steps: tuple[str, ...]) -> None:
    """Keep a leaf of a fragment in a file beside the data; UnfitError where it is no array, OSError."""
    Part(snapshot, fragment).keep(steps)


def _held(folder: Path, file: str, steps: tuple[str, ...]) -> tuple[Leaf, Lists | None] | None:
    """A leaf from the file in which it is kept, and how long its lists are; None where there is none."""
    found = read_arrays(leaf_file(folder / FOLDER, file, steps))
    if not found:
        return None
    leaf: Leaf
    if "codes" in found:
        leaf = Texts(found["codes"], words_of(found["words"]))
    else:
        leaf = _no_numbers(int(found["none"])) if "none" in found else found["numbers"]
    return leaf, Lists(found["counts"], found["present"]) if "counts" in found else None


def parts_of(snapshot: Snapshot) -> list[Part]:
    """The parts of a version; their rows, one after another, are its rows in the order of its table."""
    made = []
    for owner, rows in snapshot.index.fragments().items():
        fragment = snapshot.table.get_fragment(owner)
        assert fragment is not None, "a version's rows lie in its fragments"
        made.append(Part(snapshot, fragment, rows))
    return made


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _leaf_of(array: pa.Array) -> Leaf:
    if not pa.types.is_string(array.type):
        return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
    coded = array.dictionary_encode()
    if len(coded.dictionary) > MOST_WORDS:
        raise UnfitError
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return Texts(codes.astype(np.min_scalar_type(-1 - len(coded.dictionary))), to_list(coded.dictionary))


def _no_texts(rows: int) -> Texts:
    return Texts(np.full(rows, -1, np.int8), [])


def _no_numbers(rows: int) -> Numbers:
    return np.full(rows, np.nan)


def _no_lists(rows: int) -> Lists:
    return Lists(np.zeros(rows, np.int64), np.zeros(rows, np.bool_))
