"""What pipelines have worked out, kept under names that say what it was worked out from.

``columns/ID.cells`` holds a column by the digest of its content; ``memos/OPERATION/*.segment`` the results of items of
one operation with its code and parameters; ``steps/KEY.json`` what a step made of inputs of certain digests. Nothing in
the names or in the files says where the workspace lies or on which machine it was made.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from saccade.core.digest import digest_json
from saccade.pipeline.cells import Cells, Places, Rows, pack_places, unpack_places
from saccade.pipeline.digests import Digests
from saccade.pipeline.segments import Batch, DamagedError, Segment, packed
from saccade.store.files import write_whole
from saccade.store.kept import KEPT, listed

SUFFIX = ".segment"
_FEW = 8
_RECENT = 3
"""Columns that stay in memory, for the step that follows."""
_MUCH = 1 << 25
_SEEN: dict[Path, tuple[int, int, int]] = {}
_VERSIONS: dict[Path, tuple[str, ...]] = {}


class Memo:
    """The results of items under one operation: found by the digest of what an item was."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.segments: list[Segment] = []
        names = sorted(path.name for path in folder.glob(f"*{SUFFIX}")) if folder.is_dir() else []
        for name in names:
            self._adopt(Segment(folder / name))

    def _adopt(self, segment: Segment) -> None:
        try:
            _ = segment.batch
        except DamagedError:
            segment.path.unlink(missing_ok=True)  # what it held is worked out again
            return
        self.segments.append(segment)
        for name in ("_known", "_given", "_failed"):
            self.__dict__.pop(name, None)

    def add(self, batch: Batch) -> Batch:
        """Keep the results of some items, durably."""
        return self.add_packed(packed(batch))

    def add_packed(self, content: bytes) -> Batch:
        """Keep the content of a segment, durably; returns what is in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns():020}-{secrets.token_hex(4)}{SUFFIX}"
        write_whole(self.folder / name, content)
        segment = Segment(self.folder / name)
        self._adopt(segment)
        return segment.batch

    @cached_property
    def _known(self) -> tuple[Digests, npt.NDArray[np.int32], Rows]:
        """The digests of all items, the segment of each, and its number there."""
        batches = [segment.batch for segment in self.segments]
        return (
            np.concatenate([np.empty((0, 2), np.uint64), *(batch.items for batch in batches)]),
            np.repeat(np.arange(len(batches), dtype=np.int32), [len(batch.items) for batch in batches]),
            np.concatenate([np.empty(0, np.int64), *(np.arange(len(batch.items)) for batch in batches)]),
        )

    @cached_property
    def _given(self) -> tuple[Rows, Rows]:
        """How many rows came of each known item, and the first of them in its segment."""
        return (
            np.concatenate([np.empty(0, np.int64), *(segment.batch.counts for segment in self.segments)]),
            np.concatenate([np.empty(0, np.int64), *(segment.starts for segment in self.segments)]),
        )

    def find(self, items: Digests, since: int = 0) -> Rows:
        """For each item its number among all that are known, or -1; of one that was tried again, the last try.

        Args:
            since: look only among those from this number on.
        """
        known = self._known[0][since:]
        found = _places_of(items, known)
        found[found >= 0] += since
        failed = np.isin(found, self._failed) if len(self._failed) else np.zeros(len(found), bool)
        if failed.any():
            found[failed] = since + len(known) - 1 - _places_of(items[failed], known[::-1])
        return found

    def __len__(self) -> int:
        return len(self._known[0])

    @cached_property
    def _failed(self) -> Rows:
        """The numbers of the items that failed."""
        starts = np.cumsum([0, *(len(segment.batch.items) for segment in self.segments)])
        numbers = [
            start + at for start, segment in zip(starts, self.segments, strict=False) for at in segment.batch.failures
        ]
        return np.array(sorted(numbers), np.int64)

    def since(self, number: int) -> int:
        """When the result of a known item was worked out, in nanoseconds since 1970."""
        return int(self.segments[self._known[1][number]].path.name.partition("-")[0])

    def failures(self, numbers: Rows) -> dict[int, str]:
        """Which of these known items failed, by their place in ``numbers``, and why."""
        _, which, places = self._known
        failing = {
            number: segment.batch.failures for number, segment in enumerate(self.segments) if segment.batch.failures
        }
        if not failing:
            return {}
        suspects = np.flatnonzero(np.isin(which[numbers], list(failing)))
        found = {}
        for at in suspects.tolist():
            why = failing[int(which[numbers[at]])].get(int(places[numbers[at]]))
            if why is not None:
                found[at] = why
        return found

    def rows(self, numbers: Rows) -> tuple[npt.NDArray[np.int32], Rows, Rows]:
        """Every row that came of these known items: its segment, its row there, and the place of its item."""
        which = self._known[1][numbers]
        counts, starts = (facts[numbers] for facts in self._given)
        if bool(np.all(counts == 1)):
            return which, starts, np.arange(len(numbers))
        items = np.repeat(np.arange(len(numbers)), counts)
        within = np.arange(len(items)) - np.repeat(np.cumsum(counts) - counts, counts)
        return which[items], starts[items] + within, items

    def drop(self, segments: Iterable[Segment]) -> None:
        """Remove segments; their items are worked on again."""
        gone = list(segments)
        for segment in gone:
            segment.path.unlink(missing_ok=True)
        self.segments = [segment for segment in self.segments if segment not in gone]
        for name in ("_known", "_given", "_failed"):
            self.__dict__.pop(name, None)

    def column(self, name: str, which: npt.NDArray[np.int32], rows: Rows) -> Places:
        """A column of these rows."""
        batches = [segment.batch.rows for segment in self.segments]
        places = np.cumsum([0, *map(len, batches)])[which] + rows
        digests = np.empty((len(rows), 2), np.uint64)
        for lane in (0, 1):
            every = [batch.column(f"#{lane}{name}").to_numpy() for batch in batches]
            digests[:, lane] = np.concatenate([np.empty(0, np.uint64), *every])[places]
        sources = tuple(f"segment:{self.name}/{segment.path.name}#{name}" for segment in self.segments)
        return _used_only(Places(digests, sources, which.astype(np.int32), rows))


def _places_of(items: Digests, known: Digests) -> Rows:
    """The place of each item among those that are known, or -1; the same order is tried first."""
    found = np.full(len(items), -1, np.int64)
    both = min(len(items), len(known))
    same = (items[:both, 0] == known[:both, 0]) & (items[:both, 1] == known[:both, 1])
    found[:both][same] = np.flatnonzero(same)
    # What was changed lately comes after all that was known at first.
    for begin in (both, 0) if both < len(known) else (0,):
        missing = np.flatnonzero(found < 0)
        if not len(missing) or not len(known):
            break
        there = _looked_up(items[missing], known[begin:])
        found[missing] = np.where(there >= 0, there + begin, -1)
    return found


def _looked_up(items: Digests, known: Digests) -> Rows:
    """The place of each item among those that are known, in any order, or -1."""
    if len(items) <= _FEW:
        places = [np.flatnonzero((known[:, 0] == one[0]) & (known[:, 1] == one[1])) for one in items]
        return np.array([place[0] if len(place) else -1 for place in places], np.int64)
    # Few are looked for among many: what cannot be one of them goes first, without a table of the many.
    wanted = pa.array(np.ascontiguousarray(items[:, 0]))
    likely = np.flatnonzero(pc.is_in(pa.array(np.ascontiguousarray(known[:, 0])), value_set=wanted))
    if not len(likely):
        return np.full(len(items), -1, np.int64)
    first = np.asarray(pc.fill_null(pc.index_in(wanted, value_set=pa.array(known[likely, 0])), -1), np.int64)
    there = np.where(first >= 0, likely[first], -1)
    there[(there >= 0) & (known[there, 1] != items[:, 1])] = -1
    return there


def _used_only(places: Places) -> Places:
    """Without the sources that hold none of the values."""
    used = np.flatnonzero(np.bincount(places.which, minlength=len(places.sources)))
    if len(used) == len(places.sources):
        return places
    numbers = np.zeros(len(places.sources), np.int32)
    numbers[used] = np.arange(len(used))
    sources = tuple(places.sources[number] for number in used.tolist())
    return Places(places.digests, sources, numbers[places.which], places.rows)


class Cache:
    """The cache of pipelines of a workspace.

    Args:
        folder: where it lies; it may be removed as a whole, and is then worked out anew.
        is_version_there: whether a dataset version, as ``NAME@VERSION:IDENTITY``, is still the one that it was.
    """

    def __init__(self, folder: Path, is_version_there: Callable[[str], bool] = lambda place: True) -> None:
        self.folder = folder
        self.is_version_there = is_version_there
        self._segments: dict[str, Segment] = {}
        self._memos: dict[str, Memo] = {}
        self._sound: set[Path] = set()
        self._recent: OrderedDict[str, Cells] = OrderedDict()
        self._seen, self._versions = _SEEN, _VERSIONS

    def prepare(self) -> None:
        for name in ("columns", "memos", "steps", "last", KEPT):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    # Columns

    def _column_path(self, id: str) -> Path:
        return self.folder / "columns" / f"{id}.cells"

    def keep(self, cells: Cells) -> None:
        """Keep a column, where it is not kept yet, or was in segments that are gone."""
        path = self._column_path(cells.id)
        self._recent[cells.id] = cells
        while len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        if path in self._sound:
            return
        if not path.exists() or not self._is_sound(path):
            _write(path, pack_places(cells.places))
        self._sound.add(path)

    def _is_sound(self, path: Path) -> bool:
        try:
            places = unpack_places(path, path.stem)
        except DamagedError:
            return False
        return self.holds(places.sources) and all(map(self.is_version_there, _versions_in(places)))

    def cells(self, id: str, length: int) -> Cells:
        """A column that is kept; it is read when it is looked into."""
        if id in self._recent:
            return self._recent[id]
        return Cells(id, length, lambda: unpack_places(self._column_path(id), id))

    def has_column(self, id: str) -> bool:
        """Whether a column is kept, and sound."""
        path = self._column_path(id)

        def look() -> None:
            self._versions[path] = _versions_in(unpack_places(path, id))

        return self._checked(path, look) and all(map(self.is_version_there, self._versions.get(path, ())))

    # Files that values of columns refer to

    def note_files(self, id: str, digests: Iterable[str]) -> None:
        """Note which files of the store the values of a column refer to."""
        path = self.folder / KEPT / f"{id}.files"
        if not path.exists():
            _write(path, b"".join(bytes.fromhex(digest) for digest in sorted(set(digests))))

    def files_of(self, id: str) -> list[str] | None:
        """Those files; None where that is not noted."""
        try:
            return list(listed(self.folder / KEPT / f"{id}.files"))
        except OSError:
            return None

    # Results by item

    def memo(self, name: str) -> Memo:
        if name not in self._memos:
            self._memos[name] = Memo(self.folder / "memos" / name)
        return self._memos[name]

    def segment(self, name: str) -> Segment:
        """A segment by ``MEMO/NAME``."""
        if name not in self._segments:
            self._segments[name] = Segment(self.folder / "memos" / name)
        return self._segments[name]

    def holds(self, sources: Iterable[str]) -> bool:
        """Whether the segments that values lie in are there, and sound as far as that is seen without reading much."""
        names = {name.partition(":")[2].partition("#")[0] for name in sources if name.startswith("segment:")}
        paths = [self.folder / "memos" / name for name in names]
        return all(self._checked(path, partial(_read, path), most=_MUCH) for path in paths)

    def _checked(self, path: Path, look: Callable[[], Any], most: int | None = None) -> bool:
        """Whether a file is there and, looked at once as long as it stays what it is, sound.

        Args:
            most: a file of more bytes is only looked at when it is used.
        """
        try:
            found = path.stat()
            facts = found.st_size, found.st_mtime_ns, found.st_ctime_ns
            if self._seen.get(path) != facts:
                if most is None or found.st_size <= most:
                    look()
                self._seen[path] = facts
        except (OSError, DamagedError):
            return False
        return True

    # What steps made

    def record(self, kind: str, key: str) -> dict[str, Any] | None:
        """What is noted under a key; None where nothing is, or what was noted is damaged."""
        try:
            noted = json.loads((self.folder / kind / f"{key}.json").read_bytes())
            return noted["content"] if noted["digest"] == digest_json(noted["content"]) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def note(self, kind: str, key: str, content: Mapping[str, Any]) -> None:
        """Note something under a key."""
        path = self.folder / kind / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        body = json.dumps({"digest": digest_json(content), "content": content}, ensure_ascii=False)
        _write(path, body.encode())

    # What a step of a pipeline depended on when it last ran

    def note_last(self, name: str, key: str, ingredients: Mapping[str, Any]) -> None:
        self.note("last", name, ingredients)
        (self.folder / "last" / f"{name}.key").write_text(key, encoding="ascii")

    def is_new_last(self, name: str, key: str) -> bool:
        """Whether another state than this was noted last."""
        try:
            return (self.folder / "last" / f"{name}.key").read_text(encoding="ascii") != key
        except OSError:
            return True

    # Repair

    def repair(self) -> None:
        """Remove what is damaged, and columns whose segments or dataset versions may be gone; all is made again."""
        self._segments.clear()
        self._memos.clear()
        self._sound.clear()
        self._recent.clear()
        for path in self.folder.glob(f"memos/*/*{SUFFIX}"):
            try:
                _ = Segment(path).batch
            except DamagedError:
                path.unlink(missing_ok=True)
        for path in self.folder.glob("columns/*.cells"):
            if not self._is_sound(path):
                path.unlink(missing_ok=True)

    # Columns made of columns

    def taken(self, cells: Cells, rows: Cells) -> Cells:
        """The values of a column at the rows that a column of numbers says; looked up where it was made before."""
        key = digest_json(["take", cells.id, rows.id])
        noted = self.record("taken", key)
        if noted is not None and self.has_column(noted["id"]):
            return self.cells(noted["id"], noted["length"])
        made = Cells.of(_used_only(cells.places.take(rows.places.rows)))
        self.keep(made)
        self.note("taken", key, {"id": made.id, "length": len(made)})
        return made


def _versions_in(places: Places) -> tuple[str, ...]:
    """The dataset versions that values lie in, as ``NAME@VERSION:IDENTITY``."""
    names = (name.partition(":")[2].partition("#")[0] for name in places.sources if name.startswith("dataset:"))
    return tuple(dict.fromkeys(names))


def _read(path: Path) -> Batch:
    return Segment(path).batch


def selection(rows: Rows) -> Cells:
    """Row numbers as a column, for :meth:`Cache.taken`."""
    numbers = np.ascontiguousarray(rows, np.int64)
    digests = np.stack([numbers.view(np.uint64), np.zeros(len(numbers), np.uint64)], axis=1)
    return Cells.of(Places(digests, ("rows",), np.zeros(len(numbers), np.int32), numbers))


def _write(path: Path, content: bytes) -> None:
    """Write a file as a whole, but not durably: what a power cut takes away of it is seen when it is read."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
