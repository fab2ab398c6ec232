"""What the cache keeps in the store: spared by the garbage collection, and made again where it is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.pipeline.conftest import Field

from saccade.pipeline.definition.graph import Graph
from saccade.pipeline.execution.environment import cache_of
from saccade.store.maintenance.doctor import doctor
from saccade.store.maintenance.gc import collect_garbage

pytestmark = pytest.mark.slow


def tiles(field: Field, pictures: Path) -> Graph:
    return field.graph(
        {
            "read": ("import", {"source": str(pictures), "dataset": "read"}),
            "tiles": ("tile", {"size": 160}, ["read"]),
            "shown": ("render", {}, ["tiles"]),
        }
    )


def test_the_garbage_collection_spares_what_the_cache_needs(field: Field, pictures: Path) -> None:
    graph = tiles(field, pictures)
    before = field.items(graph, "shown")
    assert collect_garbage(field.workspace).objects == 0
    assert all(field.workspace.objects.exists(item["rendered"].digest) for item in before)
    found = collect_garbage(field.workspace, cache=True)
    assert found.objects > len(before)
    assert not any(field.workspace.objects.exists(item["rendered"].digest) for item in before)
    assert doctor(field.workspace, deep=True) == []
    assert field.items(graph, "shown") == before


def test_results_of_a_run_that_did_not_end_may_have_been_cleared(field: Field, pictures: Path) -> None:
    graph = tiles(field, pictures)
    before = field.items(graph, "shown")
    cache = cache_of(field.workspace)
    for name in ("steps", "kept", "columns", "taken"):  # as if it had been killed before it could note them
        for path in (cache.folder / name).glob("*"):
            path.unlink()
    assert collect_garbage(field.workspace).objects > 0
    assert field.items(graph, "shown") == before
    assert all(field.workspace.objects.exists(item["rendered"].digest) for item in before)


def test_the_cache_may_be_removed_by_hand(field: Field, pictures: Path) -> None:
    import shutil

    graph = tiles(field, pictures)
    before = field.items(graph, "shown")
    shutil.rmtree(cache_of(field.workspace).folder)
    assert field.items(graph, "shown") == before
