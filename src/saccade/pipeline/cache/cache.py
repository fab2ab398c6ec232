"""The cache of pipeline results on disk.

``columns/ID.cells`` holds a column, by the digest of its content. ``memos/MEMO/*.segment`` holds the per-item results
of one operation with given code and parameters. ``steps/KEY.json`` describes the result of a step for inputs of given
digests. Neither names nor contents depend on the location of the workspace or on the machine.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from saccade.core.digest import digest_json
from saccade.io.atomic import atomic_write, make_private_dir
from saccade.pipeline.cache.column import LazyColumn, Rows, ValueLocations, prune_sources, with_changes
from saccade.pipeline.cache.column_file import ColumnFile, serialize_column
from saccade.pipeline.cache.memo import SUFFIX, Memo
from saccade.pipeline.cache.segments import CorruptCacheError, Segment, SegmentBatch
from saccade.store.maintenance.gc_roots import PINNED_DIR, read_digests

_RECENT_COLUMNS = 3
"""The number of columns that stay in memory, for the step that follows."""
_MAX_EAGER_CHECK_BYTES = 1 << 25
"""Larger segments are not verified in advance, only when they are read."""
_CHECKED_FILES: dict[Path, tuple[int, int, int]] = {}
"""Size, modification time and change time (ns) of each file when it was verified in this process."""
_COLUMN_DEPENDENCIES: dict[Path, _Dependencies] = {}


@dataclass(frozen=True)
class _Dependencies:
    """What a column depends on.

    Attributes:
        versions: dataset versions, as ``NAME@VERSION:IDENTITY``.
        base: the id of the base column of a delta, or None.
    """

    versions: tuple[str, ...]
    base: str | None


class Cache:
    """The pipeline cache of a workspace.

    Args:
        folder: the folder of the cache. It may be deleted at any time; results are then computed again.
        version_exists: whether a dataset version, as ``NAME@VERSION:IDENTITY``, still exists unchanged.
    """

    def __init__(self, folder: Path, version_exists: Callable[[str], bool] = lambda version_id: True) -> None:
        self.folder = folder
        self.version_exists = version_exists
        self._segments: dict[str, Segment] = {}
        self._memos: dict[str, Memo] = {}
        self._verified: set[Path] = set()
        self._recent: OrderedDict[str, LazyColumn] = OrderedDict()
        # Shared by all caches of the process: a file is verified once for as long as it does not change.
        self._checked_files = _CHECKED_FILES
        self._dependencies = _COLUMN_DEPENDENCIES

    def prepare(self) -> None:
        """Create the folders of the cache."""
        for name in ("columns", "memos", "steps", "last", PINNED_DIR):
            make_private_dir(self.folder / name)

    # Columns

    def _column_path(self, id: str) -> Path:
        return self.folder / "columns" / f"{id}.cells"

    def put_column(self, column: LazyColumn) -> None:
        """Store a column, unless it is stored intact already."""
        path = self._column_path(column.id)
        self._recent[column.id] = column
        while len(self._recent) > _RECENT_COLUMNS:
            self._recent.popitem(last=False)
        if path in self._verified:
            return
        if not path.exists() or not self._is_intact(path):
            if column.delta is not None:  # a delta cannot be read without its base
                self.put_column(column.delta.base)
            atomic_write(path, serialize_column(column), durable=False)
        self._verified.add(path)

    def _is_intact(self, path: Path) -> bool:
        """Whether a column file is undamaged, and its sources, dataset versions and base exist."""
        try:
            file = self._open_column_file(path.stem)
            file.verify()
        except CorruptCacheError:
            return False
        if not self.has_sources(file.sources) or not all(map(self.version_exists, _dataset_versions(file.sources))):
            return False
        return file.base_id is None or self._is_intact(self._column_path(file.base_id))

    def _open_column_file(self, id: str) -> ColumnFile:
        return ColumnFile(self._column_path(id), id, self.column)

    def column(self, id: str, length: int) -> LazyColumn:
        """Return a stored column; its file is opened on first access."""
        if id in self._recent:
            return self._recent[id]
        return LazyColumn(id, length, lambda: self._open_column_file(id).open())

    def has_column(self, id: str) -> bool:
        """Whether a column is stored undamaged, and the dataset versions and columns that it depends on exist."""
        path = self._column_path(id)

        def verify() -> None:
            file = self._open_column_file(id)
            file.verify()
            self._dependencies[path] = _Dependencies(_dataset_versions(file.sources), file.base_id)

        if not self._verify_once(path, verify):
            return False
        dependencies = self._dependencies[path]
        if not all(map(self.version_exists, dependencies.versions)):
            return False
        return dependencies.base is None or self.has_column(dependencies.base)

    # Media files that columns refer to

    def put_file_digests(self, id: str, digests: Iterable[str]) -> None:
        """Record the media files that a column refers to, so that garbage collection keeps them."""
        path = self.folder / PINNED_DIR / f"{id}.files"
        if not path.exists():
            atomic_write(path, b"".join(bytes.fromhex(digest) for digest in sorted(set(digests))), durable=False)

    def file_digests(self, id: str) -> list[str] | None:
        """Return the digests of a column's media files, or None if they were not recorded."""
        try:
            return list(read_digests(self.folder / PINNED_DIR / f"{id}.files"))
        except OSError:
            return None

    # Per-item results

    def memo(self, name: str) -> Memo:
        if name not in self._memos:
            self._memos[name] = Memo(self.folder / "memos" / name)
        return self._memos[name]

    def segment(self, name: str) -> Segment:
        """Return a segment by ``MEMO/NAME``."""
        if name not in self._segments:
            self._segments[name] = Segment(self.folder / "memos" / name)
        return self._segments[name]

    def has_sources(self, sources: Iterable[str]) -> bool:
        """Whether the segments among the sources exist; all but very large ones are verified as well."""
        names = {name.partition(":")[2].partition("#")[0] for name in sources if name.startswith("segment:")}
        paths = [self.folder / "memos" / name for name in names]
        return all(
            self._verify_once(path, partial(_read_segment, path), max_bytes=_MAX_EAGER_CHECK_BYTES) for path in paths
        )

    def _verify_once(self, path: Path, verify: Callable[[], Any], max_bytes: int | None = None) -> bool:
        """Whether a file exists and is undamaged; a file that has not changed is not verified again.

        Args:
            path: the file.
            verify: raises CorruptCacheError if the content is damaged.
            max_bytes: do not verify larger files.
        """
        try:
            stat = path.stat()
            signature = stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
            if self._checked_files.get(path) != signature:
                if max_bytes is None or stat.st_size <= max_bytes:
                    verify()
                self._checked_files[path] = signature
        except (OSError, CorruptCacheError):
            return False
        return True

    # Results of steps

    def get_entry(self, kind: str, key: str) -> dict[str, Any] | None:
        """Return the JSON entry of a kind and key, or None if it does not exist or is damaged."""
        try:
            entry = json.loads((self.folder / kind / f"{key}.json").read_bytes())
            return entry["content"] if entry["digest"] == digest_json(entry["content"]) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put_entry(self, kind: str, key: str, content: Mapping[str, Any]) -> None:
        """Store a JSON entry.

        Args:
            kind: the folder of the entry, such as ``steps``.
            key: the name of the entry.
            content: the JSON object.
        """
        path = self.folder / kind / f"{key}.json"
        make_private_dir(path.parent)
        body = json.dumps({"digest": digest_json(content), "content": content}, ensure_ascii=False)
        atomic_write(path, body.encode(), durable=False)

    # History: the key components of a step's last run

    def put_last_run(self, name: str, key: str, key_components: Mapping[str, Any]) -> None:
        """Record the last run of a step.

        Args:
            name: the history key of the step.
            key: the cache key of its result.
            key_components: the components of that key, for explaining later what changed.
        """
        self.put_entry("last", name, key_components)
        (self.folder / "last" / f"{name}.key").write_text(key, encoding="ascii")

    def last_run_differs(self, name: str, key: str) -> bool:
        """Whether the last recorded run of a step had another cache key, or none is recorded."""
        try:
            return (self.folder / "last" / f"{name}.key").read_text(encoding="ascii") != key
        except OSError:
            return True

    # Repair

    def repair(self) -> None:
        """Delete damaged segments, and columns that are damaged or whose sources are missing."""
        self._segments.clear()
        self._memos.clear()
        self._verified.clear()
        self._recent.clear()
        for path in self.folder.glob(f"memos/*/*{SUFFIX}"):
            try:
                _ = Segment(path).batch
            except CorruptCacheError:
                path.unlink(missing_ok=True)
        for path in self.folder.glob("columns/*.cells"):
            if not self._is_intact(path):
                path.unlink(missing_ok=True)

    # Derived columns

    def take_rows(self, column: LazyColumn, rows: LazyColumn) -> LazyColumn:
        """Return the values of a column at given rows; the result is cached.

        Args:
            column: the column.
            rows: row numbers, as created by :func:`row_column`.
        """
        key = digest_json(["take", column.id, rows.id])
        entry = self.get_entry("taken", key)
        if entry is not None and self.has_column(entry["id"]):
            return self.column(entry["id"], entry["length"])
        result = self._take_delta_rows(column, rows)
        if result is None:
            result = LazyColumn.from_locations(prune_sources(column.locations.take(rows.locations.rows)))
        self.put_column(result)
        self.put_entry("taken", key, {"id": result.id, "length": len(result)})
        return result

    def _take_delta_rows(self, column: LazyColumn, rows: LazyColumn) -> LazyColumn | None:
        """Take rows of a delta by taking rows of its base, which may be cached; None if the column is no delta."""
        numbers = rows.locations.rows
        delta = column.delta
        if delta is None or bool(np.any(np.diff(numbers) <= 0)):
            return None
        positions = np.minimum(np.searchsorted(numbers, delta.rows), max(len(numbers) - 1, 0))
        selected = np.flatnonzero(numbers[positions] == delta.rows) if len(numbers) else positions[:0]
        return with_changes(self.take_rows(delta.base, rows), positions[selected], delta.values.take(selected))


def _dataset_versions(sources: Iterable[str]) -> tuple[str, ...]:
    """Return the dataset versions among the sources, as ``NAME@VERSION:IDENTITY``."""
    names = (name.partition(":")[2].partition("#")[0] for name in sources if name.startswith("dataset:"))
    return tuple(dict.fromkeys(names))


def _read_segment(path: Path) -> SegmentBatch:
    return Segment(path).batch


def row_column(rows: Rows) -> LazyColumn:
    """Represent row numbers as a column, for :meth:`Cache.take_rows`."""
    numbers = np.ascontiguousarray(rows, np.int64)
    digests = np.stack([numbers.view(np.uint64), np.zeros(len(numbers), np.uint64)], axis=1)
    return LazyColumn.from_locations(ValueLocations(digests, ("rows",), np.zeros(len(numbers), np.int32), numbers))
