"""What pipelines have worked out, kept under names that say what it was worked out from.

``columns/ID.cells`` holds a column by the digest of its content; ``memos/OPERATION/*.segment`` the results of items of
one operation with its code and parameters; ``steps/KEY.json`` what a step made of inputs of certain digests. Nothing in
the names or in the files says where the workspace lies or on which machine it was made.
"""

from __future__ import annotations

import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from saccade.core.digest import digest_json
from saccade.pipeline.cache.column import Cells, Places, Rows, patched, used_only
from saccade.pipeline.cache.column_file import KeptColumn, pack_cells
from saccade.pipeline.cache.memo import SUFFIX, Memo
from saccade.pipeline.cache.segments import Batch, DamagedError, Segment
from saccade.store.maintenance.gc_roots import KEPT, listed

_RECENT = 3
"""Columns that stay in memory, for the step that follows."""
_MUCH = 1 << 25
_SEEN: dict[Path, tuple[int, int, int]] = {}
_FOUND: dict[Path, _Facts] = {}


@dataclass(frozen=True)
class _Facts:
    """What a column rests on: dataset versions, as ``NAME@VERSION:IDENTITY``, and the column that it is kept over."""

    versions: tuple[str, ...]
    base: str | None


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
        self._seen, self._found = _SEEN, _FOUND

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
            if cells.patch is not None:
                self.keep(cells.patch.base)
            _write(path, pack_cells(cells))
        self._sound.add(path)

    def _is_sound(self, path: Path) -> bool:
        """Whether a column is whole, and what it rests on is there."""
        try:
            kept = self._kept(path.stem)
            kept.check()
        except DamagedError:
            return False
        if not self.holds(kept.sources) or not all(map(self.is_version_there, _versions_in(kept.sources))):
            return False
        return kept.base is None or self._is_sound(self._column_path(kept.base))

    def _kept(self, id: str) -> KeptColumn:
        return KeptColumn(self._column_path(id), id, self.cells)

    def cells(self, id: str, length: int) -> Cells:
        """A column that is kept; it is read when it is looked into."""
        if id in self._recent:
            return self._recent[id]
        return Cells(id, length, lambda: self._kept(id).open())

    def has_column(self, id: str) -> bool:
        """Whether a column is kept, and sound."""
        path = self._column_path(id)

        def look() -> None:
            kept = self._kept(id)
            kept.check()
            self._found[path] = _Facts(_versions_in(kept.sources), kept.base)

        if not self._checked(path, look):
            return False
        facts = self._found[path]
        return all(map(self.is_version_there, facts.versions)) and (facts.base is None or self.has_column(facts.base))

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
        made = self._taken_over(cells, rows) or Cells.of(used_only(cells.places.take(rows.places.rows)))
        self.keep(made)
        self.note("taken", key, {"id": made.id, "length": len(made)})
        return made

    def _taken_over(self, cells: Cells, rows: Cells) -> Cells | None:
        """The same of a column that is kept over another, by what is taken of the other; None where that is no help."""
        numbers, patch = rows.places.rows, cells.patch
        if patch is None or bool(np.any(np.diff(numbers) <= 0)):
            return None
        where = np.minimum(np.searchsorted(numbers, patch.rows), max(len(numbers) - 1, 0))
        here = np.flatnonzero(numbers[where] == patch.rows) if len(numbers) else where[:0]
        return patched(self.taken(patch.base, rows), where[here], patch.values.take(here))


def _versions_in(sources: Iterable[str]) -> tuple[str, ...]:
    """The dataset versions that values lie in, as ``NAME@VERSION:IDENTITY``."""
    names = (name.partition(":")[2].partition("#")[0] for name in sources if name.startswith("dataset:"))
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
