"""Builds the derived files of a version at commit, so that the first query does not wait for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from saccade.core.schema import Kind, Schema
from saccade.store.query.column_cache import NotVectorizableError, persist_leaf
from saccade.store.table.key_index import build_key_indexes, should_index
from saccade.store.table.snapshot import Snapshot


def build_indexes(snapshot: Snapshot) -> None:
    """Build the key index of each large data file and persist the leaves that most filters and histograms use."""
    fragments = snapshot.table.get_fragments()
    build_key_indexes(snapshot.folder, fragments)
    for fragment in fragments:
        if not should_index(fragments, fragment):
            continue
        for path in _indexed_columns(snapshot.schema):
            with suppress(NotVectorizableError, OSError):  # nearly all texts differ; or the disk is full
                persist_leaf(snapshot, fragment, path)


def _indexed_columns(schema: Schema) -> Iterator[tuple[str, ...]]:
    for column in schema.columns:
        match column.kind:
            case Kind.OBJECTS:
                yield from ((column.name, "item", field) for field in ("class", "area", "score"))
            case Kind.LABELS:
                yield column.name, "item"
            case Kind.LABEL | Kind.TEXT:
                yield (column.name,)
