"""What is kept beside the data of a version, so that the first who asks need not wait for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from saccade.core.schema import Kind, Schema
from saccade.store.query.column_cache import UnfitError, keep_leaf
from saccade.store.table.key_index import is_worth_it, note_keys
from saccade.store.table.snapshot import Snapshot


def note_known(snapshot: Snapshot) -> None:
    """Keep which keys each large data file has, and what filters and counts ask for first."""
    fragments = snapshot.table.get_fragments()
    note_keys(snapshot.folder, fragments)
    for fragment in fragments:
        for steps in _asked_first(snapshot.schema) if is_worth_it(fragments, fragment) else ():
            with suppress(UnfitError, OSError):  # texts that nearly all differ; a disk that is full
                keep_leaf(snapshot, fragment, steps)


def _asked_first(schema: Schema) -> Iterator[tuple[str, ...]]:
    for column in schema.columns:
        match column.kind:
            case Kind.OBJECTS:
                yield from ((column.name, "item", field) for field in ("class", "area", "score"))
            case Kind.LABELS:
                yield column.name, "item"
            case Kind.LABEL | Kind.TEXT:
                yield (column.name,)
